use super::activity::Activity;
use super::limits::Limits;
use super::routes::Routes;
use super::tracked::{TrackedBody, TrackedIo};
use http::HeaderValue;
use http::header::CONNECTION;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::sleep;

/// Maximum size of a request head. A scraper sends far less.
const MAX_HEAD_BYTES: usize = 16 * 1024;

const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// Serves one connection until the client closes it, exceeds a timeout, or is evicted.
///
/// The connection is closed on return, even if data is in flight.
pub(super) async fn serve(
    stream: TcpStream,
    routes: Arc<Routes>,
    limits: Limits,
    activity: Arc<Activity>,
    mut stop: watch::Receiver<bool>,
) {
    // The body must not wait for the acknowledgement of the head. A failure only delays it.
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(TrackedIo {
        inner: stream,
        activity: Arc::clone(&activity),
    });
    let service = service_fn(|request| {
        activity.requested();
        let routes = Arc::clone(&routes);
        let activity = Arc::clone(&activity);
        async move {
            let mut response = routes.respond(request).await;
            if activity.closes_after_response() {
                response.headers_mut().insert(CONNECTION, CLOSE);
            }
            Ok::<_, Infallible>(response.map(|inner| TrackedBody { inner, activity }))
        }
    });
    let connection = http1::Builder::new()
        // A client may close its half of the connection after its request.
        .half_close(true)
        // `overdue` enforces this timeout. It does not count the time between two requests.
        .header_read_timeout(None)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(io, service);
    let mut connection = pin!(connection);
    let mut overdue = pin!(overdue(&activity, &limits));
    let mut evicted = pin!(activity.evicted());
    let mut stopped = pin!(stop.wait_for(|stop| *stop));
    let mut stopping = false;

    // The connection is polled first, so that the checks see everything that has arrived. An
    // error of the connection concerns only its client.
    loop {
        tokio::select! {
            biased;
            _ = &mut connection => return,
            () = &mut overdue => return,
            () = &mut evicted => return,
            // A request that has begun still gets its response.
            _ = &mut stopped, if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Returns once the client has exceeded a timeout.
///
/// Must be polled after the connection, to see what that poll has changed.
async fn overdue(activity: &Activity, limits: &Limits) {
    let mut timer = pin!(sleep(Duration::ZERO));
    poll_fn(|cx| {
        let Some(deadline) = activity.deadline(limits) else {
            return Poll::Pending;
        };
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx)
    })
    .await;
}
