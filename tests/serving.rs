//! What the examples' servers share: how long they wait for clients, what they do without file descriptors, and how
//! they stop.
//!
//! Time is paused where it matters, and the other waits are bounded.
#![cfg(all(feature = "server", unix))]

#[path = "../examples/process/mod.rs"]
mod process;
#[path = "../examples/serving/mod.rs"]
mod serving;
#[path = "../examples/status/mod.rs"]
mod status;

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use http::{Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use std::convert::Infallible;
use std::future::{Future, pending};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::service_fn;
use tower_openmetrics::MetricsRegistry;

/// How long a wait may take before its test fails: far more than it needs.
const BOUND: Duration = Duration::from_secs(20);

async fn within<F: Future>(bound: Duration, future: F) -> F::Output {
    let result = timeout(bound, future).await;
    result.unwrap_or_else(|_| panic!("nothing happened within {bound:?}"))
}

// === one server ===

const SLOW: Duration = Duration::from_secs(600);

/// Answers `/slow` and the second half of `/stream` after a while, and all else at once.
async fn answer(
    request: Request<Incoming>,
) -> Result<Response<UnsyncBoxBody<Bytes, Infallible>>, Infallible> {
    assert!(request.extensions().get::<SocketAddr>().is_some());
    if request.uri().path() == "/slow" {
        sleep(SLOW).await;
    }
    let body = match request.uri().path() {
        "/stream" => {
            let first = stream::iter(["begun,"]);
            let pieces =
                futures_util::StreamExt::chain(first, sleep(SLOW).map(|()| "ended").into_stream());
            let frames = futures_util::StreamExt::map(pieces, |piece| {
                Ok(Frame::data(Bytes::from_static(piece.as_bytes())))
            });
            StreamBody::new(frames).boxed_unsync()
        }
        _ => Full::from("hello").boxed_unsync(),
    };
    Ok(Response::new(body))
}

async fn start() -> (SocketAddr, CancellationToken, JoinSet<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let mut server = JoinSet::new();
    server.spawn(serving::serve(listener, service_fn(answer), stop.clone()));
    (addr, stop, server)
}

async fn say(addr: SocketAddr, said: &[u8]) -> TcpStream {
    let mut client = TcpStream::connect(addr).await.unwrap();
    client.write_all(said).await.unwrap();
    client
}

/// What comes until the server closes the connection.
async fn to_the_end(client: &mut TcpStream) -> String {
    let mut received = Vec::new();
    // Longer than a client may keep quiet, all told, and not as long as an answer may take.
    for _ in 0..SLOW.as_secs() / 2 {
        match timeout(Duration::from_secs(1), client.read_buf(&mut received)).await {
            Ok(Ok(0)) => return String::from_utf8_lossy(&received).into_owned(),
            Ok(read) => drop(read.expect("an end in good order")),
            // Paused time does not wait for what the system has still to bring here, which takes real time if it is busy.
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
    panic!("no end within {:?}", SLOW / 2);
}

async fn receive_until(client: &mut TcpStream, end: &str) {
    let mut received = Vec::new();
    while !received.ends_with(end.as_bytes()) {
        assert_ne!(client.read_buf(&mut received).await.unwrap(), 0, "no {end}");
    }
}

const WHOLE: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

#[tokio::test(start_paused = true)]
async fn half_a_request_is_closed() {
    let (addr, _stop, _server) = start().await;
    for half in [
        &b""[..],
        b"G",
        b"GET / HTTP/1.1\r\nhost: ",
        &PREFACE[..10],
        PREFACE,
        // The head of a request without its end.
        &[PREFACE, b"\0\0\x01\x01\0\0\0\0\x01\x82"].concat(),
    ] {
        let mut client = say(addr, half).await;
        let received = to_the_end(&mut client).await;
        assert!(!received.contains("hello"), "{received}");
    }
}

/// However the bytes come.
#[tokio::test(start_paused = true)]
async fn half_a_request_that_goes_on_is_closed() {
    let (addr, _stop, _server) = start().await;
    let client = say(addr, b"GET / HTTP/1.1\r\nx: ").await;
    let (mut from, mut to) = client.into_split();
    let dripping = async {
        while to.write_all(b"x").await.is_ok() {
            sleep(Duration::from_secs(1)).await;
        }
    };
    let closed = async { while from.read_u8().await.is_ok() {} };
    within(SLOW, async { tokio::join!(dripping, closed) }).await;
}

#[tokio::test(start_paused = true)]
async fn half_a_second_request_is_closed() {
    let (addr, _stop, _server) = start().await;
    for half in [&b""[..], b"GET / HT"] {
        let mut client = say(addr, WHOLE).await;
        receive_until(&mut client, "hello").await;
        // For so long it may keep quiet between two.
        sleep(serving::IDLE / 2).await;
        client.write_all(WHOLE).await.unwrap();
        receive_until(&mut client, "hello").await;
        client.write_all(half).await.unwrap();
        assert_eq!(to_the_end(&mut client).await, "");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_has_no_end_is_closed() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let handshake = |socket: TcpStream| async move {
        pending::<()>().await;
        Some(socket)
    };
    let stop = CancellationToken::new();
    let mut server = JoinSet::new();
    server.spawn(serving::serve_after(
        listener,
        handshake,
        service_fn(answer),
        stop,
    ));
    let mut client = say(addr, b"").await;
    assert_eq!(to_the_end(&mut client).await, "");
}

#[tokio::test(start_paused = true)]
async fn an_answer_takes_as_long_as_it_takes() {
    let (addr, _stop, _server) = start().await;
    for (path, ending) in [
        ("/slow", "hello"),
        ("/stream", "begun,\r\n5\r\nended\r\n0\r\n\r\n"),
    ] {
        let mut client = say(
            addr,
            format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes(),
        )
        .await;
        receive_until(&mut client, ending).await;
    }
}

#[tokio::test]
async fn it_stops_for_all_but_answers_that_are_on_their_way() {
    let (addr, stop, mut server) = start().await;
    let mut quiet = say(addr, b"").await;
    let mut half = say(addr, b"GET / HT").await;
    let mut idle = say(addr, WHOLE).await;
    receive_until(&mut idle, "hello").await;
    stop.cancel();
    for client in [&mut quiet, &mut half, &mut idle] {
        // Reset, if it wasn't accepted yet.
        let _ = within(BOUND, client.read_to_end(&mut Vec::new())).await;
    }
    within(BOUND, server.join_next()).await.unwrap().unwrap();
}

// === as a process ===

/// A process with a server and a status server, which is this test's own binary once more.
struct Served {
    process: Child,
    main: SocketAddr,
    status: SocketAddr,
}

/// Run by the tests below.
#[tokio::test]
#[ignore = "a process that others start"]
async fn served() {
    let stop = process::Stop::on_signals().unwrap();
    let listener = process::listen(Ipv4Addr::LOCALHOST, "DYN_HTTP_PORT", 0)
        .await
        .unwrap();
    println!("\nmain: http://{}/", listener.local_addr().unwrap());
    let page = MetricsRegistry::new().exporter();
    let status = status::serve(page, "main", &stop.asked).await.unwrap();
    serving::serve(listener, service_fn(answer), stop.closing).await;
    status.unwrap().shutdown().await;
}

impl Served {
    async fn start(drain_ms: &str) -> Self {
        let mut process = Command::new("sh")
            .args([
                "-c",
                "ulimit -n 256 && exec \"$0\" --exact served --ignored --nocapture",
            ])
            .arg(std::env::current_exe().unwrap())
            .env("DYN_SYSTEM_PORT", "0")
            .env("DYN_SYSTEM_HOST", "127.0.0.1")
            .env("DRAIN_MS", drain_ms)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut address = async |name: &str| loop {
            let line = lines.next_line().await.unwrap().expect("an address");
            if let Some((_, url)) = line.split_once(name) {
                let url = url.trim_start_matches(": http://");
                return url.split('/').next().unwrap().parse().unwrap();
            }
        };
        let main = within(BOUND, address("main")).await;
        let status = within(BOUND, address("status server")).await;
        // Or it would write to nobody.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self {
            process,
            main,
            status,
        }
    }

    fn terminate(&self) {
        let id = self.process.id().expect("it runs").to_string();
        let kill = std::process::Command::new("kill").arg(id).status();
        assert!(kill.unwrap().success());
    }

    async fn end(&mut self) -> ExitStatus {
        within(BOUND, self.process.wait()).await.unwrap()
    }
}

/// The first line of the answer, on a connection of its own.
async fn ask(addr: SocketAddr, path: &str) -> String {
    let asked = async {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let client = say(addr, request.as_bytes()).await;
        let mut line = String::new();
        BufReader::new(client).read_line(&mut line).await.unwrap();
        line
    };
    within(BOUND, asked).await
}

const OK: &str = "HTTP/1.1 200 OK\r\n";

#[tokio::test]
async fn it_says_that_it_is_not_ready_while_it_goes_on() {
    let an_hour = "3600000";
    let served = Served::start(an_hour).await;
    assert_eq!(ask(served.status, "/health").await, OK);
    served.terminate();
    let unready = async {
        while ask(served.status, "/health").await != "HTTP/1.1 503 Service Unavailable\r\n" {}
    };
    within(BOUND, unready).await;
    // On a connection that is made now.
    assert_eq!(ask(served.main, "/").await, OK);
    assert_eq!(ask(served.status, "/live").await, OK);
}

#[tokio::test]
async fn it_ends_after_the_pause() {
    let mut served = Served::start("0").await;
    let _quiet = say(served.main, b"").await;
    served.terminate();
    assert!(served.end().await.success());
}

/// More clients than there are file descriptors send half a request, and come back when they are cut off.
#[tokio::test]
async fn others_are_answered_under_half_requests() {
    let served = Served::start("0").await;
    let mut crowd = JoinSet::new();
    for _ in 0..300 {
        let addr = served.main;
        crowd.spawn(async move {
            loop {
                let Ok(mut client) = TcpStream::connect(addr).await else {
                    continue;
                };
                let _ = client.write_all(b"GET / HTTP/1.1\r\nhost: ").await;
                let _ = client.read_to_end(&mut Vec::new()).await;
            }
        });
    }
    // All that there is room for are there.
    let mut first = say(served.main, b"").await;
    let _ = within(BOUND, first.read_to_end(&mut Vec::new())).await;
    for _ in 0..3 {
        assert_eq!(ask(served.main, "/").await, OK);
        assert_eq!(ask(served.status, "/live").await, OK);
    }
}
