//! Wrapping a service changes no byte of what it sends.

mod wire_support;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderName, TRAILER};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use tower::BoxError;
use tower_layer::Layer;
use tower_openmetrics::MetricsLayer;
use wire_support::{Handler, Handlers, Http1, Scripted, Server, Step, data, trailers};

// RFC 9113, sections 6.1 to 6.8.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GO_AWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Another service for each path, `/0`, `/1`, …
fn handlers() -> Vec<(&'static str, Handler)> {
    let abcde = || Scripted::new([data("abc"), data("de")]);
    let broken = || Scripted::new([data("abc"), Step::Yield, Step::Err]);
    let long = || {
        Scripted::new([
            Step::Data(vec![b'x'; 20_000].into()),
            Step::Yield,
            data("end"),
        ])
    };
    let with = |name: HeaderName, value: &str, body| {
        let mut response = Response::new(body);
        response.headers_mut().insert(name, value.parse().unwrap());
        response
    };
    let promising = |length, body| with(CONTENT_LENGTH, length, body);
    let empty = || Scripted::default().says_its_end();
    let status = |status, body| {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        response
    };
    #[rustfmt::skip] // a table
    let answers = [
        ("exact", Response::new(abcde().exact(5))),
        ("exact, and it says when it is over", Response::new(abcde().exact(5).says_its_end())),
        ("a promise in the header alone", promising("5", abcde())),
        ("a promise that is not kept", promising("7", abcde())),
        ("a promise that is outrun", promising("4", abcde())),
        ("unknown length", Response::new(abcde())),
        ("unknown length, and it says when it is over", Response::new(abcde().says_its_end())),
        ("large", Response::new(long())),
        ("slow", Response::new(Scripted::new([data("abc"), Step::Yield, data("de")]))),
        ("trailers", with(TRAILER, "x-sum", Scripted::new([data("abc"), trailers()]))),
        ("trailers alone", with(TRAILER, "x-sum", Scripted::new([trailers()]))),
        ("empty", Response::new(empty())),
        ("empty, of which hyper is not told", Response::new(Scripted::default())),
        ("empty, which is exact", Response::new(Scripted::default().exact(0))),
        ("empty frames", Response::new(Scripted::new([data(""), data("abc"), data("")]))),
        ("204", status(StatusCode::NO_CONTENT, empty())),
        ("204 with a body", status(StatusCode::NO_CONTENT, abcde())),
        ("304", status(StatusCode::NOT_MODIFIED, empty())),
        ("304 with a body", status(StatusCode::NOT_MODIFIED, abcde().exact(5))),
        ("500", status(StatusCode::INTERNAL_SERVER_ERROR, abcde())),
        ("an error before the first byte", Response::new(Scripted::new([Step::Err]))),
        ("an error half-way", Response::new(broken())),
        ("an error half-way of a known length", promising("5", broken())),
        ("an error past the length", promising("3", broken())),
    ];
    let mut handlers: Vec<_> = answers
        .into_iter()
        .map(|(name, answer)| (name, Handler::answers(answer)))
        .collect();
    handlers.push(("after an upload", Handler::sends(abcde()).reads_all()));
    handlers.push(("no answer", Handler::fails()));
    handlers
}

/// Asks for every path with and without the layer, and gives what was received, which is the same.
async fn compare(request: impl Fn(usize) -> Vec<u8>) -> Vec<Vec<u8>> {
    let (names, handlers): (Vec<_>, Vec<_>) = handlers().into_iter().unzip();
    let handlers = Handlers::from_iter(handlers);
    let plain = Server::start(handlers.clone()).await;
    let layer = MetricsLayer::default();
    let measured = Server::start(layer.layer(handlers.clone())).await;
    let layer = layer.boxed::<UnsyncBoxBody<Bytes, BoxError>>();
    let boxed = Server::start(layer.layer(handlers)).await;
    let mut all = Vec::new();
    for (path, name) in names.into_iter().enumerate() {
        let exchange = async |server| {
            let mut client = Http1::connect(server).await;
            client.send(request(path)).await;
            client.receive_all().await
        };
        let without = exchange(&plain).await;
        for server in [&measured, &boxed] {
            let with = exchange(server).await;
            assert!(
                with == without,
                "{name}: {} became {}",
                without.escape_ascii(),
                with.escape_ascii()
            );
        }
        all.push(without);
    }
    for server in [plain, measured, boxed] {
        server.stop().await;
    }
    all
}

#[tokio::test]
async fn over_http1() {
    #[rustfmt::skip] // a table: how a request begins, and goes on
    let requests = [
        ("GET", "HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"),
        ("GET", "HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: close, te\r\n\r\n"),
        ("GET", "HTTP/1.0\r\n\r\n"),
        ("HEAD", "HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"),
        ("HEAD", "HTTP/1.0\r\n\r\n"),
        ("POST", "HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc"),
        ("POST", "HTTP/1.1\r\nhost: a\r\nconnection: close\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\nabc"),
    ];
    for (method, rest) in requests {
        let received = compare(|path| format!("{method} /{path} {rest}").into_bytes()).await;
        // All but those that fail before hyper has sent anything.
        let answered = received
            .iter()
            .filter(|bytes| bytes.starts_with(b"HTTP/1."));
        assert!(answered.count() >= received.len() - 3, "{method} {rest}");
    }
}

#[tokio::test]
async fn over_http2() {
    for method in ["GET", "HEAD", "POST"] {
        let received = compare(|path| http2_request(method, path)).await;
        for frames in received {
            let kinds: Vec<u8> = frame_kinds(&frames, 1).collect();
            assert!(matches!(kinds[..], [HEADERS | RESET, ..]), "{kinds:?}");
        }
    }
}

/// All that a client sends on a connection for one call: with the GOAWAY that ends it, so that
/// the server closes when it has answered.
fn http2_request(method: &str, path: usize) -> Vec<u8> {
    let uploads = method == "POST";
    // HPACK, RFC 7541: fields of the static table, with literal values that are not kept.
    let mut head = vec![0x86]; // :scheme http
    for (name, value) in [(1, "a"), (2, method), (4, &format!("/{path}"))] {
        head.extend([name, value.len() as u8]); // :authority, :method, :path
        head.extend(value.as_bytes());
    }
    let flags = if uploads { 0 } else { END_STREAM };
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    frame(&mut bytes, SETTINGS, 0, 0, &[]);
    frame(&mut bytes, HEADERS, flags | END_HEADERS, 1, &head);
    if uploads {
        frame(&mut bytes, DATA, END_STREAM, 1, b"abc");
    }
    frame(&mut bytes, GO_AWAY, 0, 0, &[0; 8]);
    bytes
}

fn frame(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u8, payload: &[u8]) {
    bytes.extend([0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream]);
    bytes.extend(payload);
}

/// The kinds of a stream's frames, in order.
fn frame_kinds(mut bytes: &[u8], of: u32) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let [a, b, c, kind, _flags, stream @ ..] = *bytes.first_chunk::<9>()?;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        bytes = &bytes[9 + length..];
        Some((kind, u32::from_be_bytes(stream)))
    })
    .filter_map(move |(kind, stream)| (stream == of).then_some(kind))
}
