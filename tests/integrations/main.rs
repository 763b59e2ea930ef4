//! The layer composed with other layers and services, and what it then counts.

mod axum;
mod client;
mod concrete_bodies;
mod order;
mod timeouts;
mod types;
#[path = "../wire_support/mod.rs"]
mod wire_support;
