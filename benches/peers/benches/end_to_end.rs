//! What layers cost a whole server: axum over loopback, with 1 KiB up and 1 KiB down.
//!
//! ```text
//! cargo bench -p peers --bench end_to_end
//! ```
//!
//! How to read it: `server` is the processor's time in microseconds that the server's thread takes for a request, the kernel's share
//! of it included, and `both` that with what the clients take, who have a thread of their own on the same machine. The columns beside them say what
//! is left of the throughput that a layer allows which wraps both bodies and does nothing else. Servers take turns, and what
//! counts is the median of the rounds' ratios.

#[path = "../../harness/mod.rs"]
mod harness;

use axum::Router;
use axum::routing::{get, post};
use axum_prometheus::{PrometheusMetricLayer, PrometheusMetricLayerBuilder};
use bytes::Bytes;
use harness::layers::{built, labelled};
use harness::wrapping::Wrapping;
use harness::{Spread, is_measuring, processor};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{self, Runtime};
use tokio::task::JoinSet;
use tower_openmetrics::MetricsLayer;

const CONNECTIONS: usize = 16;
/// On each connection, in each round.
const REQUESTS: usize = 200;
const ROUNDS: usize = 60;

static PAYLOAD: [u8; 1024] = [7; 1024];

/// The place of the server that the others are set beside.
const WRAPPING: usize = 1;

fn main() {
    let rounds = if is_measuring() { ROUNDS } else { 1 };
    let (bind, bound) = mpsc::channel();
    thread::spawn(move || {
        processor::pin(processor::all()[0]);
        runtime().block_on(serve(bind));
    });
    let servers: Vec<(&str, SocketAddr)> = bound.iter().collect();
    let times = runtime().block_on(take_turns(&servers, rounds));

    println!(
        "{:36} {:>8} {:>8} {:>17}  {:>8} {:>8}",
        "", "server", "left", "quartiles", "both", "left"
    );
    for (row, (name, _)) in servers.iter().enumerate() {
        let [server, both] = [0, 1].map(|of| {
            let pairs = times[row].iter().zip(&times[WRAPPING]);
            let ratios = pairs
                .map(|(times, wrapping)| wrapping[of] / times[of])
                .collect();
            let median = Spread::of(times[row].iter().map(|times| times[of]).collect()).median;
            (median, Spread::of(ratios))
        });
        println!(
            "{name:36} {:8.2} {:8.3} {:8.3} – {:5.3}   {:8.2} {:8.3}",
            server.0,
            server.1.median,
            server.1.quarter,
            server.1.three_quarters,
            both.0,
            both.1.median
        );
    }
}

/// Serves for ever, on one thread, so that what that thread needs is what the requests need.
async fn serve(bind: mpsc::Sender<(&'static str, SocketAddr)>) {
    let (axum_prometheus, _page) = PrometheusMetricLayer::pair();
    let with_sizes = PrometheusMetricLayerBuilder::new()
        .with_prefix("sized")
        .enable_response_body_size(true)
        .build();
    let servers = [
        ("bare", app()),
        ("wrapping", app().layer(Wrapping::alone())),
        (
            "tower-openmetrics",
            app().layer(built(MetricsLayer::builder())),
        ),
        (
            "by method, route and status",
            app().layer(built(labelled())),
        ),
        ("axum-prometheus", app().layer(axum_prometheus)),
        ("axum-prometheus, body sizes", app().layer(with_sizes)),
    ];
    let mut serving = JoinSet::new();
    for (name, app) in servers {
        // How long this thread has had a processor; not measured itself.
        let app = app.route(
            "/time",
            get(async || processor::time().as_nanos().to_string()),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        serving.spawn(async { axum::serve(listener, app).await });
        bind.send((name, address))
            .expect("it waits for all of them");
    }
    drop(bind);
    serving.join_all().await;
}

fn app() -> Router {
    Router::new().route(
        "/items",
        post(async |_: Bytes| Bytes::from_static(&PAYLOAD)),
    )
}

/// Microseconds a request, of the server and of it and its clients, by server and round.
async fn take_turns(servers: &[(&str, SocketAddr)], rounds: usize) -> Vec<Vec<[f64; 2]>> {
    let mut connections = Vec::new();
    for (_, address) in servers {
        let mut all = Vec::new();
        for _ in 0..CONNECTIONS {
            all.push(connect(*address).await);
        }
        connections.push(all);
    }
    let mut times = vec![Vec::new(); servers.len()];
    for _ in 0..rounds {
        for (connections, times) in connections.iter_mut().zip(&mut times) {
            let before = [time(&mut connections[0]).await, processor::time()];
            let mut asking = JoinSet::new();
            for connection in connections.drain(..) {
                asking.spawn(ask(connection));
            }
            connections.extend(asking.join_all().await);
            let server = time(&mut connections[0]).await - before[0];
            let both = server + (processor::time() - before[1]);
            let requests = (CONNECTIONS * REQUESTS) as f64;
            times.push([server, both].map(|spent| spent.as_secs_f64() * 1e6 / requests));
        }
    }
    times
}

type Connection = SendRequest<Full<Bytes>>;

async fn ask(mut connection: Connection) -> Connection {
    for _ in 0..REQUESTS {
        let request = Request::post("/items");
        let body = Full::new(Bytes::from_static(&PAYLOAD));
        send(&mut connection, request.body(body).expect("a request")).await;
    }
    connection
}

async fn time(connection: &mut Connection) -> Duration {
    let request = Request::get("/time").body(Full::default());
    let nanos = send(connection, request.expect("a request")).await;
    let nanos = std::str::from_utf8(&nanos)
        .ok()
        .and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.expect("a number"))
}

async fn send(connection: &mut Connection, mut request: Request<Full<Bytes>>) -> Bytes {
    let host = http::HeaderValue::from_static("bench");
    request.headers_mut().insert("host", host);
    connection.ready().await.expect("a connection");
    let response = connection.send_request(request).await.expect("an answer");
    assert!(response.status().is_success());
    response
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes()
}

async fn connect(address: SocketAddr) -> Connection {
    let socket = TcpStream::connect(address).await.expect("a connection");
    socket.set_nodelay(true).expect("a socket");
    let (connection, driver) = handshake(TokioIo::new(socket)).await.expect("HTTP/1.1");
    tokio::spawn(driver);
    connection
}

fn runtime() -> Runtime {
    let mut builder = runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
}
