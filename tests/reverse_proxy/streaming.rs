use crate::Running;
use crate::wire_support::{Handler, Http1, Http2, Scripted, Server, bounded, data, trailers};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use http_body_util::channel::{Channel, Sender};
use hyper::body::Incoming;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use tokio::net::TcpStream;
use tower::{BoxError, service_fn};

/// The chunks of the next response body.
type Answer = Arc<Mutex<Option<Channel<Bytes, BoxError>>>>;

async fn server_that_streams() -> (Server, Sender<Bytes, BoxError>) {
    let (sender, body) = Channel::new(1);
    let answer: Answer = Arc::new(Mutex::new(Some(body)));
    let service = service_fn(move |_: Request<Incoming>| {
        let body = answer.lock().unwrap().take().expect("one request");
        async { Ok::<_, Infallible>(Response::new(body)) }
    });
    (Server::start(service).await, sender)
}

#[tokio::test]
async fn a_response_is_forwarded_chunk_by_chunk() {
    let (server, mut chunks) = server_that_streams().await;
    let proxy = Running::before(server.address()).await;
    let mut client = Http1::connect_to(proxy.address).await;
    client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    // Each chunk is sent after the previous one has arrived.
    for chunk in ["one", "two", "three"] {
        let sent = chunks.send_data(Bytes::from_static(chunk.as_bytes()));
        bounded("sending", sent).await.unwrap();
        client.receive_until(&format!("{chunk}\r\n")).await;
    }
    let opened = r#"concurrent_requests{endpoint="proxy",method="GET"} 1"#;
    let so_far = r#"response_bytes_total{endpoint="proxy",method="GET",status="2xx"} 11"#;
    proxy.shows(&[opened, so_far]).await;
    drop(chunks);
    client.receive_until("0\r\n\r\n").await;
    proxy
        .shows(&[
            r#"requests_total{endpoint="proxy",method="GET",status="2xx"} 1"#,
            r#"cancellations_total{endpoint="proxy",method="GET",status="2xx"} 0"#,
            r#"upstream_requests_total{endpoint="proxy",method="GET",status="2xx"} 1"#,
            r#"upstream_response_bytes_total{endpoint="proxy",method="GET",status="2xx"} 11"#,
            r#"concurrent_requests{endpoint="proxy",method="GET"} 0"#,
        ])
        .await;
}

#[tokio::test]
async fn an_upload_is_forwarded_chunk_by_chunk() {
    let handler = Handler::sends(Scripted::new([data("thanks")])).reads_all();
    let server = Server::start(handler.clone()).await;
    let proxy = Running::before(server.address()).await;
    let mut client = Http1::connect_to(proxy.address).await;
    let head = "POST / HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\n";
    client.send(head).await;
    for (chunk, sum) in [("3\r\none\r\n", 3), ("4\r\nfour\r\n", 7)] {
        client.send(chunk).await;
        handler.is_here().await; // the server has read it
        let read = format!(r#"request_bytes_total{{endpoint="proxy",method="POST"}} {sum}"#);
        proxy.shows(&[&read, &format!("upstream_{read}")]).await;
    }
    client.send("0\r\n\r\n").await;
    client.receive_until("0\r\n\r\n").await;
}

fn with_trailers() -> Handler {
    let mut response = Response::new(Scripted::new([data("hello"), trailers()]));
    let headers = response.headers_mut();
    headers.insert("trailer", "x-sum".parse().unwrap());
    Handler::answers(response)
}

#[tokio::test]
async fn trailers_pass_over_http1() {
    let server = Server::start(with_trailers()).await;
    let proxy = Running::before(server.address()).await;
    let mut client = Http1::connect_to(proxy.address).await;
    let request = "GET / HTTP/1.1\r\nhost: shop\r\nte: trailers\r\nconnection: te\r\n\r\n";
    client.send(request).await;
    let answer = client.receive_until("x-sum: 42\r\n\r\n").await;
    assert!(
        answer.contains("\r\n5\r\nhello\r\n0\r\nx-sum: 42\r\n\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn trailers_pass_over_http2() {
    let server = Server::start(with_trailers()).await;
    let proxy = Running::before(server.address()).await;
    let socket = TcpStream::connect(proxy.address).await.unwrap();
    let mut client = Http2::over(socket).await;
    let request = Request::get("http://shop/").header("te", "trailers");
    let mut stream = client.send(request.body(()).unwrap(), true).await;
    let received = stream.receive().await;
    assert_eq!(received.data, b"hello");
    assert_eq!(received.trailers.unwrap()["x-sum"], "42");
}

/// A GET may have a body, although it seldom does.
#[tokio::test]
async fn a_get_keeps_its_body() {
    let echo = service_fn(async |request: Request<Incoming>| {
        let body = request.into_body().collect().await?.to_bytes();
        Ok::<_, hyper::Error>(Response::new(http_body_util::Full::new(body)))
    });
    let server = Server::start(echo).await;
    let proxy = Running::before(server.address()).await;
    let socket = TcpStream::connect(proxy.address).await.unwrap();
    let mut client = Http2::over(socket).await;
    let request = Request::get("http://shop/").body(()).unwrap();
    let mut stream = client.send(request, false).await;
    stream.upload(b"what I want", true);
    assert_eq!(stream.receive().await.data, b"what I want");
}
