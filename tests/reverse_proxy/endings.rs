//! Calls that fail or are cancelled.

use crate::Running;
use crate::wire_support::{Handler, Http1, Scripted, Server, Step, data};
use http::Response;
use tokio::net::TcpListener;

const GET: &str = "GET / HTTP/1.1\r\nhost: shop\r\n\r\n";

#[tokio::test]
async fn the_server_is_down() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nowhere = listener.local_addr().unwrap();
    drop(listener);
    let proxy = Running::before(nowhere).await;
    let mut client = Http1::connect_to(proxy.address).await;
    client.send(GET).await;
    let answer = client.receive_until("did not answer\n").await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    proxy
        .shows(&[
            r#"requests_total{endpoint="proxy",method="GET",status="5xx"} 1"#,
            r#"errors_total{endpoint="proxy",error_type="generate",method="GET"} 1"#,
            r#"upstream_requests_total{endpoint="proxy",method="GET",status="none"} 1"#,
            r#"upstream_errors_total{endpoint="proxy",error_type="connect",method="GET"} 1"#,
        ])
        .await;
}

#[tokio::test]
async fn the_client_goes_away_before_the_response() {
    let handler = Handler::hangs();
    let server = Server::start(handler.clone()).await;
    let proxy = Running::before(server.address()).await;
    let mut client = Http1::connect_to(proxy.address).await;
    client.send(GET).await;
    handler.is_here().await;
    client.close();
    proxy
        .shows(&[
            r#"cancellations_total{endpoint="proxy",method="GET",status="none"} 1"#,
            r#"upstream_cancellations_total{endpoint="proxy",method="GET",status="none"} 1"#,
            r#"upstream_concurrent_requests{endpoint="proxy",method="GET"} 0"#,
        ])
        .await;
    server.stop().await; // the server's call was dropped too
}

#[tokio::test]
async fn the_client_goes_away_during_the_response() {
    let server = Server::start(Handler::sends(Scripted::new([data("abc"), Step::Hang]))).await;
    let proxy = Running::before(server.address()).await;
    let mut client = Http1::connect_to(proxy.address).await;
    client.send(GET).await;
    client.receive_until("abc\r\n").await;
    client.close();
    proxy
        .shows(&[
            r#"cancellations_total{endpoint="proxy",method="GET",status="2xx"} 1"#,
            r#"upstream_cancellations_total{endpoint="proxy",method="GET",status="2xx"} 1"#,
        ])
        .await;
    server.stop().await;
}

#[tokio::test]
async fn the_client_goes_away_during_its_upload() {
    let handler = Handler::hangs().reads_all();
    let server = Server::start(handler.clone()).await;
    let proxy = Running::before(server.address()).await;
    let mut client = Http1::connect_to(proxy.address).await;
    client
        .send("POST / HTTP/1.1\r\nhost: shop\r\ncontent-length: 9\r\n\r\nabc")
        .await;
    handler.is_here().await;
    client.close();
    proxy
        .shows(&[
            r#"request_bytes_total{endpoint="proxy",method="POST"} 3"#,
            r#"upstream_request_bytes_total{endpoint="proxy",method="POST"} 3"#,
            r#"cancellations_total{endpoint="proxy",method="POST",status="5xx"} 1"#,
            r#"concurrent_requests{endpoint="proxy",method="POST"} 0"#,
            r#"upstream_concurrent_requests{endpoint="proxy",method="POST"} 0"#,
        ])
        .await;
    let page = proxy.page();
    // The proxy can't send as much as it promised the server.
    let failed: Vec<_> = page
        .lines()
        .filter(|line| line.contains("errors_total{") && !line.ends_with(" 0"))
        .collect();
    assert_eq!(
        failed,
        [r#"upstream_errors_total{endpoint="proxy",error_type="invalid_message",method="POST"} 1"#],
        "{page}"
    );
}

#[tokio::test]
async fn the_server_breaks_off() {
    let mut response = Response::new(Scripted::new([data("abc"), Step::Yield, Step::Err]));
    response.headers_mut().insert("content-length", 5.into());
    let server = Server::start(Handler::answers(response)).await;
    let proxy = Running::before(server.address()).await;
    let mut client = Http1::connect_to(proxy.address).await;
    client.send(GET).await;
    let received = String::from_utf8(client.receive_all().await).unwrap();
    assert!(received.ends_with("\r\n\r\nabc"), "and closed: {received}");
    let failed = r#"errors_total{endpoint="proxy",error_type="publish_response",method="GET"} 1"#;
    proxy.shows(&[failed, &format!("upstream_{failed}")]).await;
}
