//! Heads as the server and the client receive them.

use crate::Running;
use crate::wire_support::{Http1, Http2, bounded};
use http::Request;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Starts a server that responds to one request with this, and returns the head that it received.
async fn answers_once(answer: &'static str) -> (SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let head = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            assert_ne!(socket.read_buf(&mut head).await.unwrap(), 0);
        }
        socket.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(head).unwrap()
    });
    (address, head)
}

const EMPTY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// Returns the first line of the head that the server received, and its other lines, sorted.
async fn lines(head: JoinHandle<String>) -> (String, Vec<String>) {
    let head = bounded("the server", head).await.unwrap();
    let mut lines = head.trim_end().split("\r\n").map(str::to_owned);
    let first = lines.next().unwrap();
    let mut others: Vec<String> = lines.collect();
    others.sort_unstable();
    (first, others)
}

#[tokio::test]
async fn connection_headers_are_not_forwarded() {
    let (server, head) = answers_once(
        "HTTP/1.1 200 Fine\r\ncontent-length: 2\r\nconnection: x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\nx-end: 2\r\n\r\nok",
    )
    .await;
    let proxy = Running::before(server).await;
    let mut client = Http1::connect_to(proxy.address).await;
    client
        .send(
            "GET /a?b=c HTTP/1.1\r\nhost: shop.example\r\nconnection: keep-alive, X-Hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\nproxy-connection: x\r\nte: gzip\r\nupgrade: h2c\r\nx-forwarded-for: 10.0.0.1\r\nx-end: 2\r\n\r\n",
        )
        .await;
    let answer = client.receive_until("\r\n\r\nok").await;
    assert!(answer.starts_with("HTTP/1.1 200 Fine\r\n"), "{answer}");
    for gone in ["x-hop", "keep-alive", "connection"] {
        assert!(!answer.contains(gone), "{answer}");
    }
    assert!(answer.contains("x-end: 2\r\n"), "{answer}");

    let (first, others) = lines(head).await;
    assert_eq!(first, "GET /a?b=c HTTP/1.1");
    assert_eq!(
        others,
        [
            "host: shop.example",
            "via: 1.1 reverse_proxy",
            "x-end: 2",
            "x-forwarded-for: 10.0.0.1",
            "x-forwarded-for: 127.0.0.1",
        ]
    );
}

#[tokio::test]
async fn the_authority_of_http2_is_the_host() {
    let (server, head) = answers_once(EMPTY).await;
    let proxy = Running::before(server).await;
    let socket = TcpStream::connect(proxy.address).await.unwrap();
    let mut client = Http2::over(socket).await;
    let request = Request::get("http://shop.example/a").body(()).unwrap();
    client.send(request, true).await.receive().await;
    let (first, others) = lines(head).await;
    assert_eq!(first, "GET /a HTTP/1.1");
    assert!(
        others.contains(&"host: shop.example".to_owned()),
        "{others:?}"
    );
}

#[tokio::test]
async fn a_response_to_head_has_a_length_and_no_body() {
    let (server, head) = answers_once("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n").await;
    let proxy = Running::before(server).await;
    let mut client = Http1::connect_to(proxy.address).await;
    client.send("HEAD / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    let answer = client.receive_until("\r\n\r\n").await;
    assert!(answer.contains("content-length: 9\r\n"), "{answer}");
    lines(head).await;
    let done = r#"requests_total{endpoint="proxy",method="HEAD",status="2xx"} 1"#;
    proxy.shows(&[done, &format!("upstream_{done}")]).await;
}

#[tokio::test]
async fn an_old_server_is_passed_on_in_http_1_1() {
    let (server, head) = answers_once("HTTP/1.0 404 Not Found\r\n\r\nold").await;
    let proxy = Running::before(server).await;
    let mut client = Http1::connect_to(proxy.address).await;
    client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    let answer = client.receive_until("0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    lines(head).await;
    proxy
        .shows(&[
            r#"requests_total{endpoint="proxy",method="GET",status="4xx"} 1"#,
            r#"upstream_errors_total{endpoint="proxy",error_type="rejected",method="GET"} 1"#,
        ])
        .await;
    // The server's layer doesn't count the status as a failure.
    let page = proxy.page();
    let failed = |line: &str| line.starts_with("errors_total") && !line.ends_with(" 0");
    assert!(!page.lines().any(failed), "{page}");
}
