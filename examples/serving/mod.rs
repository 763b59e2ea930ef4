//! What the examples' servers share: connections are accepted, watched and drained.
//!
//! A server that waits for half a request for ever runs out of file descriptors after a few hundred of them, and then
//! accepts nobody. Neither `axum::serve` nor tonic's `Server` limits that wait. Here a connection is closed
//! if no whole head comes within [`HEAD`]. When no descriptor is left, connections that wait for their client make room:
//! those first that have waited longest.
#![allow(dead_code, reason = "each example uses some of it")]

use http::{Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::future::{Future, ready};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::{BoxError, Service, ServiceExt, service_fn};

/// How long a client may take for the head of its first request, its TLS handshake included.
pub(crate) const HEAD: Duration = Duration::from_secs(5);

/// How long a client may pause within the body of a request, where the whole of it is needed for an answer.
pub(crate) const UPLOAD: Duration = Duration::from_secs(10);

/// How long a connection stays open between two requests. Prometheus comes every 15 or 30 seconds.
pub(crate) const IDLE: Duration = Duration::from_secs(40);

/// How long answers that are on their way may take after the signal to stop.
const GRACE: Duration = Duration::from_secs(10);

/// How long a connection may wait for its client, however few descriptors there are.
const COURTESY: Duration = Duration::from_secs(1);

/// How many connections make room at a time, and how long the process then has to use it: whoever else needs a
/// descriptor, as the status server does, gets one meanwhile.
const MADE_ROOM: usize = 16;
const PAUSE: Duration = Duration::from_millis(200);

/// Serves HTTP/1.1 and HTTP/2, whichever a client begins with, until `stop`. Then answers that are on their way may
/// finish. A request has its client's `SocketAddr` among its extensions.
pub(crate) async fn serve<S, B>(listener: TcpListener, service: S, stop: CancellationToken)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>,
    S: Clone + Send + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    serve_after(listener, |socket| ready(Some(socket)), service, stop).await;
}

/// As [`serve`], over what comes of each connection's handshake.
pub(crate) async fn serve_after<H, F, IO, S, B>(
    listener: TcpListener,
    handshake: H,
    service: S,
    stop: CancellationToken,
) where
    H: Fn(TcpStream) -> F,
    F: Future<Output = Option<IO>> + Send + 'static,
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>,
    S: Clone + Send + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    let stopped = stop.clone();
    accept(listener, stop, |socket, peer, room| {
        let stop = stopped.clone();
        connection(handshake(socket), peer, service.clone(), room, stop)
    })
    .await;
}

/// Runs `connection` for each client until `stop`. Then those that are left may finish.
///
/// It is notified through the last argument when another one needs its file descriptor.
pub(crate) async fn accept<F>(
    listener: TcpListener,
    stop: CancellationToken,
    connection: impl Fn(TcpStream, SocketAddr, Arc<Notify>) -> F,
) where
    F: Future<Output: Send> + Send + 'static,
{
    let room = Arc::new(Notify::new());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => {
                    // Each piece of an answer on its way at once, however small it is.
                    let _ = socket.set_nodelay(true);
                    connections.spawn(connection(socket, peer, Arc::clone(&room)));
                }
                Err(error) => {
                    eprintln!("no connection could be accepted: {error}");
                    // The longest waiters are notified first.
                    (0..MADE_ROOM).for_each(|_| room.notify_one());
                    sleep(PAUSE).await;
                }
            }
        }
    }
    drop(listener);
    let all_end = async { while connections.join_next().await.is_some() {} };
    if timeout(GRACE, all_end).await.is_err() {
        eprintln!("some answers took longer than {GRACE:?} and are cut off");
    }
}

// === one connection over HTTP ===

/// How many requests are on their way. None before the first one.
type Calls = watch::Sender<Option<usize>>;

/// A request that is on its way.
struct Call(Calls);

/// How a connection fails is its client's affair.
async fn connection<IO, S, B>(
    handshake: impl Future<Output = Option<IO>>,
    peer: SocketAddr,
    service: S,
    room: Arc<Notify>,
    stop: CancellationToken,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>,
    S: Clone + Send + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    let calls = Calls::new(None);
    let begun = calls.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let call = Call::begin(&begun);
        let wants_tunnel = request.method() == Method::CONNECT;
        request.extensions_mut().insert(peer);
        let answer = service.clone().oneshot(request);
        // It ends with the body of its answer.
        async move {
            let answer = answer.await?;
            if wants_tunnel && answer.status().is_success() {
                call.becomes_a_tunnel();
            }
            Ok::<_, Infallible>(answer.map(|body| {
                body.map_err(move |error| {
                    let _ = &call;
                    error
                })
            }))
        }
    });
    let over = stop.run_until_cancelled(outstayed(&calls, &room));
    let mut over = pin!(over);

    let io = tokio::select! {
        biased;
        io = handshake => io,
        _ = &mut over => None,
    };
    let Some(io) = io else { return };
    let mut http = auto::Builder::new(TokioExecutor::new());
    // `outstayed` does that, for the time before the first byte and for HTTP/2 as well.
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None);
    // Finds out clients that have vanished while their answer takes long.
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(IDLE)
        // For WebSockets.
        .enable_connect_protocol();
    let service = TowerToHyperService::new(service);
    let mut connection = pin!(http.serve_connection_with_upgrades(TokioIo::new(io), service));
    tokio::select! {
        // What has arrived is seen before it is judged.
        biased;
        _ = &mut connection => return,
        _ = over => {}
    }
    if calls.borrow().is_some() {
        connection.as_mut().graceful_shutdown();
        let _ = timeout(GRACE, connection).await;
    }
    // To return is to close it: half a head gets no farewell.
}

/// Returns once the client has had all the time that there is for its next request.
async fn outstayed(calls: &Calls, room: &Notify) {
    let mut calls = calls.subscribe();
    loop {
        let running = *calls.borrow_and_update();
        let patience = match running {
            None => Some(HEAD),
            Some(0) => Some(IDLE),
            Some(_) => None,
        };
        tokio::select! {
            biased;
            _ = calls.changed() => {}
            () = passed(patience.unwrap_or_default(), room), if patience.is_some() => return,
        }
    }
}

async fn passed(patience: Duration, room: &Notify) {
    sleep(COURTESY).await;
    let _ = timeout(patience - COURTESY, room.notified()).await;
}

// === impl Call ===

impl Call {
    fn begin(calls: &Calls) -> Self {
        calls.send_modify(|calls| *calls = Some(calls.unwrap_or(0) + 1));
        Self(calls.clone())
    }

    /// Over HTTP/2 a WebSocket is a stream of the connection, of whose end nothing is heard here.
    fn becomes_a_tunnel(&self) {
        self.0
            .send_modify(|calls| *calls = calls.map(|calls| calls + 1));
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0
            .send_modify(|calls| *calls = calls.map(|calls| calls - 1));
    }
}
