//! The examples `axum` and `hyper` over real loopback connections.
#![allow(clippy::duplicate_mod, reason = "each example is a program of its own")]

mod axum;
#[allow(dead_code, reason = "the process around it is not used")]
#[path = "../../examples/axum.rs"]
mod axum_example;
mod hyper;
#[allow(dead_code, reason = "the process around it is not used")]
#[path = "../../examples/hyper.rs"]
mod hyper_example;
mod running;
#[path = "../wire_support/mod.rs"]
mod wire_support;
