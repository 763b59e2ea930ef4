use super::config::Limits;
use super::routes::Routes;
use super::stall::StallGuard;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::sleep;

/// How much of a request's head is kept: far more than a scraper sends.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// hyper adds its timeout to an `Instant`, which would overflow by a
/// `Duration::MAX` that stands for "never".
const NEVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How long a client that has asked for nothing yet is left alone in a crowd:
/// its request may well be on its way.
const HEAD_START: Duration = Duration::from_secs(1);

/// What a server gives its connections to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// Others want to be served: end, rather than wait for another request.
    MakeRoom,
    /// The server shuts down: end after the request that is on its way, if any.
    Stop,
}

/// Serves one connection until its end, which a notice brings about.
pub(super) async fn serve(
    stream: TcpStream,
    routes: Arc<Routes>,
    limits: Limits,
    mut notices: watch::Receiver<Notice>,
) {
    // An answer shall not wait for the peer's acknowledgement of its head. It
    // only comes later where this fails.
    let _ = stream.set_nodelay(true);
    let io = StallGuard::new(TokioIo::new(stream), limits.write_timeout);
    let answered = AtomicBool::new(false);
    let service = service_fn(|request| {
        answered.store(true, Relaxed);
        let routes = Arc::clone(&routes);
        async move { Ok::<_, Infallible>(routes.answer(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.read_timeout.min(NEVER))
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(io, service);
    let mut connection = pin!(connection);

    // The connection always comes first, so that a request that has arrived is
    // seen before the connection is told to end. How a connection fails is its
    // client's affair.
    tokio::select! {
        biased;
        _ = &mut connection => return,
        _ = notices.changed() => {}
    }
    let make_room = *notices.borrow() == Notice::MakeRoom;
    if make_room && !answered.load(Relaxed) {
        tokio::select! {
            biased;
            _ = &mut connection => return,
            _ = notices.wait_for(|notice| *notice == Notice::Stop) => {}
            () = sleep(HEAD_START) => {}
        }
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}
