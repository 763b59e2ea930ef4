//! HTTP/1 with raw bytes.

use crate::wire_support::{Handler, Http1, Numbers, Scripted, Server, Step, data, trailers};
use crate::{ok, promising, status};
use http::{HeaderName, HeaderValue};
use tower_layer::Layer;
use tower_openmetrics::{ErrorType, MetricsLayer};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
const HEAD: &str = "HEAD / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
const CONNECT: &str = "CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n";
const REFUSED_CONNECT: &str = "CONNECT a:1 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
const UPGRADE: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: b\r\n\r\n";
const UPLOAD: &str =
    "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 5\r\n\r\nabcde";
const CHUNKED_UPLOAD: &str = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
    transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
const HALF_AN_UPLOAD: &str = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nabc";
const HALF_A_CHUNKED_UPLOAD: &str =
    "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n";
const MALFORMED_CHUNK: &str = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
    transfer-encoding: chunked\r\n\r\n3\r\nabc\r\nfive\r\n";

/// One call: its request, its handler, and the numbers afterwards.
struct Case {
    name: &'static str,
    sends: &'static str,
    handler: Handler,
    numbers: Numbers,
}

/// When the client disconnects.
#[derive(Clone, Copy)]
enum Leaves {
    /// After it has received these bytes.
    AtTheSightOf(&'static str),
    /// After the handler has read everything that was sent, if it reads.
    WhenTheHandlerIsHere,
}

fn case(name: &'static str, sends: &'static str, handler: Handler, numbers: Numbers) -> Case {
    Case {
        name,
        sends,
        handler,
        numbers,
    }
}

/// Makes one call to a new server. `client` sends the request.
async fn call(case: &Case, client: impl AsyncFnOnce(Http1, &Handler)) {
    let Case {
        name,
        sends,
        handler,
        numbers,
    } = case;
    let layer = MetricsLayer::default();
    let server = Server::start(layer.layer(handler.clone())).await;
    let mut http1 = Http1::connect(&server).await;
    http1.send(sends).await;
    client(http1, handler).await;
    numbers.clone().expect(&layer, name).await;
    server.stop().await;
    assert_eq!(Numbers::of(&layer).await, *numbers, "{name}, at rest");
}

async fn calls_end(cases: impl IntoIterator<Item = Case>) {
    for case in cases {
        call(&case, async |mut client, _| {
            client.receive_all().await;
        })
        .await;
    }
}

async fn callers_leave(cases: impl IntoIterator<Item = (Leaves, Case)>) {
    for (leaves, case) in cases {
        for leave in [Http1::close, Http1::reset] {
            call(&case, async |mut client, handler| {
                match leaves {
                    Leaves::AtTheSightOf(end) => drop(client.receive_until(end).await),
                    Leaves::WhenTheHandlerIsHere => handler.is_here().await,
                }
                leave(client);
            })
            .await;
        }
    }
}

fn abcde() -> Scripted {
    Scripted::new([data("abc"), data("de")])
}

#[tokio::test]
async fn complete_responses_complete_the_call() {
    let announced = |body| {
        let mut response = ok(body);
        let name = HeaderName::from_static("trailer");
        let value = HeaderValue::from_static("x-sum");
        response.headers_mut().insert(name, value);
        response
    };
    let with_trailers = || Scripted::new([data("abc"), data("de"), trailers()]);
    let te = "GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: close, te\r\n\r\n";
    let complete = |name, sends, answer, bytes| {
        let numbers = Numbers::completed().taken(bytes);
        case(name, sends, Handler::answers(answer), numbers)
    };
    #[rustfmt::skip] // a table
    let cases = [
        complete("exact", GET, ok(abcde().exact(5)), 5),
        complete("exact, and it says when it is over", GET, ok(abcde().exact(5).says_its_end()), 5),
        complete("a promise in the header alone", GET, promising(5, abcde()), 5),
        complete("unknown length", GET, ok(abcde()), 5),
        complete("unknown length, and it says when it is over", GET, ok(abcde().says_its_end()), 5),
        complete("to HTTP/1.0, unknown length", "GET / HTTP/1.0\r\n\r\n", ok(abcde()), 5),
        complete("trailers", te, announced(with_trailers()), 5),
        complete("trailers that are not wanted", GET, ok(with_trailers()), 5),
        complete("empty", GET, ok(Scripted::default().says_its_end()), 0),
        complete("empty, which only shows at its end", GET, ok(Scripted::default()), 0),
        complete("a promise of nothing", GET, promising(0, Scripted::default()), 0),
        complete("empty frames", GET, ok(Scripted::new([data(""), data("ab"), data("")])), 2),
        complete("not found", GET, status(404, abcde()), 5),
        complete("CONNECT that is refused", REFUSED_CONNECT, status(403, abcde()), 5),
        complete("more than promised, which hyper doesn't ask for", GET, promising(3, abcde()), 3),
        complete("an error past the length, which hyper doesn't ask for", GET, promising(3, Scripted::new([data("abc"), Step::Err])), 3),
    ];
    calls_end(cases).await;
}

#[tokio::test]
async fn responses_without_a_body_complete_the_call() {
    let endless = || Scripted::new([data("abc"), Step::Hang]);
    let nothing =
        |name, sends, answer| case(name, sends, Handler::answers(answer), Numbers::completed());
    let upgrade =
        |name, sends, answer| case(name, sends, Handler::answers(answer), Numbers::upgraded());
    #[rustfmt::skip] // a table
    let cases = [
        nothing("HEAD, an exact body", HEAD, ok(abcde().exact(5))),
        nothing("HEAD, a body of unknown length", HEAD, ok(endless())),
        nothing("HEAD, a length and no body", HEAD, promising(5, Scripted::default().says_its_end())),
        nothing("HEAD, a length and another body", HEAD, promising(7, abcde())),
        nothing("204", GET, status(204, Scripted::default().says_its_end())),
        nothing("204 with a body", GET, status(204, endless())),
        nothing("304", GET, status(304, Scripted::default())),
        nothing("304 with a body", GET, status(304, abcde().exact(5))),
        upgrade("101 nobody waits for", UPGRADE, status(101, Scripted::default())),
        upgrade("101 with a body", UPGRADE, status(101, endless())),
        upgrade("CONNECT", CONNECT, status(200, Scripted::default())),
        upgrade("CONNECT with a body", CONNECT, status(200, endless())),
    ];
    calls_end(cases).await;
}

#[tokio::test]
async fn failed_responses_fail_the_call() {
    let failed = |name, error_type, handler, bytes| {
        let numbers = Numbers::failed(error_type).taken(bytes);
        case(name, GET, handler, numbers)
    };
    let sends = |steps: &[Step]| Handler::sends(Scripted::new(steps.iter().cloned()));
    let named = || {
        let mut response = status(500, abcde());
        response.extensions_mut().insert(ErrorType::TIMEOUT);
        response
    };
    #[rustfmt::skip] // a table
    let cases = [
        failed("the service's own", ErrorType::GENERATE, Handler::fails(), 0),
        failed("500", ErrorType::GENERATE, Handler::answers(status(500, abcde())), 5),
        failed("503", ErrorType::OVERLOADED, Handler::answers(status(503, Scripted::default())), 0),
        failed("400", ErrorType::DESERIALIZATION, Handler::answers(status(400, abcde())), 5),
        failed("500, with a better name", ErrorType::TIMEOUT, Handler::answers(named()), 5),
        failed("before the first byte", ErrorType::RESPONSE_STREAM, sends(&[Step::Err]), 0),
        failed("after an empty frame", ErrorType::RESPONSE_STREAM, sends(&[data(""), Step::Err]), 0),
        failed("half-way", ErrorType::PUBLISH_RESPONSE, sends(&[data("abc"), Step::Err]), 3),
        failed("half-way of a known length", ErrorType::PUBLISH_RESPONSE, Handler::answers(promising(5, Scripted::new([data("abc"), Step::Err]))), 3),
        failed("too short", ErrorType::PUBLISH_FINAL, Handler::answers(promising(7, abcde())), 5),
        failed("too long", ErrorType::PUBLISH_FINAL, Handler::answers(promising(2, abcde())), 3),
        failed("500, and half-way", ErrorType::GENERATE, Handler::answers(status(500, Scripted::new([data("abc"), Step::Err]))), 3),
        failed("a panic", ErrorType::PANIC, Handler::panics(), 0),
        failed("a panic in the body", ErrorType::PANIC, sends(&[Step::Panic]), 0),
        failed("a panic in the body, half-way", ErrorType::PANIC, sends(&[data("abc"), Step::Yield, Step::Panic]), 3),
    ];
    calls_end(cases).await;
}

#[tokio::test]
async fn uploads_are_counted_by_their_content() {
    let sends_abcde = || Handler::sends(abcde());
    let complete = Numbers::completed().taken(5);
    let malformed = Numbers::failed(ErrorType::INVALID_MESSAGE).read(3);
    let expecting = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\nexpect: 100-continue\r\n\
        content-length: 5\r\n\r\nabcde";
    let with_trailers = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntrailer: x-sum\r\n\
        transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n";
    #[rustfmt::skip] // a table
    let cases = [
        case("read", UPLOAD, sends_abcde().reads_all(), complete.clone().read(5)),
        case("read, chunked", CHUNKED_UPLOAD, sends_abcde().reads_all(), complete.clone().read(5)),
        case("read, with trailers", with_trailers, sends_abcde().reads_all(), complete.clone().read(3)),
        case("read, after a 100", expecting, sends_abcde().reads_all(), complete.clone().read(5)),
        case("never read", UPLOAD, sends_abcde(), complete.clone()),
        case("never read, chunked", CHUNKED_UPLOAD, sends_abcde(), complete.clone()),
        case("never read, malformed", MALFORMED_CHUNK, sends_abcde(), complete),
        case("malformed", MALFORMED_CHUNK, sends_abcde().reads_all(), malformed.clone().taken(5)),
        case("malformed, which makes a 400", MALFORMED_CHUNK, Handler::answers(status(400, abcde())).reads_all(), malformed.clone().taken(5)),
        case("malformed, which makes an error", MALFORMED_CHUNK, Handler::fails().reads_all(), malformed.clone()),
        case("malformed, which makes a panic", MALFORMED_CHUNK, Handler::panics().reads_all(), malformed),
    ];
    calls_end(cases).await;
}

#[tokio::test]
async fn malformed_uploads_are_invalid() {
    let begin = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
        transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n";
    for (name, rest, read) in [
        ("an invalid size", "five\r\n", 3),
        ("a size that is too large", "fffffffffffffffff\r\n", 3),
        ("no line break after a size", "2\rde\r\n", 3),
        ("no line break after a chunk", "2\r\ndef\r\n", 5),
        ("invalid trailers", "0\r\n\0\r\n\r\n", 3),
    ] {
        let layer = MetricsLayer::default();
        let handler = Handler::sends(Scripted::default()).reads_all();
        let server = Server::start(layer.layer(handler)).await;
        let mut client = Http1::connect(&server).await;
        client.send([begin, rest].concat()).await;
        client.receive_all().await;
        server.stop().await;
        let invalid = Numbers::failed(ErrorType::INVALID_MESSAGE);
        assert_eq!(Numbers::of(&layer).await, invalid.read(read), "{name}");
    }
}

#[tokio::test]
async fn callers_that_leave_during_the_response_cancel_the_call() {
    use Leaves::{AtTheSightOf, WhenTheHandlerIsHere};
    let half = || Scripted::new([data("abc"), Step::Hang]);
    let cancelled = Numbers::cancelled();
    let chunk = AtTheSightOf("3\r\nabc\r\n");
    #[rustfmt::skip] // a table
    let cases = [
        (WhenTheHandlerIsHere, case("before the head", GET, Handler::hangs(), cancelled.clone())),
        (WhenTheHandlerIsHere, case("before the head, after an upload", UPLOAD, Handler::hangs().reads_all(), cancelled.clone().read(5))),
        (AtTheSightOf("\r\n\r\n"), case("before the first byte", GET, Handler::sends(Scripted::new([Step::Hang])), cancelled.clone())),
        (chunk, case("chunked", GET, Handler::sends(half()), cancelled.clone().taken(3))),
        (AtTheSightOf("\r\n\r\nabc"), case("of known length", GET, Handler::answers(promising(5, half())), cancelled.clone().taken(3))),
        (AtTheSightOf("\r\n\r\nabc"), case("to HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", Handler::sends(half()), cancelled.taken(3))),
        (chunk, case("a 500", GET, Handler::answers(status(500, half())), Numbers::failed(ErrorType::GENERATE).taken(3))),
    ];
    callers_leave(cases).await;
}

#[tokio::test]
async fn callers_that_leave_during_the_upload_cancel_the_call() {
    let answers = |code| Handler::answers(status(code, Scripted::default()));
    for (name, handler) in [
        ("and a 200", answers(200)),
        ("and a 400", answers(400)),
        ("and a 500", answers(500)),
        ("and an error", Handler::fails()),
        ("and a panic", Handler::panics()),
    ] {
        let cases = [HALF_AN_UPLOAD, HALF_A_CHUNKED_UPLOAD].map(|sends| {
            let cancelled = Numbers::cancelled().read(3);
            let case = case(name, sends, handler.clone().reads_all(), cancelled);
            (Leaves::WhenTheHandlerIsHere, case)
        });
        callers_leave(cases).await;
    }
}
