//! What a client can't do to the others.

use crate::client::{Client, within};
use crate::metrics::{HUGE, huge_page};
use crate::{SHORT, patient, start, start_empty};
use std::{env, net, process};

#[tokio::test]
async fn a_client_that_sends_no_whole_head_is_cut_off() {
    let server = start_empty(patient().read_timeout(SHORT)).await;
    let addr = server.local_addr();
    let mut silent = Client::connect(addr).await;
    let mut half_sent = Client::connect_and_send(addr, "GET /live HTTP/1.1\r\nHost");
    let mut idle = Client::connect_and_send(addr, "GET /live HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(idle.answer().await.status, 200);
    silent.closed().await;
    half_sent.closed().await;
    idle.closed().await;
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
    half_sent.send("GET /live HTTP/1.1\r\nHost").await.unwrap();
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
