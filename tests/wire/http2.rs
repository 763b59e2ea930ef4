//! HTTP/2 with single frames.

use crate::wire_support::{
    Handler, Handlers, Http2, Numbers, Scripted, Server, Step, Stream, data, trailers,
};
use crate::{ok, promising, status};
use futures_util::future::join_all;
use h2::Reason;
use http::header::CONTENT_LENGTH;
use http::{Method, Request, Uri};
use tower_layer::Layer;
use tower_openmetrics::{ErrorType, MetricsLayer};

/// One call: its request, its handler, when the client disconnects, and the numbers afterwards.
struct Case {
    name: &'static str,
    sends: Sends,
    handler: Handler,
    leaves: Leaves,
    numbers: Numbers,
}

#[derive(Clone)]
struct Sends {
    head: Request<()>,
    data: &'static [&'static str],
    ends: bool,
}

#[derive(Clone, Copy)]
enum Leaves {
    /// After the end of the response.
    Never,
    /// After it has received this number of bytes.
    After(usize),
    /// After the handler has read everything that was sent, if it reads.
    WhenTheHandlerIsHere,
}

/// How the client disconnects.
#[derive(Clone, Copy, Debug)]
enum By {
    Reset,
    /// Closes the connection with all its streams.
    Closing,
}

// === impl Case ===

impl Case {
    async fn begin(&self, client: &mut Http2, path: usize) -> Stream {
        let Sends {
            mut head,
            data,
            ends,
        } = self.sends.clone();
        if head.method() != Method::CONNECT {
            *head.uri_mut() = format!("http://a/{path}").parse().unwrap();
        }
        let mut stream = client.send(head, ends && data.is_empty()).await;
        for (index, frame) in data.iter().enumerate() {
            stream.upload(frame.as_bytes(), ends && index + 1 == data.len());
        }
        stream
    }

    /// Continues until the client is to leave, if it does.
    async fn go_on(&self, stream: &mut Stream) {
        match self.leaves {
            Leaves::Never => drop(stream.receive().await),
            Leaves::After(bytes) => drop(stream.receive_up_to(bytes).await),
            Leaves::WhenTheHandlerIsHere => self.handler.is_here().await,
        }
    }
}

/// Makes each call on its own connection to a new server.
async fn one_by_one(cases: impl IntoIterator<Item = Case>, by: By) {
    for case in cases {
        let layer = MetricsLayer::default();
        let server = Server::start(layer.layer(case.handler.clone())).await;
        let mut client = Http2::connect(&server).await;
        let mut stream = case.begin(&mut client, 0).await;
        case.go_on(&mut stream).await;
        match by {
            By::Reset => stream.reset(),
            By::Closing => client.close(),
        }
        let name = format!("{}, left by {by:?}", case.name);
        case.numbers.clone().expect(&layer, &name).await;
        server.stop().await;
        assert_eq!(Numbers::of(&layer).await, case.numbers, "{name}, at rest");
    }
}

fn method(method: Method) -> Sends {
    let mut head = Request::new(());
    if method == Method::CONNECT {
        *head.uri_mut() = Uri::from_static("a:1");
    }
    let ends = method != Method::CONNECT;
    *head.method_mut() = method;
    Sends {
        head,
        data: &[],
        ends,
    }
}

fn get() -> Sends {
    method(Method::GET)
}

fn upload(data: &'static [&'static str]) -> Sends {
    Sends {
        data,
        ..method(Method::POST)
    }
}

fn promised_upload(length: u64, data: &'static [&'static str]) -> Sends {
    let mut sends = upload(data);
    sends
        .head
        .headers_mut()
        .insert(CONTENT_LENGTH, length.into());
    sends
}

fn unfinished(sends: Sends) -> Sends {
    Sends {
        ends: false,
        ..sends
    }
}

fn abcde() -> Scripted {
    Scripted::new([data("abc"), data("de")])
}

fn half() -> Scripted {
    Scripted::new([data("abc"), Step::Hang])
}

/// Calls whose client stays until the end.
fn calls_that_end() -> Vec<Case> {
    let case = |name, sends, handler, numbers| Case {
        name,
        sends,
        handler,
        leaves: Leaves::Never,
        numbers,
    };
    let complete = |name, answer, bytes| {
        let numbers = Numbers::completed().taken(bytes);
        case(name, get(), Handler::answers(answer), numbers)
    };
    let nothing = |name, of: Method, answer| {
        case(
            name,
            method(of),
            Handler::answers(answer),
            Numbers::completed(),
        )
    };
    let tunnel = |name, answer| {
        let answers = Handler::answers(answer);
        case(name, method(Method::CONNECT), answers, Numbers::upgraded())
    };
    let failed = |name, error_type, handler, bytes| {
        let numbers = Numbers::failed(error_type).taken(bytes);
        case(name, get(), handler, numbers)
    };
    let sends = |steps: &[Step]| Handler::sends(Scripted::new(steps.iter().cloned()));
    let sends_abcde = || Handler::sends(abcde());
    let read = |bytes| Numbers::completed().read(bytes).taken(5);
    let invalid = Numbers::failed(ErrorType::INVALID_MESSAGE).read(3);
    // Over HTTP/2, hyper polls a body even if none is due.
    let needless = |name, of: Method, answer, numbers: Numbers| {
        case(name, method(of), Handler::answers(answer), numbers.taken(5))
    };
    let then_err = Scripted::new([data("abc"), data("de"), Step::Err]);
    #[rustfmt::skip] // a table
    let cases = vec![
        complete("exact", ok(abcde().exact(5)), 5),
        complete("exact, and it says when it is over", ok(abcde().exact(5).says_its_end()), 5),
        complete("a promise in the header alone", promising(5, abcde()), 5),
        complete("unknown length", ok(abcde()), 5),
        complete("trailers", ok(Scripted::new([data("abc"), trailers()])), 3),
        complete("trailers alone", ok(Scripted::new([trailers()])), 0),
        complete("empty", ok(Scripted::default().says_its_end()), 0),
        complete("empty, which only shows at its end", ok(Scripted::default()), 0),
        complete("a promise of nothing", promising(0, Scripted::default()), 0),
        complete("empty frames", ok(Scripted::new([data(""), data("ab"), data("")])), 2),
        complete("not found", status(404, abcde()), 5),
        nothing("HEAD, a length and no body", Method::HEAD, promising(5, Scripted::default().says_its_end())),
        nothing("HEAD, no body, which only shows at its end", Method::HEAD, promising(5, Scripted::default())),
        nothing("204", Method::GET, status(204, Scripted::default())),
        nothing("304", Method::GET, status(304, Scripted::default().says_its_end())),
        needless("HEAD with a body", Method::HEAD, promising(5, abcde()), Numbers::completed()),
        needless("HEAD with another body than promised", Method::HEAD, promising(7, abcde()), Numbers::completed()),
        needless("204 with a body", Method::GET, status(204, abcde()), Numbers::completed()),
        needless("304 with a body that fails", Method::GET, status(304, then_err.clone()), Numbers::failed(ErrorType::PUBLISH_RESPONSE)),
        tunnel("CONNECT", status(200, Scripted::default())),
        tunnel("CONNECT with a body", status(200, half())),
        failed("the service's own", ErrorType::GENERATE, Handler::fails(), 0),
        failed("500", ErrorType::GENERATE, Handler::answers(status(500, abcde())), 5),
        failed("before the first byte", ErrorType::RESPONSE_STREAM, sends(&[Step::Err]), 0),
        failed("half-way", ErrorType::PUBLISH_RESPONSE, sends(&[data("abc"), Step::Err]), 3),
        failed("past the length", ErrorType::PUBLISH_FINAL, Handler::answers(promising(5, then_err.clone())), 5),
        failed("past the exact length", ErrorType::PUBLISH_FINAL, Handler::sends(then_err.exact(5)), 5),
        failed("too short", ErrorType::PUBLISH_FINAL, Handler::answers(promising(7, abcde())), 5),
        failed("too long", ErrorType::PUBLISH_FINAL, Handler::answers(promising(3, abcde())), 5),
        failed("a panic", ErrorType::PANIC, Handler::panics(), 0),
        failed("a panic in the body", ErrorType::PANIC, sends(&[Step::Panic]), 0),
        failed("a panic in the body, half-way", ErrorType::PANIC, sends(&[data("abc"), Step::Panic]), 3),
        case("read", promised_upload(5, &["abc", "de"]), sends_abcde().reads_all(), read(5)),
        case("read, of unknown length", upload(&["abc", "", "de"]), sends_abcde().reads_all(), read(5)),
        case("never read", upload(&["abc", "de"]), sends_abcde(), read(0)),
        case("shorter than promised", promised_upload(7, &["abc", "de"]), sends_abcde().reads_all(), invalid.clone()),
        // hyper drops the handler, which does not see the reset.
        case("shorter than promised, which nobody reads", promised_upload(7, &["abc"]), Handler::hangs(), Numbers::cancelled()),
        case("unfinished, and not waited for", unfinished(upload(&["abc"])), sends_abcde(), read(0)),
        case("longer than promised", promised_upload(4, &["abc", "de"]), sends_abcde().reads_all(), invalid),
    ];
    cases
}

/// Calls whose client leaves before their end.
fn calls_that_are_left() -> Vec<Case> {
    let left = |name, leaves, sends, handler, numbers: &Numbers| Case {
        name,
        sends,
        handler,
        leaves,
        numbers: numbers.clone(),
    };
    let here = Leaves::WhenTheHandlerIsHere;
    let head = Leaves::After(0);
    let cancelled = Numbers::cancelled();
    let uploading = cancelled.clone().read(3);
    let taking = cancelled.clone().taken(3);
    let error = Numbers::failed(ErrorType::GENERATE).taken(3);
    let empty = |of| Handler::answers(status(of, Scripted::default())).reads_all();
    let part = || unfinished(upload(&["abc"]));
    let promised_part = || unfinished(promised_upload(5, &["abc"]));
    #[rustfmt::skip] // a table
    let cases = vec![
        left("before the head", here, get(), Handler::hangs(), &cancelled),
        left("before the head, after an upload", here, upload(&["abc"]), Handler::hangs().reads_all(), &uploading),
        left("before the first byte", head, get(), Handler::sends(Scripted::new([Step::Hang])), &cancelled),
        left("in the answer", Leaves::After(3), get(), Handler::sends(half()), &taking),
        left("in an answer of known length", Leaves::After(3), get(), Handler::answers(promising(5, half())), &taking),
        left("in the answer with the upload going on", Leaves::After(3), part(), Handler::sends(half()), &taking),
        left("in a 500", Leaves::After(3), get(), Handler::answers(status(500, half())), &error),
        left("in the upload, and no answer", here, part(), Handler::hangs().reads_all(), &uploading),
        left("in an upload of known length, and no answer", here, promised_part(), Handler::hangs().reads_all(), &uploading),
        left("in the upload, and a 200", here, part(), empty(200), &uploading),
        left("in the upload, and a 400", here, part(), empty(400), &uploading),
        left("in an upload of known length, and a 400", here, promised_part(), empty(400), &uploading),
        left("in the upload, and a 500", here, part(), empty(500), &uploading),
        left("in the upload, and an error", here, part(), Handler::fails().reads_all(), &uploading),
        left("in the upload, and a panic", here, part(), Handler::panics().reads_all(), &uploading),
        left("in an upload that nobody reads", here, part(), Handler::hangs(), &cancelled),
    ];
    cases
}

#[tokio::test]
async fn calls_that_end_have_their_outcome() {
    one_by_one(calls_that_end(), By::Closing).await;
}

#[tokio::test]
async fn a_reset_stream_cancels_the_call() {
    one_by_one(calls_that_are_left(), By::Reset).await;
}

#[tokio::test]
async fn a_closed_connection_cancels_the_call() {
    one_by_one(calls_that_are_left(), By::Closing).await;
}

/// hyper treats such an upload as complete. Only its length shows the reset.
#[tokio::test]
async fn an_upload_reset_without_an_error_is_cancelled_by_its_length() {
    let layer = MetricsLayer::default();
    let handler = Handler::sends(Scripted::default().says_its_end()).reads_all();
    let server = Server::start(layer.layer(handler.clone())).await;
    let mut client = Http2::connect(&server).await;
    let sends = unfinished(promised_upload(5, &["abc"]));
    let mut stream = client.send(sends.head, false).await;
    stream.upload(b"abc", false);
    handler.is_here().await;
    stream.reset_as(Reason::NO_ERROR);
    let numbers = Numbers::cancelled().read(3);
    numbers.clone().expect(&layer, "reset").await;
    client.close();
    server.stop().await;
    assert_eq!(Numbers::of(&layer).await, numbers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_concurrent_streams_are_counted() {
    let cases: Vec<Case> = (0..)
        .flat_map(|_| calls_that_end().into_iter().chain(calls_that_are_left()))
        .filter(|case| case.sends.head.method() != Method::CONNECT) // has no path
        .take(100)
        .collect();
    let handlers: Handlers = cases.iter().map(|case| case.handler.clone()).collect();
    let layer = MetricsLayer::default();
    let server = Server::start(layer.layer(handlers.clone())).await;
    let mut client = Http2::connect(&server).await;
    let mut streams = Vec::new();
    for (path, case) in cases.iter().enumerate() {
        streams.push(case.begin(&mut client, path).await);
    }
    join_all(cases.iter().zip(streams).map(async |(case, mut stream)| {
        case.go_on(&mut stream).await;
        stream.reset();
    }))
    .await;
    let numbers: Numbers = cases.into_iter().map(|case| case.numbers).sum();
    numbers.clone().expect(&layer, "the sum").await;
    client.close();
    server.stop().await;
    assert_eq!(Numbers::of(&layer).await, numbers, "at rest");
}
