//! Layers that let bodies keep their type: what composes with them, and that they count what the plain one counts.

mod alike;
mod allocation;
mod frameworks;
mod hyper;
mod routers;
#[path = "../support/mod.rs"]
mod support;
#[path = "../wire_support/mod.rs"]
mod wire_support;
