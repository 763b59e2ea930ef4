use super::activity::Activity;
use super::limits::Limits;
use super::routes::{self, Routes};
use super::tracked::TrackedIo;
use bytes::Bytes;
use http::HeaderValue;
use http::header::CONNECTION;
use http_body::Body;
use http_body_util::BodyExt;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tower::BoxError;

/// What all connections of a server share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) routes: Routes,
    pub(super) limits: Limits,
    /// Notified when another client needs a place. Wakes the connection that could have been evicted for longest, which
    /// then closes.
    pub(super) evictions: Notify,
}

/// Maximum size of a request head. A scraper sends far less.
const MAX_HEAD_BYTES: usize = 16 * 1024;

const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// Serves one connection until the client closes it, exceeds a timeout, or is evicted.
///
/// Once `closing` has changed, the connection closes after its next response. Once it is `true`, an idle connection closes
/// at once. The connection is closed on return, even if data is in flight.
pub(super) async fn serve(
    inner: TcpStream,
    shared: Arc<Shared>,
    mut closing: watch::Receiver<bool>,
) {
    // The body must not wait for the acknowledgement of the head. A failure only delays it.
    let _ = inner.set_nodelay(true);
    let (activity, shared) = (&Activity::new(), &*shared);
    let io = TokioIo::new(TrackedIo {
        inner,
        activity: activity.clone(),
    });
    // Never marks a change as seen, so that `has_changed` tells of any change since the connection began.
    let changes = &closing.clone();
    let service = service_fn(move |request| async move {
        activity.requested();
        let mut response = shared.routes.respond(request).await;
        if changes.has_changed().unwrap_or(true) {
            response.headers_mut().insert(CONNECTION, CLOSE);
        }
        Ok::<_, Infallible>(response.map(|body| tracked(body, activity.clone())))
    });
    let connection = http1::Builder::new()
        // A client may close its half of the connection after its request.
        .half_close(true)
        // `outstayed` limits this time. It does not count the time between two requests.
        .header_read_timeout(None)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(io, service);
    let mut connection = pin!(connection);
    let mut outstayed = pin!(activity.outstayed(&shared.limits, &shared.evictions));
    // The connection is polled first, so that the checks see everything that has arrived. An
    // error of the connection concerns only its client.
    tokio::select! {
        biased;
        _ = &mut connection => return,
        () = &mut outstayed => return,
        _ = closing.wait_for(|closing| *closing) => {}
    }
    // A request that has begun still gets its response.
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        biased;
        _ = connection => {}
        () = outstayed => {}
    }
}

/// Returns a body that reports its end: hyper drops a body once it has read all it needs.
fn tracked(
    body: routes::Body,
    activity: Activity,
) -> impl Body<Data = Bytes, Error = BoxError> + Send {
    struct Responding(Activity);

    impl Drop for Responding {
        fn drop(&mut self) {
            self.0.responded();
        }
    }

    let responding = Responding(activity);
    body.map_err(move |error| {
        let _ = &responding;
        error
    })
}
