//! What a client can't do to the others.

use crate::client::{Client, within};
use crate::metrics::{HUGE, huge_page};
use crate::{HOUR, SHORT, patient, start, start_empty};
use std::net::SocketAddr;
use std::{env, net, process};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tower_openmetrics::server::StatusServerHandle;

const REQUEST: &str = "GET /live HTTP/1.1\r\nHost: x\r\n\r\n";
const HALF_A_REQUEST: &str = "GET /live HTTP/1.1\r\nHost";

#[tokio::test]
async fn a_client_that_sends_no_whole_head_is_cut_off() {
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
    // Who has sent no part of another request has more time for it.
    assert_eq!(idle.get("/live").await.status, 200);
}

#[tokio::test]
async fn a_client_that_asks_for_nothing_more_is_cut_off() {
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
async fn a_client_that_never_reads_is_cut_off() {
    let one_short_write = patient().max_connections(1).write_timeout(SHORT);
    let server = start(one_short_write, &huge_page()).await;
    let mut greedy = Client::connect_with_small_buffer(server.local_addr()).await;
    greedy.send_request("GET", "/metrics").await.unwrap();
    greedy.read_some().await;
    // There is room for this one once the other is gone.
    let mut next = Client::connect(server.local_addr()).await;
    assert_eq!(next.get("/live").await.status, 200);
    assert!(greedy.closed().await < HUGE);
}

#[tokio::test]
async fn a_body_that_never_comes_holds_nothing_up() {
    let server = start_empty(patient().max_connections(1)).await;
    let mut first = Client::connect(server.local_addr()).await;
    let promise = "GET /live HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nx";
    assert_eq!(first.ask(promise).await.status, 200);
    first.closed().await;
    let mut second = Client::connect(server.local_addr()).await;
    assert_eq!(second.get("/live").await.status, 200);
}

#[tokio::test]
async fn a_crowd_makes_room_by_closing_who_is_idle() {
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
    // Who was in the middle of a request still gets its answer.
    half_sent.send(": x\r\n\r\n").await.unwrap();
    assert_eq!(half_sent.answer().await.status, 200);
    half_sent.closed().await;
}

#[tokio::test]
async fn a_crowd_waits_for_those_who_say_nothing_but_not_for_long() {
    let server = start_empty(patient().max_connections(1)).await;
    let mut silent = Client::connect(server.local_addr()).await;
    let mut next = Client::connect(server.local_addr()).await;
    assert_eq!(next.get("/live").await.status, 200);
    assert_eq!(silent.closed().await, 0);
}

#[tokio::test]
async fn a_crowd_makes_room_by_closing_who_has_idled_longest() {
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
    // The others are answered once more, and then nobody is kept in a crowd.
    for at in [0, 2] {
        let answer = clients[at].get("/live").await;
        assert_eq!(answer.header("connection"), Some("close"));
        assert_eq!(clients[at].closed().await, 0);
    }
    // Who came into the crowd stays.
    assert_eq!(next.get("/live").await.header("connection"), None);
}

#[tokio::test]
async fn a_crowd_makes_room_by_closing_who_reads_nothing() {
    let server = start(patient().max_connections(1), &huge_page()).await;
    let mut greedy = Client::connect_with_small_buffer(server.local_addr()).await;
    greedy.send_request("GET", "/metrics").await.unwrap();
    greedy.read_some().await;
    let mut next = Client::connect(server.local_addr()).await;
    assert_eq!(next.get("/live").await.status, 200);
    assert!(greedy.closed().await < HUGE);
}

/// What an attacker does with a connection, until it is cut off and comes back.
#[derive(Clone, Copy, Debug)]
enum Attack {
    /// Sends this, and reads what comes.
    Send(&'static str),
    /// Sends this once more whenever something comes.
    Repeat(&'static str),
    /// Sends this over and over, and reads nothing.
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

/// With every timeout at an hour: what helps is that the attackers lose their places.
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
async fn live_is_answered_while_200_send_half_a_request_and_come_back() {
    let server = start_empty(patient()).await;
    check_attack(server, 200, Attack::Send(HALF_A_REQUEST)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_is_answered_whatever_the_others_do() {
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
async fn live_is_answered_while_others_read_no_page() {
    let server = start(patient().max_connections(4), &huge_page()).await;
    let request = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    check_attack(server, 12, Attack::Flood(request)).await;
}

/// As `nc -N` and some probes do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_has_said_all_it_has_to_say_gets_its_whole_answer() {
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

/// Sends the request so often and nothing more, and returns how long the last answer was.
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

/// With every other limit at an hour.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_read_nothing_do_not_keep_others_from_the_page() {
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
    // One of them had to go for that, and nobody else.
    let mut broken = 0;
    for mut reader in readers {
        broken += usize::from(reader.closed().await < HUGE);
    }
    assert_eq!(broken, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_at_once_are_all_answered() {
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

/// Runs itself again in a process that may open few files, so that it can use
/// them up.
#[cfg(unix)]
#[tokio::test]
async fn a_lack_of_file_descriptors_passes() {
    const NAME: &str = "clients::a_lack_of_file_descriptors_passes";
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
    // This thread is the server's too: it accepts nobody in here.
    let mut clients: Vec<_> = (0..)
        .map_while(|_| net::TcpStream::connect(addr).ok())
        .collect();
    // There is room for one, but it brings the next to wait in vain: nothing
    // tells when the server has noticed, so it gets many turns.
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    drop(clients.drain(1..));
    let mut client = Client::connect(addr).await;
    assert_eq!(client.get("/live").await.status, 200);
    within(server.shutdown()).await;
}
