//! Shared by the examples' servers: accepts connections, limits how long they wait, and drains them.
//!
//! A server that waits forever for the rest of a request runs out of file descriptors after a few hundred such
//! connections. Then it accepts no more. Neither `axum::serve` nor tonic's `Server` limits that wait. This one closes a
//! connection if no whole head comes within [`HEAD`]. When no descriptor is left, it closes connections that wait for
//! their client, beginning with those that have waited longest.
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

/// How long a client may take for its TLS handshake and the head of its first request.
pub(crate) const HEAD: Duration = Duration::from_secs(5);

/// How long a client may pause within the body of a request, if the response needs the whole body.
pub(crate) const UPLOAD: Duration = Duration::from_secs(10);

/// How long a connection stays open between two requests. Prometheus comes every 15 or 30 seconds.
pub(crate) const IDLE: Duration = Duration::from_secs(40);

/// How long responses in flight may take after the signal to stop.
const GRACE: Duration = Duration::from_secs(10);

/// How long a connection may wait for its client even if no descriptor is left.
const COURTESY: Duration = Duration::from_secs(1);

/// How many connections are closed at a time when no descriptor is left, and the pause after that. During the pause,
/// other parts of the process can open what they need, such as connections of the status server.
const MADE_ROOM: usize = 16;
const PAUSE: Duration = Duration::from_millis(200);

/// Serves HTTP/1.1 and HTTP/2, as each client chooses, until `stop`. Then responses in flight may finish. Each request
/// has its client's `SocketAddr` in its extensions.
pub(crate) async fn serve<S, B>(listener: TcpListener, service: S, stop: CancellationToken)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>,
    S: Clone + Send + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    serve_after(listener, |socket| ready(Some(socket)), service, stop).await;
}

/// Like [`serve`], over the result of each connection's handshake.
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

/// Runs `connection` for each client until `stop`. Then open connections may finish.
///
/// The last argument of `connection` notifies it when another one needs its file descriptor.
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
                    // Sends each piece of a response at once, even if it is small.
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

/// The number of requests in flight. `None` before the first one.
type Calls = watch::Sender<Option<usize>>;

/// A request in flight.
struct Call(Calls);

/// Serves one connection. Ignores its errors, which are the client's.
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
        // The call ends with the body of its response.
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
    // `outstayed` limits this wait, also before the first byte and for HTTP/2.
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None);
    // Detects clients that disappear during a long response.
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(IDLE)
        // For WebSockets.
        .enable_connect_protocol();
    let service = TowerToHyperService::new(service);
    let mut connection = pin!(http.serve_connection_with_upgrades(TokioIo::new(io), service));
    tokio::select! {
        // Reads what has arrived before it checks the time.
        biased;
        _ = &mut connection => return,
        _ = over => {}
    }
    if calls.borrow().is_some() {
        connection.as_mut().graceful_shutdown();
        let _ = timeout(GRACE, connection).await;
    }
    // Returning closes the connection. A client that has sent half a head gets no response.
}

/// Returns once the client's time for its next request is over.
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

    /// Keeps the connection busy. Over HTTP/2 a WebSocket is a stream of the connection, and its end can't be seen here.
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
