//! Requests with bodies.

use super::Ending::{self, Cancelled, Completed, Failed};
use super::support::Step::{self, Data, Fail, Pending, Trailers};
use super::support::{Script, Taken, poll_frame, take_frames, take_to_end};
use super::{Numbers, Stage, get};
use http::header::CONTENT_LENGTH;
use http::{Request, Response, Version};
use http_body::Body;
use std::cell::Cell;
use std::error::Error as StdError;
use std::fmt;
use std::io::{self, ErrorKind};
use std::pin::{Pin, pin};
use tower::BoxError;
use tower_openmetrics::classify::{Classify, HttpClient, HttpStatus, expecting};
use tower_openmetrics::protocol::Http;
use tower_openmetrics::{Clock, MetricsLayer, MetricsLayerBuilder, RequestBody};

/// A request's body, and how much of it the service reads before it responds.
#[derive(Debug)]
struct Upload {
    version: Version,
    content_length: Option<&'static str>,
    hint: Option<u64>,
    knows_its_end: bool,
    steps: Vec<Step>,
    read: usize,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Status(u16),
    Error,
}

use Answer::{Error, Status};

const ALL: usize = usize::MAX;

/// The responses of a service whose request failed, or did not.
const ANSWERS: [Answer; 4] = [Status(200), Status(400), Status(500), Error];

/// A chunked request, read to its end.
fn upload(steps: impl IntoIterator<Item = Step>) -> Upload {
    Upload {
        version: Version::HTTP_2,
        content_length: None,
        hint: None,
        knows_its_end: false,
        steps: steps.into_iter().collect(),
        read: ALL,
    }
}

impl Upload {
    fn promises(self, content_length: &'static str) -> Self {
        Self {
            content_length: Some(content_length),
            ..self
        }
    }

    fn over(self, version: Version) -> Self {
        Self { version, ..self }
    }

    /// Sets the exact size hint.
    fn hints(self, length: u64) -> Self {
        Self {
            hint: Some(length),
            ..self
        }
    }

    fn knows_its_end(self) -> Self {
        Self {
            knows_its_end: true,
            ..self
        }
    }

    /// Reads only `read` frames.
    fn read(self, read: usize) -> Self {
        Self { read, ..self }
    }

    fn request<C>(self, stage: &Stage<C>) -> Request<Script> {
        let script = Script::new(stage.clock, self.steps);
        let script = script.hint(self.hint).knows_its_end(self.knows_its_end);
        let mut request = Request::post("/").version(self.version);
        if let Some(length) = self.content_length {
            request = request.header(CONTENT_LENGTH, length);
        }
        request.body(script).unwrap()
    }

    fn check(self, row: &str, answer: Answer, ending: Ending, bytes: u64) {
        let stage = Stage::new();
        let read = self.read;
        let taken = Cell::new(Taken::default());
        let answered = stage.call(self.request(&stage), |request| {
            taken.set(take_frames(pin!(request.into_body()), read));
            answer.give(&stage)
        });
        drop(answered);
        let Taken { frames, failed, .. } = taken.get();
        let seconds = 1 + frames as u32 + u32::from(failed);
        stage.expect(
            &format!("{row}, answered by {answer:?}"),
            ending.after(seconds).request_bytes(bytes),
        );
    }
}

impl Answer {
    /// The outcome of a call whose request has no effect on it.
    fn ending(self) -> Ending {
        match self {
            Status(400) => Failed("deserialization"),
            Status(500) | Error => Failed("generate"),
            Status(_) => Completed,
        }
    }

    fn give<C: Classify>(self, stage: &Stage<C>) -> Result<Response<Script>, BoxError> {
        match self {
            Status(status) => Ok(Response::builder()
                .status(status)
                .body(stage.empty())
                .unwrap()),
            Error => Err("the service gave up".into()),
        }
    }
}

fn reset() -> BoxError {
    io::Error::from(ErrorKind::ConnectionReset).into()
}

fn malformed() -> BoxError {
    io::Error::from(ErrorKind::InvalidInput).into()
}

/// An error whose source is the real error, like those of HTTP servers.
#[derive(Debug)]
struct Around(BoxError);

impl fmt::Display for Around {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("error reading a body from connection")
    }
}

impl StdError for Around {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.0)
    }
}

#[test]
fn a_complete_upload_counts_its_bytes() {
    let two = || upload([Data("ab"), Data("c")]);
    for (row, upload, bytes) in [
        ("read", two(), 3),
        (
            "read with waits",
            upload([Pending, Data("a"), Pending, Pending, Data("bc")]),
            3,
        ),
        ("never read", two().read(0), 0),
        (
            "never read, of known length",
            two().promises("3").read(0),
            0,
        ),
        ("left half-way", two().read(1), 2),
        (
            "left half-way, of known length",
            two().promises("3").read(1),
            2,
        ),
        ("of the promised length", two().promises("3"), 3),
        (
            "of the promised length, with an end that is known",
            two().promises("3").knows_its_end().read(2),
            3,
        ),
        (
            "read to the promised length, not to the end",
            two().promises("3").read(2),
            3,
        ),
        ("longer than promised", two().promises("2"), 3),
        ("of an illegible length", two().promises("many"), 3),
        ("with trailers", upload([Data("a"), Trailers]), 1),
        ("of frames without bytes", upload([Data(""), Data("")]), 0),
        ("empty", upload([]), 0),
        ("empty, known at birth", upload([]).knows_its_end(), 0),
        ("empty, and promised to be", upload([]).promises("0"), 0),
    ] {
        upload.check(row, Status(200), Completed, bytes);
    }
}

#[test]
fn a_complete_upload_leaves_the_outcome_to_the_response() {
    for (answer, ending) in [
        (Status(201), Completed),
        (Status(400), Failed("deserialization")),
        (Status(413), Failed("invalid_message")),
        (Status(500), Failed("generate")),
        (Error, Failed("generate")),
    ] {
        upload([Data("ab")]).check("read", answer, ending, 2);
        upload([Data("ab"), Data("c")])
            .read(1)
            .check("left half-way", answer, ending, 2);
    }
}

#[test]
fn an_upload_that_the_client_breaks_off_is_cancelled() {
    let lost: [fn() -> BoxError; 10] = [
        reset,
        || io::Error::from(ErrorKind::UnexpectedEof).into(),
        || io::Error::from(ErrorKind::ConnectionAborted).into(),
        || io::Error::from(ErrorKind::BrokenPipe).into(),
        || {
            io::Error::new(
                ErrorKind::UnexpectedEof,
                "end of file before message length",
            )
            .into()
        },
        || Around(reset()).into(),
        || Around(Around(reset()).into()).into(),
        || io::Error::other(Around(reset())).into(),
        || axum::Error::new(Around(reset())).into(),
        || Around(axum::Error::new(reset()).into()).into(),
    ];
    for answer in ANSWERS {
        for error in lost {
            let row = format!("{:?}", error());
            upload([Data("ab"), Fail(error)]).check(&row, answer, Cancelled, 2);
        }
        upload([Fail(reset)]).check("before its first byte", answer, Cancelled, 0);
        for (row, short) in [
            ("short of its length", upload([Data("ab"), Data("c")])),
            ("short, with trailers", upload([Data("abc"), Trailers])),
            (
                "short, with an end that is known",
                upload([Data("abc")]).knows_its_end().read(1),
            ),
        ] {
            short.promises("4").check(row, answer, Cancelled, 3);
        }
        let over_http3 = upload([Data("abc")]).promises("4").over(Version::HTTP_3);
        over_http3.check("short, over HTTP/3", answer, Cancelled, 3);
        let none = upload([]).promises("4");
        none.check("none of its promised length", answer, Cancelled, 0);
    }
}

/// A middleware outside may replace the body that `Content-Length` describes. The new body's own hint takes
/// precedence.
#[test]
fn a_replaced_body_has_the_length_of_its_own_hint() {
    for answer in ANSWERS {
        let ending = answer.ending();
        let five = || upload([Data("abc"), Data("de")]).promises("10").hints(5);
        five().check("shorter than the header says", answer, ending, 5);
        let knows_its_end = five().knows_its_end().read(2);
        knows_its_end.check("with an end that is known", answer, ending, 5);
        let nothing = upload([]).promises("10").hints(0);
        nothing.check("nothing", answer, ending, 0);
        let longer = upload([Data("abc"), Data("de")]).promises("4").hints(5);
        longer.check("longer than the header says", answer, ending, 5);

        // A body that ends before its own hint is incomplete.
        let short = || upload([Data("abc")]);
        short()
            .promises("5")
            .hints(5)
            .check("short of both", answer, Cancelled, 3);
        short()
            .promises("9")
            .hints(5)
            .check("short of its own", answer, Cancelled, 3);
        short()
            .promises("3")
            .hints(5)
            .check("short of its own alone", answer, ending, 3);
        // A hint alone is not a promise of the client.
        short()
            .hints(5)
            .check("short of its own, without a header", answer, ending, 3);
    }
}

/// Over HTTP/1, a body that breaks off has an error. A short body without one is complete, because a middleware has replaced
/// it.
#[test]
fn a_short_upload_over_http1_was_replaced() {
    for version in [Version::HTTP_09, Version::HTTP_10, Version::HTTP_11] {
        for answer in ANSWERS {
            let row = |row| format!("{row}, over {version:?}");
            let five = || {
                upload([Data("abc"), Data("de")])
                    .promises("10")
                    .over(version)
            };
            let ending = answer.ending();
            five().check(&row("without a hint"), answer, ending, 5);
            five()
                .hints(5)
                .check(&row("with a hint"), answer, ending, 5);
            five()
                .hints(7)
                .check(&row("short of its hint too"), answer, ending, 5);
            five().knows_its_end().read(2).check(
                &row("with an end that is known"),
                answer,
                ending,
                5,
            );
            let nothing = upload([]).promises("10").over(version);
            nothing.check(&row("nothing"), answer, ending, 0);
            let broken = upload([Data("ab"), Fail(reset)]).promises("10");
            let broken = broken.over(version);
            broken.check(&row("broken off"), answer, Cancelled, 2);
        }
    }
}

#[test]
fn an_upload_that_times_out_is_a_timeout() {
    let timeouts: [fn() -> BoxError; 6] = [
        || tower::timeout::error::Elapsed::new().into(),
        || io::Error::from(ErrorKind::TimedOut).into(),
        || io::Error::other(tower::timeout::error::Elapsed::new()).into(),
        || Around(tower::timeout::error::Elapsed::new().into()).into(),
        || axum::Error::new(tower::timeout::error::Elapsed::new()).into(),
        // The outermost known error decides.
        || io::Error::new(ErrorKind::TimedOut, Around(reset())).into(),
    ];
    for answer in ANSWERS {
        for error in timeouts {
            let row = format!("{:?}", error());
            upload([Data("ab"), Fail(error)]).check(&row, answer, Failed("timeout"), 2);
        }
    }
}

#[test]
fn a_malformed_upload_is_invalid() {
    let malformed: [fn() -> BoxError; 7] = [
        malformed,
        || io::Error::from(ErrorKind::InvalidData).into(),
        || io::Error::other("connection reset").into(),
        || "connection reset by peer".into(),
        || Around(malformed()).into(),
        || axum::Error::new(malformed()).into(),
        || h2::Error::from(h2::Reason::PROTOCOL_ERROR).into(),
    ];
    for answer in ANSWERS {
        for error in malformed {
            let row = format!("{:?}", error());
            let ending = Failed("invalid_message");
            upload([Data("ab"), Fail(error)]).check(&row, answer, ending, 2);
        }
    }
}

#[test]
fn the_first_failure_of_an_upload_counts() {
    let rest = |first, ending| {
        let steps = [Data("a"), Fail(first), Fail(malformed), Fail(reset)];
        let stage = Stage::new();
        let answered = stage.call(upload(steps).promises("9").request(&stage), |request| {
            let mut body = pin!(request.into_body());
            for _ in 0..4 {
                take_to_end(body.as_mut());
            }
            Status(400).give(&stage)
        });
        drop(answered);
        stage.expect("read on", Ending::after(ending, 5).request_bytes(1));
    };
    rest(malformed, Failed("invalid_message"));
    rest(reset, Cancelled);
}

/// Only known error types mean that the client is gone.
#[test]
fn upload_errors_of_any_type_are_classified() {
    fn check<E: fmt::Debug + 'static>(error: fn() -> E, ending: Ending) {
        let stage = Stage::new();
        let body = Script::new(stage.clock, [Data("ab"), Fail(error)]);
        let answered = stage.call(Request::new(body), |request| {
            assert!(take_to_end(pin!(request.into_body())).failed);
            Status(400).give(&stage)
        });
        drop(answered);
        let row = format!("{:?}", error());
        stage.expect(&row, ending.after(3).request_bytes(2));
    }
    struct NotAnError;
    impl fmt::Debug for NotAnError {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("NotAnError")
        }
    }

    check(|| io::Error::from(ErrorKind::BrokenPipe), Cancelled);
    check(|| axum::Error::new(reset()), Cancelled);
    check::<Box<dyn StdError + Send>>(|| Box::new(Around(reset())), Cancelled);
    check::<Box<dyn StdError>>(|| Box::new(Around(reset())), Cancelled);
    let invalid = Failed("invalid_message");
    check(|| io::Error::from(ErrorKind::InvalidData), invalid);
    check(|| axum::Error::new(malformed()), invalid);
    check(|| h2::Error::from(h2::Reason::CANCEL), invalid);
    check(|| NotAnError, invalid);
}

/// Responds with `body` and returns the request's body.
fn outlived(
    stage: &Stage,
    upload: Upload,
    status: u16,
    body: Script,
) -> (Pin<Box<impl Body + use<>>>, Pin<Box<RequestBody<Script>>>) {
    let kept = Cell::new(None);
    let response = stage.call(upload.request(stage), |request| {
        kept.set(Some(Box::pin(request.into_body())));
        Ok(Response::builder().status(status).body(body).unwrap())
    });
    let response = Box::pin(response.unwrap().into_body());
    (response, kept.into_inner().unwrap())
}

#[test]
fn an_upload_after_the_end_of_its_call_only_counts_bytes() {
    for (row, last) in [
        ("whole", Data("d")),
        ("broken off", Fail(reset)),
        ("malformed", Fail(malformed)),
    ] {
        let stage = Stage::new();
        let upload = upload([Data("abc"), last]).promises("9");
        let (response, mut request) = outlived(&stage, upload, 200, stage.empty());
        stage.expect(row, Completed.after(1));
        drop(response);

        take_frames(request.as_mut(), 1);
        stage.expect(row, Completed.after(1).request_bytes(3));
        let bytes = 3 + take_to_end(request.as_mut()).bytes;
        drop(request);
        stage.expect(row, Completed.after(1).request_bytes(bytes));
    }
}

/// The next call reuses the body report of an ended one.
#[test]
fn a_late_failure_does_not_reach_the_next_call() {
    let stage = Stage::new();
    let (_, mut late) = outlived(&stage, upload([Fail(reset)]), 200, stage.empty());
    let (response, request) = outlived(
        &stage,
        upload([Data("a")]),
        200,
        Script::new(stage.clock, [Data("b")]),
    );
    take_to_end(late.as_mut());
    take_to_end(pin!(response));
    drop((late, request));
    let numbers = super::Numbers::of(&stage.layer);
    assert_eq!(
        (numbers.requests, numbers.cancellations, numbers.failed()),
        (2, 0, 0)
    );
}

#[test]
fn an_upload_that_fails_during_the_response_decides_the_outcome() {
    let invalid = Failed("invalid_message");
    let generate = Failed("generate");
    for (row, status, error, ending) in [
        (
            "reset under a 200",
            200,
            reset as fn() -> BoxError,
            Cancelled,
        ),
        ("malformed under a 200", 200, malformed, invalid),
        ("reset under a 400", 400, reset, Failed("deserialization")),
        ("reset under a 500", 500, reset, generate),
        ("malformed under a 500", 500, malformed, generate),
        ("reset under a 304", 304, reset, Cancelled),
    ] {
        for to_the_end in [true, false] {
            let stage = Stage::new();
            let body = Script::new(stage.clock, [Data("x"), Data("yz")]);
            let upload = upload([Data("ab"), Fail(error)]);
            let (mut response, mut request) = outlived(&stage, upload, status, body);
            poll_frame(response.as_mut());
            assert!(take_to_end(request.as_mut()).failed);
            let bytes = if to_the_end {
                1 + take_to_end(response.as_mut()).bytes
            } else {
                1
            };
            drop(response);
            let seconds = if to_the_end { 5 } else { 4 };
            let expected = ending.after(seconds);
            stage.expect(row, expected.request_bytes(2).response_bytes(bytes));
        }
    }
}

#[test]
fn an_upload_that_fails_after_the_response_has_no_effect() {
    let stage = Stage::new();
    let body = Script::new(stage.clock, [Data("x"), Fail(|| "broken".into())]);
    let (mut response, mut request) = outlived(&stage, upload([Fail(reset)]), 200, body);
    assert!(take_to_end(response.as_mut()).failed);
    assert!(take_to_end(request.as_mut()).failed);
    drop((response, request));
    let expected = Failed("publish_response").after(3).response_bytes(1);
    stage.expect("the answer first", expected);
}

#[test]
fn into_inner_hides_the_upload() {
    let stage = Stage::new();
    let upload = upload([Data("abc"), Fail(reset)]);
    let answered = stage.call(upload.request(&stage), |request| {
        let body = RequestBody::into_inner(request.into_body());
        assert!(take_to_end(pin!(body)).failed);
        Status(400).give(&stage)
    });
    drop(answered);
    let expected = Failed("deserialization").after(3);
    stage.expect("by the answer alone", expected);
}

/// The caller is still there when its request fails. Its connection refuses a short body.
#[test]
fn an_upload_of_a_client_is_never_cancelled() {
    fn expect<C: Classify>(builder: MetricsLayerBuilder<Http<C>>, upload: Upload, ending: Ending) {
        let clock = Clock::manual();
        let layer = builder.clock(clock).build([("endpoint", "stage")]).unwrap();
        let stage = Stage { clock, layer };
        let row = format!("{upload:?}");
        let answered = stage.call(upload.request(&stage), |request| {
            take_to_end(pin!(request.into_body()));
            Status(200).give(&stage)
        });
        drop(answered);
        let Numbers {
            requests,
            errors,
            cancellations,
            ..
        } = Numbers::of(&stage.layer);
        assert_eq!((requests, cancellations), (1, 0), "{row}");
        let failed = |error_type| errors.get(error_type) == Some(&1);
        match ending {
            Failed(error_type) => assert!(failed(error_type), "{row}: {errors:?}"),
            _ => assert!(
                errors.values().all(|count| *count == 0),
                "{row}: {errors:?}"
            ),
        }
    }
    type Steps = fn() -> Vec<Step>;

    fn timed_out() -> BoxError {
        io::Error::from(ErrorKind::TimedOut).into()
    }
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let cases: [(Steps, Ending); 4] = [
            (|| vec![Data("abc"), Fail(reset)], Failed("invalid_message")),
            (
                || vec![Fail(|| "the disk is gone".into())],
                Failed("invalid_message"),
            ),
            (|| vec![Data("abc"), Fail(timed_out)], Failed("timeout")),
            (|| vec![Data("abc")], Completed),
        ];
        for (steps, ending) in cases {
            let sent = || upload(steps()).promises("9").over(version);
            let client = MetricsLayer::client_builder;
            expect(client(), sent(), ending);
            // The layer stays a client's with any classifier.
            expect(client().classifier(HttpStatus), sent(), ending);
            let lookup = expecting(|head| head.status == 404);
            expect(client().classifier(lookup), sent(), ending);
            let named = MetricsLayer::builder().classifier(lookup.or(HttpClient));
            expect(named, sent(), ending);
        }
    }
}

#[test]
fn a_request_without_a_body_has_no_effect() {
    let stage = Stage::new();
    let answered = stage.call(get(), |_| Status(200).give(&stage));
    drop(answered);
    stage.expect("GET", Completed.after(1));
}
