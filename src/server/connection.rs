use super::activity::{Activity, Room};
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

/// How much of a request's head is kept: far more than a scraper sends.
const MAX_HEAD_BYTES: usize = 16 * 1024;

const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// Serves one connection until its end: that of its client, that of the
/// client's time, or that of its place if others want it. To return is to
/// close it, whatever is on its way.
pub(super) async fn serve(
    stream: TcpStream,
    routes: Arc<Routes>,
    limits: Limits,
    activity: Arc<Activity>,
    mut stop: watch::Receiver<bool>,
) {
    // An answer shall not wait for the peer's acknowledgement of its head. It
    // only comes later where this fails.
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(TrackedIo::new(stream, Arc::clone(&activity)));
    let service = service_fn(|request| {
        activity.requested();
        let routes = Arc::clone(&routes);
        let activity = Arc::clone(&activity);
        async move {
            let mut answer = routes.answer(request).await;
            if activity.ends_with_answer() {
                answer.headers_mut().insert(CONNECTION, CLOSE);
            }
            Ok::<_, Infallible>(answer.map(|body| TrackedBody::new(body, activity)))
        }
    });
    let connection = http1::Builder::new()
        // A client that has said all it has to say still wants its answer.
        .half_close(true)
        // There is `overdue` for that, which tells a head from a pause.
        .header_read_timeout(None)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(io, service);
    let mut connection = pin!(connection);
    let mut overdue = pin!(overdue(&activity, &limits));

    // The connection always comes first, so that what has arrived is seen
    // before it is judged. How a connection fails is its client's affair.
    loop {
        tokio::select! {
            biased;
            _ = &mut connection => return,
            () = &mut overdue => return,
            // To stop lets a request that has begun have its answer.
            _ = stop.wait_for(|stop| *stop) => break,
            () = activity.room_wanted() => match activity.room() {
                Room::Now => return,
                Room::AfterAnswer => connection.as_mut().graceful_shutdown(),
                Room::NotYet => {}
            },
        }
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        biased;
        _ = connection => {}
        () = overdue => {}
    }
}

/// Returns once the client has taken too long.
///
/// It sees what a poll of the connection has changed if it is polled after it.
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
