//! How to get the numbers and how to use them, from one line to a fleet.
//!
//! | chapter | answers |
//! |---|---|
//! | [`numbers`] | what to ask a page, and what each answer means |
//! | [`outcomes`] | is it an error, a cancellation, or neither |
//! | [`choosing_labels`] | which labels to take, and what they cost |
//! | [`streams`] | how to measure long responses, percentiles, and tokens |
//! | [`layer_order`] | where the layer goes among others |
//! | [`bodies`] | what to do about code that takes one type of body |
//! | [`servers_and_clients`] | how to measure without axum: hyper, clients, a transport of your own |
//! | [`custom_metrics`] | how to show metrics of your own, several layers, other registries, the process |
//! | [`showing`] | where to serve the page: a route, a port of its own, behind a password, by push |
//! | [`testing`] | how to test that a service counts what it should |
//! | [`fleet`] | what many instances cost, what a restart loses, and where to add up |
//! | [`dashboards`] | how to get a dashboard, alerts and runbooks |
//! | [`at_night`] | what to look at when something is broken |

#[doc = include_str!("at_night.md")]
pub mod at_night {}
#[doc = include_str!("bodies.md")]
pub mod bodies {}
#[doc = include_str!("choosing_labels.md")]
pub mod choosing_labels {}
#[doc = include_str!("custom_metrics.md")]
pub mod custom_metrics {}
#[doc = include_str!("dashboards.md")]
pub mod dashboards {}
#[doc = include_str!("fleet.md")]
pub mod fleet {}
#[doc = include_str!("layer_order.md")]
pub mod layer_order {}
#[doc = include_str!("numbers.md")]
pub mod numbers {}
#[doc = include_str!("outcomes.md")]
pub mod outcomes {}
#[doc = include_str!("servers_and_clients.md")]
pub mod servers_and_clients {}
#[doc = include_str!("showing.md")]
pub mod showing {}
#[doc = include_str!("streams.md")]
pub mod streams {}
#[doc = include_str!("testing.md")]
pub mod testing {}
