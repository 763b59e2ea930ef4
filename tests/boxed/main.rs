//! Boxed layers, which keep the type of bodies: what they compose with, and that they count the same as plain layers.

mod alike;
mod allocation;
mod frameworks;
mod hyper;
mod routers;
#[path = "../support/mod.rs"]
mod support;
#[path = "../wire_support/mod.rs"]
mod wire_support;
