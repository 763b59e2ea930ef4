use crate::hyper_example::serve;
use crate::running::{Running, request};
use crate::wire_support::{Http1, Http2};
use http::Request;
use tokio::net::TcpStream;

#[tokio::test]
async fn calls_are_counted_over_both_versions() {
    let server = Running::start(serve).await;
    server
        .check(&[
            ("GET", "/", "", "200", "hello\n"),
            ("GET", "/hello/anna", "", "200", "hello to you\n"),
            ("GET", "/hello/bert", "", "200", "hello to you\n"),
            ("POST", "/count", "some bytes", "200", "10\n"),
            ("GET", "/count", "", "405", "use another method\n"),
            ("GET", "/hello/a/b", "", "404", "there is no such page\n"),
        ])
        .await;
    let socket = TcpStream::connect(server.address).await.unwrap();
    let mut client = Http2::over(socket).await;
    let upload = Request::post("http://a/count").body(()).unwrap();
    let mut stream = client.send(upload, false).await;
    stream.upload(b"some", false);
    stream.upload(b" bytes!", true);
    assert_eq!(stream.receive().await.data, b"11\n");
    client.close();

    let page = server
        .expect(&[
            r#"requests_total{method="GET",route="/",service="plain",status="200",version="1.1"} 1"#,
            r#"requests_total{method="GET",route="/hello/{name}",service="plain",status="200",version="1.1"} 2"#,
            r#"requests_total{method="GET",route="/count",service="plain",status="405",version="1.1"} 1"#,
            r#"requests_total{method="GET",route="none",service="plain",status="404",version="1.1"} 1"#,
            r#"request_bytes_total{method="POST",route="/count",service="plain",version="1.1"} 10"#,
            r#"request_bytes_total{method="POST",route="/count",service="plain",version="2"} 11"#,
            r#"response_bytes_total{method="POST",route="/count",service="plain",status="200",version="1.1"} 3"#,
            r#"response_bytes_total{method="POST",route="/count",service="plain",status="200",version="2"} 3"#,
            r#"requests_total{method="POST",route="/count",service="plain",status="200",version="2"} 1"#,
        ])
        .await;
    assert!(!page.contains("/metrics"), "{page}");
    server.stop().await;
}

#[tokio::test]
async fn it_stops_after_all_responses() {
    let server = Running::start(serve).await;
    let mut upload = Http1::connect_to(server.address).await;
    let whole = request("POST", "/count", "some bytes");
    let (first, rest) = whole.split_at(whole.len() - 5);
    upload.send(first).await;
    server
        .expect(&[
            r#"concurrent_requests{method="POST",route="/count",service="plain",version="1.1"} 1"#,
        ])
        .await;
    server.begin_to_stop();
    upload.send(rest).await;
    assert!(upload.receive_all().await.ends_with(b"\r\n\r\n10\n"));
    server.stop().await;
}
