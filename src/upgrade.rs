//! Calls whose connection becomes something else, as a WebSocket does.
//!
//! A call is upgraded by an answer with the status 101, and by a 2xx to CONNECT, which is a tunnel or, over
//! HTTP/2, a WebSocket too. What flows from then on is not HTTP's, and no layer sees it.
//!
//! | the call | ends | is timed |
//! |---|---|---|
//! | that nobody follows | at the head of its answer | nowhere |
//! | that an [`UpgradeGuard`] follows | when the guard is dropped, and is in flight till then | in `stream_duration_seconds`, if the layer [has](crate::MetricsLayerBuilder::stream_duration_seconds) it |
//!
//! It is never in `request_duration_seconds`, whose count is then less than `requests_total` by the calls that were upgraded. All else is as for any
//! call: it is counted once in `requests_total`, with its status, and as failed if its answer says so.
//!
//! # In a handler
//!
//! The handler moves a guard into the task that has the socket, and puts the [`UpgradedCall`] into its answer's extensions:
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
//!         drop(guard); // now the call has ended
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
//! With axum that is `(Extension(call), upgrade.on_upgrade(async move |socket| { …; drop(guard) }))`.
//! `examples/websocket.rs` is a server of axum's, and has the same with tungstenite alone. If more layers than one measure the call,
//! the guard keeps all of them informed.
//!
//! # In a client
//!
//! A layer for [clients](crate::MetricsLayer::client) puts an [`UpgradedCall`] into the extensions of the answer, if there is none, and the
//! program takes a guard of that:
//!
//! ```
//! use http::Response;
//! use tower_openmetrics::UpgradedCall;
//!
//! fn follow<B>(response: &Response<B>) {
//!     if let Some(call) = response.extensions().get::<UpgradedCall>() {
//!         let guard = call.guard();
//!         // ... goes where the socket goes.
//!     }
//! }
//! ```
//!
//! A proxy that hands on the extensions of that answer, and keeps such a guard with its tunnel, has followed the call that it got as well.

use crate::call::Call;
use crate::classify::{ErrorType, Fault};
use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// A call whose connection becomes something else; goes into the extensions of its answer.
///
/// There the layer finds it and hands the call over. See the [module](self) for how a handler uses it. In an answer that upgrades nothing it
/// does nothing.
#[derive(Clone, Default)]
pub struct UpgradedCall {
    shared: Arc<Mutex<Shared>>,
}

/// Follows an upgraded call: keeps it in flight until it is dropped. Made by [`UpgradedCall::guard`].
///
/// The call has then completed, unless it had failed before or a [`fault`](Self::fault) was named. If a panic drops the guard the call
/// has failed, as [`panic`](ErrorType::PANIC).
#[must_use = "a guard that is dropped ends the call"]
pub struct UpgradeGuard {
    call: UpgradedCall,
}

#[derive(Default)]
struct Shared {
    /// One for each layer that the answer has passed.
    calls: Vec<Call>,
    /// How many guards there are; none, if there has been none yet.
    guards: Option<usize>,
    fault: Option<Fault>,
}

// === impl UpgradedCall ===

impl UpgradedCall {
    /// A call that nobody follows yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A guard that follows the call. If there are more than one, the call ends with the last.
    ///
    /// If there is none by the time that the connection is handed over, and none comes as long as this is somewhere, nobody follows the
    /// call.
    pub fn guard(&self) -> UpgradeGuard {
        *self.lock().guards.get_or_insert_default() += 1;
        UpgradeGuard { call: self.clone() }
    }

    /// The call is whoever's who follows it, unless they have given up.
    pub(crate) fn take_over(&self, call: Call) {
        let mut shared = self.lock();
        if shared.guards != Some(0) {
            shared.calls.push(call);
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
    /// Says that the call has failed, or that the other side went away before it was done. Only the first fault counts.
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
