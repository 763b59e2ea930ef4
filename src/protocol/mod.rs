//! How a kind of traffic is measured.
//!
//! A protocol has two halves: [`Protocol`] for what goes in, [`Answer`] for what comes
//! out. [`Http`] is the one that [`MetricsLayer::new`](crate::MetricsLayer::new) uses.
//!
//! The halves are two traits because one over both would make the type of the inner
//! service's request depend on the type of its response, and that on the request's again.

mod http;
mod incoming;
mod pass_handle;
mod streaming;
mod unary;

pub(crate) use self::http::Due;
pub use self::http::Http;
pub use self::incoming::{Incoming, Many, One};
pub use self::pass_handle::PassHandle;
pub use self::streaming::Streaming;
pub use self::unary::Unary;

use crate::call::Call;

/// What goes in: how a request is wrapped so that its [`Call`] learns of it.
///
/// Implementations are cloned for every call.
pub trait Protocol<Req>: Clone {
    /// What the inner service is called with.
    type Request;

    /// A call begins with `request`.
    fn open(&self, call: &mut Call, request: Req) -> Self::Request;
}

/// What comes out: how a response, or the lack of one, is told to its [`Call`].
pub trait Answer<Res, E>: Clone {
    /// What the caller gets.
    type Response;

    /// The service has answered. The response takes the call along, to end it
    /// when it ends itself.
    fn answer(&self, call: Call, response: Res) -> Self::Response;

    /// The service has failed, and the call with it.
    fn failed(&self, call: Call, error: &E);
}
