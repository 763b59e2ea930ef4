//! Upgraded calls, whose connection leaves HTTP, such as WebSockets.
//!
//! A call is upgraded by a response with status 101, or by a 2xx response to CONNECT, which opens a tunnel or, over
//! HTTP/2, a WebSocket. No layer sees the data that follows.
//!
//! | upgraded call | end | duration |
//! |---|---|---|
//! | without a guard | at the response head | not recorded |
//! | with an [`UpgradeGuard`] | when the guard is dropped; in flight until then | in `stream_duration_seconds`, if the layer [has it](crate::MetricsLayerBuilder::stream_duration_seconds) |
//!
//! Upgraded calls are never in `request_duration_seconds`, so its count is lower than `requests_total`. In all other metrics they count like
//! any call: once in `requests_total`, with their status, and as failed if the response is a failure.
//!
//! # Servers
//!
//! The handler moves a guard into the socket's task, and inserts the [`UpgradedCall`] into the extensions of its response:
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Empty;
//! use hyper_util::rt::TokioIo;
//! use std::convert::Infallible;
//! use tower_openmetrics::UpgradedCall;
//!
//! async fn echo<B>(mut request: Request<B>) -> Result<Response<Empty<Bytes>>, Infallible> {
//!     let call = UpgradedCall::new();
//!     let guard = call.guard();
//!     let upgrade = hyper::upgrade::on(&mut request);
//!     tokio::spawn(async move {
//!         if let Ok(socket) = upgrade.await {
//!             let (mut reader, mut writer) = tokio::io::split(TokioIo::new(socket));
//!             let _ = tokio::io::copy(&mut reader, &mut writer).await;
//!         }
//!         drop(guard); // ends the call
//!     });
//!     let mut response = Response::new(Empty::new());
//!     *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
//!     response.headers_mut().insert("connection", "upgrade".parse().expect("a value"));
//!     response.headers_mut().insert("upgrade", "echo".parse().expect("a value"));
//!     response.extensions_mut().insert(call);
//!     Ok(response)
//! }
//! # use tower::{ServiceExt, service_fn};
//! # use tower_openmetrics::MetricsLayer;
//! # use tower::Layer;
//! # let service = MetricsLayer::default().layer(service_fn(echo));
//! # let _ = || service.oneshot(Request::new(Empty::<Bytes>::new()));
//! ```
//!
//! With axum, return `(Extension(call), upgrade.on_upgrade(async move |socket| { …; drop(guard) }))`. The example
//! `examples/websocket.rs` shows this, and the same with tungstenite alone. If several layers measure the call, the guard ends it for
//! all of them.
//!
//! # Clients
//!
//! A layer for [clients](crate::MetricsLayer::client) inserts an [`UpgradedCall`] into the extensions of the response, if there is none. The
//! program takes a guard from it:
//!
//! ```
//! use http::Response;
//! use tower_openmetrics::UpgradedCall;
//!
//! fn follow<B>(response: &Response<B>) {
//!     if let Some(call) = response.extensions().get::<UpgradedCall>() {
//!         let guard = call.guard();
//!         // Keep the guard with the socket.
//!     }
//! }
//! ```
//!
//! In a proxy that passes the extensions of that response on, the same guard also covers the call of the proxy's own client.

use crate::call::Call;
use crate::classify::{ErrorType, Fault};
use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// An upgraded call, to be inserted into the extensions of its response.
///
/// The layer finds it there and gives it the call. See the [module](self) for an example. In a response that does not upgrade, it has no
/// effect.
#[derive(Clone, Default)]
pub struct UpgradedCall {
    shared: Arc<Mutex<Shared>>,
}

/// Keeps an upgraded call in flight until it is dropped. Returned by [`UpgradedCall::guard`].
///
/// The call then completes, unless it has failed before or a [`fault`](Self::fault) was reported. If a panic drops the guard, the call
/// fails as [`panic`](ErrorType::PANIC).
#[must_use = "dropping the guard ends the call"]
pub struct UpgradeGuard {
    call: UpgradedCall,
}

#[derive(Default)]
struct Shared {
    /// One call for each layer that the response has passed.
    calls: Vec<Call>,
    /// Number of guards. `None` if there has never been one.
    guards: Option<usize>,
    fault: Option<Fault>,
}

// === impl UpgradedCall ===

impl UpgradedCall {
    /// Returns an upgraded call without a guard.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a guard that keeps the call in flight. With several guards, the call ends with the last one.
    ///
    /// If the last clone of this value is dropped and there has been no guard, the call ends without a duration.
    pub fn guard(&self) -> UpgradeGuard {
        *self.lock().guards.get_or_insert_default() += 1;
        UpgradeGuard { call: self.clone() }
    }

    /// Takes `call` from a layer. Ends it at once if all guards have been dropped.
    pub(crate) fn take_over(&self, mut call: Call) {
        let mut shared = self.lock();
        if shared.guards != Some(0) {
            shared.calls.push(call);
            return;
        }
        let fault = shared.fault;
        // A fault, and the end of a call, may drop functions of users, one of which may have a guard.
        drop(shared);
        if let Some(fault) = fault {
            call.fault(fault);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for UpgradedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpgradedCall").finish_non_exhaustive()
    }
}

// === impl UpgradeGuard ===

impl UpgradeGuard {
    /// Reports that the call has failed, or that the peer went away early. Only the first fault counts.
    pub fn fault(&self, fault: impl Into<Fault>) {
        self.call.lock().fault.get_or_insert(fault.into());
    }
}

impl Drop for UpgradeGuard {
    fn drop(&mut self) {
        let mut shared = self.call.lock();
        let left = shared.guards.unwrap_or_default().saturating_sub(1);
        shared.guards = Some(left);
        if thread::panicking() {
            shared.fault.get_or_insert(ErrorType::PANIC.into());
        }
        if left > 0 {
            return;
        }
        let fault = shared.fault;
        let calls = mem::take(&mut shared.calls);
        drop(shared);
        for mut call in calls {
            if let Some(fault) = fault {
                call.fault(fault);
            }
            call.time_as_stream();
        }
    }
}

impl fmt::Debug for UpgradeGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpgradeGuard").finish_non_exhaustive()
    }
}
