use crate::axum_example;
use crate::axum_example::process::Stop;
use crate::running::{Running, request};
use crate::wire_support::Http1;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::BoxError;

#[tokio::test]
async fn calls_are_counted_by_method_route_and_status() {
    let server = Running::start(serve).await;
    // A declared label set is on the page before any call.
    server
        .expect(&[
            r#"requests_total{method="GET",route="/items/{id}",service="shop",status="200"} 0"#,
        ])
        .await;
    server
        .check(&[
            ("GET", "/items/7", "", "200", "item 7\n"),
            ("GET", "/items/42", "", "200", "item 42\n"),
            ("GET", "/items/100", "", "404", ""),
            ("DELETE", "/items/7", "", "405", ""),
            ("POST", "/words", "two words", "200", "2\n"),
            ("GET", "/nowhere", "", "404", "there is no such page\n"),
            ("GET", "/health", "", "200", "ok\n"),
        ])
        .await;
    let page = server
        .expect(&[
            r#"requests_total{method="GET",route="/items/{id}",service="shop",status="200"} 2"#,
            r#"requests_total{method="GET",route="/items/{id}",service="shop",status="404"} 1"#,
            r#"requests_total{method="DELETE",route="/items/{id}",service="shop",status="405"} 1"#,
            r#"requests_total{method="POST",route="/words",service="shop",status="200"} 1"#,
            r#"requests_total{method="GET",route="none",service="shop",status="404"} 1"#,
            // "two words", then "item 7\n" and "item 42\n".
            r#"request_bytes_total{method="POST",route="/words",service="shop"} 9"#,
            r#"response_bytes_total{method="GET",route="/items/{id}",service="shop",status="200"} 15"#,
            r#"errors_total{error_type="invalid_message",method="DELETE",route="/items/{id}",service="shop"} 1"#,
            r#"request_duration_seconds_count{method="GET",route="/items/{id}",service="shop"} 3"#,
        ])
        .await;
    for absent in ["/health", "/metrics", "/nowhere"] {
        assert!(!page.contains(&format!("\"{absent}\"")), "{page}");
    }
    server.stop().await;
}

async fn serve(listener: TcpListener, stop: CancellationToken) -> Result<(), BoxError> {
    let (asked, closing) = (stop.clone(), stop);
    axum_example::serve(listener, Stop { asked, closing }).await
}

#[tokio::test]
async fn it_reports_not_ready_before_it_stops() {
    let asked = CancellationToken::new();
    let server = Running::start(|listener, closing| {
        let asked = asked.clone();
        axum_example::serve(listener, Stop { asked, closing })
    })
    .await;
    let health = async || server.ask("GET", "/health", "").await;
    assert!(health().await.starts_with("HTTP/1.1 200 "));
    asked.cancel();
    assert!(health().await.starts_with("HTTP/1.1 503 "));
    let item = server.ask("GET", "/items/7", "").await;
    assert!(item.starts_with("HTTP/1.1 200 "));
    server.stop().await;
}

const TICK: &str = "data: tick\n\n\r\n";

#[tokio::test]
async fn event_streams_have_a_duration_of_their_own() {
    let server = Running::start(serve).await;
    let mut client = Http1::connect_to(server.address).await;
    client.send(request("GET", "/ticks", "")).await;
    client.receive_until(TICK).await;
    client.reset();
    let page = server
        .expect(&[
            r#"cancellations_total{method="GET",route="/ticks",service="shop",status="200"} 1"#,
            r#"stream_duration_seconds_count{method="GET",route="/ticks",service="shop"} 1"#,
        ])
        .await;
    let duration = r#"request_duration_seconds_count{method="GET",route="/ticks",service="shop"} "#;
    assert!(!page.contains(&format!("{duration}1")), "{page}");
    server.stop().await;
}

#[tokio::test]
async fn it_stops_after_all_responses() {
    let server = Running::start(serve).await;
    let mut stream = Http1::connect_to(server.address).await;
    stream.send(request("GET", "/ticks", "")).await;
    stream.receive_until(TICK).await;
    let mut upload = Http1::connect_to(server.address).await;
    let whole = request("POST", "/words", "two words");
    let (first, rest) = whole.split_at(whole.len() - 5);
    upload.send(first).await;
    server
        .expect(&[
            r#"concurrent_requests{method="POST",route="/words",service="shop"} 1"#,
            r#"concurrent_requests{method="GET",route="/ticks",service="shop"} 1"#,
        ])
        .await;
    server.begin_to_stop();
    // The end of a chunked body.
    assert!(stream.receive_all().await.ends_with(b"0\r\n\r\n"));
    upload.send(rest).await;
    assert!(upload.receive_all().await.ends_with(b"\r\n\r\n2\n"));
    server.stop().await;
}
