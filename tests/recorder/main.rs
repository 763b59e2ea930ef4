//! The recorder with threads, layers and label sets that come and go.

#[path = "../support/mod.rs"]
mod support;

mod equal;
mod idle;
mod idle_storm;
mod layers;
mod limit;
mod moving;
mod raw;
mod reentrant;
mod storm;
mod sums;
mod threads;
mod worker;
