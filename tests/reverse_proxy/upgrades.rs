use crate::Running;
use crate::wire_support::{Http1, Server};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::service_fn;

const UPGRADE: &str =
    "GET /chat HTTP/1.1\r\nhost: shop\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\n";

/// A handler that upgrades to an echo on request. It sends a greeting first.
async fn echo(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let headers = request.headers();
    let asked = headers.get("upgrade").is_some_and(|to| to == "echo")
        && headers
            .get("connection")
            .is_some_and(|how| how == "upgrade");
    let mut response = Response::new(Full::default());
    if asked {
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert("connection", "upgrade".parse().unwrap());
        headers.insert("upgrade", "echo".parse().unwrap());
        let upgraded = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut io = TokioIo::new(upgraded.await.unwrap());
            io.write_all(b"welcome\n").await.unwrap();
            let mut buffer = [0; 64];
            while let Ok(bytes @ 1..) = io.read(&mut buffer).await {
                io.write_all(&buffer[..bytes]).await.unwrap();
            }
            io.write_all(b"bye\n").await.unwrap();
        });
    }
    Ok(response)
}

#[tokio::test]
async fn an_upgraded_connection_is_a_tunnel() {
    let server = Server::start(service_fn(echo)).await;
    let proxy = Running::before(server.address()).await;
    let mut client = Http1::connect_to(proxy.address).await;
    client.send(UPGRADE).await;
    let answer = client.receive_until("welcome\n").await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert!(answer.contains("upgrade: echo\r\n"), "{answer}");
    assert!(answer.contains("connection: upgrade\r\n"), "{answer}");
    for word in ["to be\n", "or not to be\n"] {
        client.send(word).await;
        client.receive_until(word).await;
    }
    // Both calls are open until the tunnel is closed.
    proxy
        .shows(&[
            r#"concurrent_requests{endpoint="proxy",method="GET"} 1"#,
            r#"upstream_concurrent_requests{endpoint="proxy",method="GET"} 1"#,
        ])
        .await;
    client.stop_sending().await;
    assert_eq!(client.receive_all().await, b"bye\n");
    proxy
        .shows(&[
            r#"requests_total{endpoint="proxy",method="GET",status="1xx"} 1"#,
            r#"cancellations_total{endpoint="proxy",method="GET",status="1xx"} 0"#,
            r#"stream_duration_seconds_count{endpoint="proxy",method="GET"} 1"#,
            r#"request_duration_seconds_count{endpoint="proxy",method="GET"} 0"#,
            r#"upstream_requests_total{endpoint="proxy",method="GET",status="1xx"} 1"#,
            r#"upstream_stream_duration_seconds_count{endpoint="proxy",method="GET"} 1"#,
            r#"upstream_request_duration_seconds_count{endpoint="proxy",method="GET"} 0"#,
        ])
        .await;
}

#[tokio::test]
async fn a_server_may_decline_an_upgrade() {
    let server = Server::start(service_fn(echo)).await;
    let proxy = Running::before(server.address()).await;
    let mut client = Http1::connect_to(proxy.address).await;
    client.send(UPGRADE.replace("echo", "other")).await;
    let answer = client.receive_until("\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // The connection can be used for another request.
    client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    client.receive_until("\r\n\r\n").await;
}

#[tokio::test]
async fn a_connect_is_refused() {
    let server = Server::start(service_fn(echo)).await;
    let proxy = Running::before(server.address()).await;
    let mut client = Http1::connect_to(proxy.address).await;
    client
        .send("CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n")
        .await;
    let answer = client.receive_until("tunnels here\n").await;
    assert!(answer.starts_with("HTTP/1.1 501 "), "{answer}");
}
