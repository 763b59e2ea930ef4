//! Slow, silent and malicious clients.

use crate::client::{Client, within};
use crate::metrics::{HUGE, huge_page};
use crate::{HOUR, SHORT, patient, start, start_empty};
use std::net::SocketAddr;
use std::time::Duration;
use std::{env, net, process};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tower_openmetrics::server::StatusServerHandle;

const REQUEST: &str = "GET /live HTTP/1.1\r\nHost: x\r\n\r\n";
const HALF_A_REQUEST: &str = "GET /live HTTP/1.1\r\nHost";

#[tokio::test]
async fn a_client_without_a_whole_head_is_closed_after_the_header_timeout() {
    let server = start_empty(patient().header_timeout(SHORT)).await;
    let addr = server.local_addr();
    let mut idle = Client::connect_and_send(addr, REQUEST);
    assert_eq!(idle.answer().await.status, 200);
    let mut silent = Client::connect(addr).await;
    let mut half_sent = Client::connect_and_send(addr, HALF_A_REQUEST);
    let mut with_the_last = Client::connect_and_send(addr, &[REQUEST, HALF_A_REQUEST].concat());
    assert_eq!(with_the_last.answer().await.status, 200);
    let mut later = Client::connect_and_send(addr, REQUEST);
    assert_eq!(later.answer().await.status, 200);
    later.send("GET").await.unwrap();
    silent.closed().await;
    half_sent.closed().await;
    with_the_last.closed().await;
    later.closed().await;
    // An idle connection has the longer `read_timeout`.
    assert_eq!(idle.get("/live").await.status, 200);
}

#[tokio::test]
async fn an_idle_client_is_closed_after_the_read_timeout() {
    for server in [
        patient().read_timeout(SHORT),
        patient().read_timeout(SHORT).header_timeout(HOUR),
    ] {
        let server = start_empty(server).await;
        let addr = server.local_addr();
        let mut silent = Client::connect(addr).await;
        let mut half_sent = Client::connect_and_send(addr, HALF_A_REQUEST);
        let mut idle = Client::connect_and_send(addr, REQUEST);
        assert_eq!(idle.answer().await.status, 200);
        silent.closed().await;
        half_sent.closed().await;
        idle.closed().await;
    }
}

#[tokio::test]
async fn a_client_that_never_reads_is_closed_after_the_write_timeout() {
    let one_short_write = patient().max_connections(1).write_timeout(SHORT);
    let server = start(one_short_write, &huge_page()).await;
    let mut greedy = Client::connect_with_small_buffer(server.local_addr()).await;
    greedy.send_request("GET", "/metrics").await.unwrap();
    greedy.read_some().await;
    // The second client is accepted once the first one is closed.
    let mut next = Client::connect(server.local_addr()).await;
    assert_eq!(next.get("/live").await.status, 200);
    assert!(greedy.closed().await < HUGE);
}

#[tokio::test]
async fn a_request_body_that_never_arrives_does_not_block() {
    let server = start_empty(patient().max_connections(1)).await;
    let mut first = Client::connect(server.local_addr()).await;
    let promise = "GET /live HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nx";
    assert_eq!(first.ask(promise).await.status, 200);
    first.closed().await;
    let mut second = Client::connect(server.local_addr()).await;
    assert_eq!(second.get("/live").await.status, 200);
}

#[tokio::test]
async fn a_new_client_evicts_an_idle_one() {
    let server = start_empty(patient().max_connections(2)).await;
    let addr = server.local_addr();
    let mut half_sent = Client::connect(addr).await;
    half_sent.send(HALF_A_REQUEST).await.unwrap();
    let mut last = Client::connect(addr).await;
    assert_eq!(last.get("/live").await.status, 200);
    for _ in 0..10 {
        let mut next = Client::connect(addr).await;
        assert_eq!(next.get("/live").await.status, 200);
        last.closed().await;
        last = next;
    }
    // A client in the middle of a request still gets its response.
    half_sent.send(": x\r\n\r\n").await.unwrap();
    assert_eq!(half_sent.answer().await.status, 200);
    half_sent.closed().await;
}

/// The place that the next client needed has become free by itself, so nobody needs another one.
#[tokio::test]
async fn a_client_that_nobody_waits_for_keeps_its_place() {
    let server = start_empty(patient().max_connections(1)).await;
    let addr = server.local_addr();
    let mut first = Client::connect(addr).await;
    let mut next = Client::connect(addr).await;
    assert_eq!(first.get("/live").await.status, 200);
    first.closed().await;
    assert_eq!(next.get("/live").await.status, 200);
    next.send(HALF_A_REQUEST).await.unwrap();
    // Longer than clients are spared if somebody waits.
    sleep(Duration::from_millis(500)).await;
    next.send(": x\r\n\r\n").await.unwrap();
    assert_eq!(next.answer().await.status, 200);
}

#[tokio::test]
async fn a_new_client_evicts_a_silent_one_after_the_grace() {
    let server = start_empty(patient().max_connections(1)).await;
    let mut silent = Client::connect(server.local_addr()).await;
    let mut next = Client::connect(server.local_addr()).await;
    assert_eq!(next.get("/live").await.status, 200);
    assert_eq!(silent.closed().await, 0);
}

#[tokio::test]
async fn a_new_client_evicts_the_one_that_has_idled_longest() {
    let server = start_empty(patient().max_connections(3)).await;
    let addr = server.local_addr();
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Client::connect(addr).await;
        assert_eq!(client.get("/live").await.status, 200);
        clients.push(client);
    }
    assert_eq!(clients[0].get("/live").await.status, 200);
    let mut next = Client::connect(addr).await;
    assert_eq!(next.get("/live").await.status, 200);
    assert_eq!(clients[1].closed().await, 0);
    // The other connections close after their next response.
    for at in [0, 2] {
        let answer = clients[at].get("/live").await;
        assert_eq!(answer.header("connection"), Some("close"));
        assert_eq!(clients[at].closed().await, 0);
    }
    // The new client stays.
    assert_eq!(next.get("/live").await.header("connection"), None);
}

#[tokio::test]
async fn a_new_client_evicts_one_that_reads_nothing() {
    let server = start(patient().max_connections(1), &huge_page()).await;
    let mut greedy = Client::connect_with_small_buffer(server.local_addr()).await;
    greedy.send_request("GET", "/metrics").await.unwrap();
    greedy.read_some().await;
    let mut next = Client::connect(server.local_addr()).await;
    assert_eq!(next.get("/live").await.status, 200);
    assert!(greedy.closed().await < HUGE);
}

/// What an attacker does with each of its connections. It reconnects when one is closed.
#[derive(Clone, Copy, Debug)]
enum Attack {
    /// Sends the bytes once and reads everything.
    Send(&'static str),
    /// Sends the bytes again after each read.
    Repeat(&'static str),
    /// Sends the bytes over and over and reads nothing.
    Flood(&'static str),
}

impl Attack {
    async fn run(self, addr: SocketAddr) {
        loop {
            let mut client = Client::connect_with_small_buffer(addr).await;
            match self {
                Attack::Send(bytes) => {
                    let _ = client.try_send(bytes).await;
                    client.read_to_end().await;
                }
                Attack::Repeat(bytes) => {
                    while client.try_send(bytes).await.is_ok() && client.skip_some().await {}
                }
                Attack::Flood(bytes) => while client.try_send(bytes).await.is_ok() {},
            }
        }
    }
}

/// All timeouts are an hour, so only evictions help.
async fn check_attack(server: StatusServerHandle, attackers: usize, attack: Attack) {
    let addr = server.local_addr();
    let mut attacking = JoinSet::new();
    for _ in 0..attackers {
        attacking.spawn(attack.run(addr));
    }
    for _ in 0..3 {
        let mut client = Client::connect(addr).await;
        assert_eq!(client.get("/live").await.status, 200, "{attack:?}");
    }
    attacking.shutdown().await;
    within(server.shutdown()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_responds_while_200_clients_send_half_a_request_and_reconnect() {
    let server = start_empty(patient()).await;
    check_attack(server, 200, Attack::Send(HALF_A_REQUEST)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_responds_during_every_attack() {
    for attack in [
        Attack::Send(""),
        Attack::Send("\r\n"),
        Attack::Send(REQUEST),
        Attack::Send("hello\r\n\r\n"),
        Attack::Send("GET /live HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx"),
        Attack::Send("POST /live HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"),
        Attack::Repeat(REQUEST),
        Attack::Flood(REQUEST),
        Attack::Flood("x"),
    ] {
        let server = start_empty(patient().max_connections(4)).await;
        check_attack(server, 12, attack).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_responds_while_clients_request_pages_and_read_nothing() {
    let server = start(patient().max_connections(4), &huge_page()).await;
    let request = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    check_attack(server, 12, Attack::Flood(request)).await;
}

/// `nc -N` and some probes close their half after the request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_closed_client_gets_its_whole_response() {
    let empty = start_empty(patient()).await;
    for (path, status) in [
        ("/live", 200),
        ("/health", 503),
        ("/metrics", 200),
        ("/none", 404),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        for _ in 0..20 {
            check_half_closed(&empty, &request, 1, status).await;
        }
        check_half_closed(&empty, &request, 3, status).await;
    }
    let huge = start(patient(), &huge_page()).await;
    let request = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    assert!(check_half_closed(&huge, request, 2, 200).await > HUGE);
}

/// Sends `request` several times and closes its half. Returns the length of the last response.
async fn check_half_closed(
    server: &StatusServerHandle,
    request: &str,
    times: usize,
    status: u16,
) -> usize {
    let mut client = Client::connect(server.local_addr()).await;
    client.send(&request.repeat(times)).await.unwrap();
    client.half_close().await;
    let mut length = 0;
    for _ in 0..times {
        let answer = client.answer().await;
        assert_eq!(answer.status, status, "{request}");
        length = answer.body.len();
    }
    assert_eq!(client.closed().await, 0);
    length
}

/// All other limits are an hour.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_read_nothing_do_not_block_other_scrapes() {
    let exporter = huge_page().exporter().deadline(HOUR);
    let server = patient().bind(exporter).await.expect("a free port").spawn();
    let addr = server.local_addr();
    let mut readers = Vec::new();
    for _ in 0..8 {
        let mut reader = Client::connect_with_small_buffer(addr).await;
        let request = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        reader.send(request).await.unwrap();
        reader.read_some().await;
        readers.push(reader);
    }
    let mut client = Client::connect(addr).await;
    let mut answer = client.get("/metrics").await;
    within(async {
        while answer.status != 200 {
            sleep(SHORT).await;
            answer = client.get("/metrics").await;
        }
    })
    .await;
    assert!(answer.body.len() > HUGE);
    // Exactly one of them was evicted.
    let mut broken = 0;
    for mut reader in readers {
        broken += usize::from(reader.closed().await < HUGE);
    }
    assert_eq!(broken, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_concurrent_clients_all_get_a_response() {
    let server = start_empty(patient().max_connections(3)).await;
    let addr = server.local_addr();
    let clients: Vec<_> = (0..100)
        .map(|_| tokio::spawn(async move { Client::connect(addr).await.get("/live").await.status }))
        .collect();
    for client in clients {
        assert_eq!(within(client).await.unwrap(), 200);
    }
    within(server.shutdown()).await;
}

/// Runs itself in a child process with a low limit of open files, to exhaust them.
#[cfg(unix)]
#[tokio::test]
async fn the_server_recovers_from_a_lack_of_file_descriptors() {
    const NAME: &str = "clients::the_server_recovers_from_a_lack_of_file_descriptors";
    if env::var_os("STATUS_CHILD").is_none() {
        let status = process::Command::new("sh")
            .args(["-c", r#"ulimit -n 64 && exec "$0" --exact "$1""#])
            .args([env::current_exe().unwrap().as_os_str(), NAME.as_ref()])
            .env("STATUS_CHILD", "")
            .status();
        assert!(status.unwrap().success());
        return;
    }
    let server = start_empty(patient()).await;
    let addr = server.local_addr();
    // The server runs on this thread, so it accepts nothing within this loop.
    let mut clients: Vec<_> = (0..)
        .map_while(|_| net::TcpStream::connect(addr).ok())
        .collect();
    // The server accepts one client and fails at the next. The test can't observe that, so it
    // yields many times.
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    drop(clients.drain(1..));
    let mut client = Client::connect(addr).await;
    assert_eq!(client.get("/live").await.status, 200);
    within(server.shutdown()).await;
}
