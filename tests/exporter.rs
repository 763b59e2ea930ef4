//! The responses of [`MetricsExporter`], as a service and on the wire behind hyper and axum.

use axum::Router;
use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CONTENT_LENGTH, CONTENT_TYPE, VARY};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_test::assert_ready_ok;
use tower::{Service, ServiceExt};
use tower_openmetrics::exporter::{Body, ResponseFuture};
use tower_openmetrics::{Clock, MetricsExporter, MetricsLayer, MetricsRegistry};

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A request body of a type that implements neither `Body` nor `Send`.
struct Anything(#[expect(dead_code, reason = "only its type matters")] *const ());

fn exporter() -> MetricsExporter {
    // The clock stands still, so that equal states have pages of equal length.
    MetricsRegistry::with_clock(Clock::manual()).exporter()
}

fn request<B>(method: Method, accept: &str, body: B) -> Request<B> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = "/metrics".parse().unwrap();
    request
        .headers_mut()
        .insert(ACCEPT, accept.parse().unwrap());
    request
}

async fn call(method: Method, accept: &str) -> Response<Body> {
    let request = request(method, accept, Anything(std::ptr::null()));
    let Ok(response) = exporter().oneshot(request).await;
    response
}

/// Returns the value of `Content-Length`, which must appear once.
fn promised(headers: &HeaderMap) -> u64 {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let length = lengths.next().expect("a Content-Length");
    assert_eq!(lengths.next(), None, "one Content-Length");
    length.to_str().unwrap().parse().unwrap()
}

/// Asserts that HEAD has the length of the page that GET returns.
fn assert_promises_page(head: u64, get: u64) {
    assert!(head >= "# EOF\n".len() as u64, "{head}");
    assert_eq!(head, get);
}

async fn bounded<F: Future>(test: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), test)
        .await
        .expect("the test ends in time")
}

/// Serves the exporter over HTTP/1 and HTTP/2 until the runtime ends.
async fn hyper_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = TowerToHyperService::new(exporter());
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(socket), service).await;
            });
        }
    });
    address
}

/// Serves the exporter under `/metrics` of a router.
async fn axum_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().route_service("/metrics", exporter());
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// Returns the head in lower case, and everything after it.
async fn raw_http1(address: SocketAddr, method: Method) -> (String, String) {
    raw_http1_of(address, method, "").await
}

async fn raw_http1_of(address: SocketAddr, method: Method, query: &str) -> (String, String) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{method} /metrics{query} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\
         accept: application/openmetrics-text\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let (head, rest) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_ascii_lowercase(), rest.to_owned())
}

async fn http2(address: SocketAddr, method: Method) -> Response<hyper::body::Incoming> {
    http2_of(address, method, "").await
}

async fn http2_of(
    address: SocketAddr,
    method: Method,
    query: &str,
) -> Response<hyper::body::Incoming> {
    let socket = TcpStream::connect(address).await.unwrap();
    let (mut client, connection) =
        conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket))
            .await
            .unwrap();
    tokio::spawn(connection);
    let mut request = request(
        method,
        "application/openmetrics-text",
        Empty::<Bytes>::new(),
    );
    *request.uri_mut() = format!("http://{address}/metrics{query}").parse().unwrap();
    client.send_request(request).await.unwrap()
}

async fn check_http1(address: SocketAddr) {
    let (head, page) = raw_http1(address, Method::GET).await;
    assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
    assert!(
        head.contains(&format!("\r\ncontent-type: {OPEN_METRICS}")),
        "{head}"
    );
    assert!(head.contains("\r\nvary: accept, accept-encoding"), "{head}");
    assert!(!head.contains("transfer-encoding"), "{head}");
    let length = length_in(&head);
    assert_eq!(length, page.len() as u64);
    assert!(page.ends_with("# EOF\n"), "{page}");

    let (head, rest) = raw_http1(address, Method::HEAD).await;
    assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
    assert!(
        head.contains(&format!("\r\ncontent-type: {OPEN_METRICS}")),
        "{head}"
    );
    assert_promises_page(length_in(&head), length);
    assert_eq!(rest, "");

    let (head, text) = raw_http1(address, Method::POST).await;
    assert!(
        head.starts_with("http/1.1 405 method not allowed\r\n"),
        "{head}"
    );
    assert!(head.contains("\r\nallow: get, head"), "{head}");
    assert!(head.contains("\r\nvary: accept, accept-encoding"), "{head}");
    assert_eq!(length_in(&head), text.len() as u64);
}

fn length_in(head: &str) -> u64 {
    let mut lengths = head
        .split("\r\n")
        .filter_map(|line| line.strip_prefix("content-length: "));
    let length = lengths.next().expect("a Content-Length");
    assert_eq!(lengths.next(), None, "one Content-Length");
    length.parse().unwrap()
}

async fn check_http2(address: SocketAddr) {
    let get = http2(address, Method::GET).await;
    assert_eq!(get.status(), StatusCode::OK);
    assert_eq!(get.headers()[CONTENT_TYPE], OPEN_METRICS);
    assert_eq!(get.headers()[VARY], "Accept, Accept-Encoding");
    let length = promised(get.headers());
    let page = get.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(length, page.len() as u64);
    assert!(page.ends_with(b"# EOF\n"), "{page:?}");

    let head = http2(address, Method::HEAD).await;
    assert_eq!(head.status(), StatusCode::OK);
    assert_eq!(head.headers()[CONTENT_TYPE], OPEN_METRICS);
    assert_promises_page(promised(head.headers()), length);
    let nothing = head.into_body().collect().await.unwrap().to_bytes();
    assert!(nothing.is_empty(), "{nothing:?}");

    let post = http2(address, Method::POST).await;
    assert_eq!(post.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(post.headers()[ALLOW], "GET, HEAD");
}

// === as a service ===

#[test]
fn its_types_have_the_auto_traits_that_servers_need() {
    fn exporter<S>(_: &S)
    where
        S: Service<Request<Anything>, Response = Response<Body>, Error = Infallible>,
        S: Service<Request<()>, Future = ResponseFuture>,
        S: Clone + Send + Sync + std::fmt::Debug + 'static,
    {
    }
    fn body<B>()
    where
        B: http_body::Body<Data = Bytes, Error = tower_openmetrics::Error>,
        B: Send + Sync + Unpin + std::fmt::Debug + 'static,
    {
    }
    fn future<F: Future + Send + Unpin + std::fmt::Debug + 'static>() {}

    exporter(&self::exporter());
    body::<Body>();
    future::<ResponseFuture>();
}

#[test]
fn it_is_always_ready() {
    let mut exporter = exporter();
    let mut ready = tokio_test::task::spawn(());
    for _ in 0..3 {
        assert_ready_ok!(
            ready.enter(|cx, _| Service::<Request<()>>::poll_ready(&mut exporter, cx))
        );
    }
}

#[tokio::test]
async fn an_empty_registry_has_a_page_in_both_formats() {
    let response = call(Method::GET, "application/openmetrics-text").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[CONTENT_TYPE], OPEN_METRICS);
    let length = promised(response.headers());
    assert_eq!(response.body().size_hint().exact(), Some(length));
    let page = response.into_body().collect().await.unwrap();
    let page = page.to_bytes();
    assert_eq!(page.len() as u64, length);
    assert!(page.ends_with(b"# EOF\n"), "{page:?}");

    let response = call(Method::GET, "text/plain").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[CONTENT_TYPE], TEXT);
    let length = promised(response.headers());
    let page = response.into_body().collect().await.unwrap();
    let page = page.to_bytes();
    assert_eq!(page.len() as u64, length);
    assert!(!page.ends_with(b"# EOF\n"), "{page:?}");
}

#[tokio::test]
async fn the_accept_header_is_followed() {
    for (accept, content_type) in [
        ("*/*", TEXT),
        ("text/html, image/gif;q=0.5", TEXT),
        ("application/openmetrics-text;q=0", TEXT),
        (
            "text/plain;q=0.1, application/openmetrics-text;q=0.2",
            OPEN_METRICS,
        ),
        (
            "application/openmetrics-text;version=0.0.1;escaping=values",
            "application/openmetrics-text; version=0.0.1; charset=utf-8; escaping=values",
        ),
    ] {
        let response = call(Method::GET, accept).await;
        assert_eq!(response.status(), StatusCode::OK, "{accept}");
        assert_eq!(response.headers()[CONTENT_TYPE], content_type, "{accept}");
        assert_eq!(response.headers()[VARY], "Accept, Accept-Encoding");
    }
}

#[tokio::test]
async fn head_promises_what_get_sends() {
    let get = call(Method::GET, "application/openmetrics-text").await;
    let head = call(Method::HEAD, "application/openmetrics-text").await;
    assert_eq!(head.status(), get.status());
    assert_eq!(head.headers()[CONTENT_TYPE], get.headers()[CONTENT_TYPE]);
    assert_eq!(head.headers()[VARY], get.headers()[VARY]);
    assert_promises_page(promised(head.headers()), promised(get.headers()));
    assert!(head.body().is_end_stream());
    assert_eq!(head.body().size_hint().exact(), Some(0));
}

#[tokio::test]
async fn other_methods_get_405_with_the_allowed_ones() {
    let brew = Method::from_bytes(b"BREW").unwrap();
    for method in [
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::PATCH,
        Method::OPTIONS,
        Method::TRACE,
        Method::CONNECT,
        brew,
    ] {
        let response = call(method.clone(), "*/*").await;
        assert_eq!(
            response.status(),
            StatusCode::METHOD_NOT_ALLOWED,
            "{method}"
        );
        assert_eq!(response.headers()[ALLOW], "GET, HEAD");
        assert_eq!(response.headers()[VARY], "Accept, Accept-Encoding");
        assert_eq!(
            response.headers()[CONTENT_TYPE],
            "text/plain; charset=utf-8"
        );
        let length = promised(response.headers());
        let text = response.into_body().collect().await.unwrap();
        let text = text.to_bytes();
        assert_eq!(text.len() as u64, length);
        assert!(String::from_utf8_lossy(&text).contains("GET"), "{text:?}");
    }
}

#[tokio::test]
async fn families_are_selected_by_their_name_or_a_samples_name() {
    let registry = MetricsRegistry::with_clock(Clock::manual());
    let layer = MetricsLayer::builder().registry(&registry);
    let layer = layer.build([("endpoint", "a")]).unwrap();
    let baked = layer.register("baked", "So many", Counter::<u64>::default());
    baked.unwrap().inc_by(7);
    let theirs =
        "# HELP theirs .\n# TYPE theirs summary\ntheirs{quantile=\"0.5\"} 1\ntheirs_sum 2\n";
    registry
        .include_with(|page| page.write_str(theirs))
        .unwrap();
    for (query, expected) in [
        ("name[]=baked_total", &["baked_total"][..]),
        ("name[]=baked", &["baked_total"]),
        (
            "name%5B%5D=uptime%5Fseconds&name[]=baked&name[]=none",
            &["baked_total", "uptime_seconds"],
        ),
        (
            "name[]=request_duration_seconds_sum",
            &[
                "request_duration_seconds_bucket",
                "request_duration_seconds_count",
                "request_duration_seconds_sum",
            ],
        ),
        ("name[]=theirs_sum", &["theirs", "theirs_sum"]),
        ("name[]=none", &[]),
        ("name[]=", &[]),
        ("name[]=%FF%00%&name[]", &[]),
        ("name[]=request", &[]),
    ] {
        for (accept, end) in [
            ("text/plain", ""),
            ("application/openmetrics-text", "# EOF\n"),
        ] {
            let mut request = request(Method::GET, accept, ());
            *request.uri_mut() = format!("/metrics?{query}").parse().unwrap();
            let response = registry.exporter().oneshot(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK, "{query}");
            let length = promised(response.headers());
            let page = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(page.len() as u64, length);
            let page = std::str::from_utf8(&page).unwrap();
            let samples = page.strip_suffix(end).expect("a whole page").lines();
            let names: BTreeSet<&str> = samples
                .filter(|line| !line.starts_with('#'))
                .map(|line| line.split(['{', ' ']).next().unwrap())
                .collect();
            assert!(names.iter().eq(expected), "{query}: {page}");
            // A family that is not selected leaves no metadata.
            assert_eq!(page.len() == end.len(), expected.is_empty(), "{page}");
        }
    }
}

#[tokio::test]
async fn an_invalid_family_fails_only_pages_that_show_it() {
    let registry = MetricsRegistry::with_clock(Clock::manual());
    let twice = Family::<Vec<(String, String)>, Counter>::default();
    let twice = registry
        .register("twice", "Not to be written", twice)
        .unwrap();
    let labels = ["1", "2"].map(|value| ("label".to_owned(), value.to_owned()));
    let _ = twice.get_or_create(&labels.to_vec());
    for (query, status) in [
        ("", StatusCode::INTERNAL_SERVER_ERROR),
        ("?name[]=twice", StatusCode::INTERNAL_SERVER_ERROR),
        ("?name[]=uptime_seconds", StatusCode::OK),
    ] {
        let request = Request::get(format!("/metrics{query}")).body(());
        let response = registry.exporter().oneshot(request.unwrap()).await;
        assert_eq!(response.unwrap().status(), status, "{query}");
    }
}

// === on the wire ===

#[tokio::test]
async fn families_are_selected_over_a_connection() {
    bounded(async {
        for address in [hyper_server().await, axum_server().await] {
            let (head, page) = raw_http1_of(address, Method::GET, "?name[]=none").await;
            assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
            assert_eq!((length_in(&head), &*page), (6, "# EOF\n"));

            let response = http2_of(address, Method::GET, "?name%5b]=none").await;
            assert_eq!(response.status(), StatusCode::OK);
            let page = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(page, "# EOF\n");
        }
    })
    .await;
}

#[tokio::test]
async fn hyper_serves_it_over_http1() {
    bounded(async { check_http1(hyper_server().await).await }).await;
}

#[tokio::test]
async fn hyper_serves_it_over_http2() {
    bounded(async { check_http2(hyper_server().await).await }).await;
}

#[tokio::test]
async fn axum_serves_it_over_http1() {
    bounded(async { check_http1(axum_server().await).await }).await;
}

#[tokio::test]
async fn axum_serves_it_over_http2() {
    bounded(async { check_http2(axum_server().await).await }).await;
}

#[tokio::test]
async fn one_connection_takes_many_scrapes() {
    bounded(async {
        let socket = TcpStream::connect(hyper_server().await).await.unwrap();
        let (mut client, connection) = conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
        tokio::spawn(connection);
        // If the length and the body of a response disagree, the next response is misread.
        for method in [
            Method::HEAD,
            Method::GET,
            Method::POST,
            Method::HEAD,
            Method::GET,
        ] {
            client.ready().await.unwrap();
            let sent = request(
                method.clone(),
                "application/openmetrics-text",
                Empty::<Bytes>::new(),
            );
            let response = client.send_request(sent).await.unwrap();
            let length = promised(response.headers());
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let expected = if method == Method::HEAD { 0 } else { length };
            assert_eq!(body.len() as u64, expected, "{method}");
        }
    })
    .await;
}
