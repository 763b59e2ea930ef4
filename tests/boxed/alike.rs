//! The same calls through a plain layer and through boxed layers give the same numbers and bodies.

use crate::support::Step::{Data, Fail, Panic, Pending, Trailers};
use crate::support::{Numbers, SECOND, Script, Step, now, poll_frame};
use axum::body::Body;
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Method, Request, Response};
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use http_body_util::combinators::{BoxBody, UnsyncBoxBody};
use std::io::ErrorKind;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_openmetrics::protocol::{Answer, Boxed, FromBody, Http, Protocol};
use tower_openmetrics::{Clock, MetricsLayer, RequestBody, ResponseBody};

/// One call: both bodies, how many frames of each are taken, and the response.
#[derive(Debug)]
struct Row {
    method: Method,
    upload: Steps,
    read: usize,
    response: Steps,
    taken: usize,
    promised: Option<&'static str>,
    hint: Option<u64>,
    knows_its_end: bool,
    answer: Outcome,
}

#[derive(Clone, Copy, Debug)]
enum Outcome {
    Status(u16),
    Err,
    Panic,
}

/// What a reader sees of a body: before each poll its size hint and whether it has ended, and the poll's result.
type Seen = Vec<(u64, Option<u64>, bool, Option<String>)>;

/// Creates the body for each call.
type Steps = fn() -> Vec<Step>;

const ALL: usize = usize::MAX;

/// A call whose response has five bytes in two frames, which are all taken.
const ROW: Row = Row {
    method: Method::POST,
    upload: || vec![Data("abc"), Pending, Data("de")],
    read: ALL,
    response: || vec![Data("abc"), Pending, Data("de")],
    taken: ALL,
    promised: None,
    hint: None,
    knows_its_end: false,
    answer: Outcome::Status(200),
};

fn rows() -> Vec<Row> {
    let uploads: [(Steps, usize); 6] = [
        (Vec::new, ALL),
        (ROW.upload, ALL),
        (ROW.upload, 1),
        (|| vec![Data("abc"), Trailers], ALL),
        (|| vec![Data("abc"), Fail(|| "malformed".into())], ALL),
        (|| vec![Data("abc"), Fail(reset)], ALL),
    ];
    let statuses = [101, 200, 204, 304, 400, 500].map(Outcome::Status);
    let mut rows = Vec::new();
    for (upload, read) in uploads {
        for answer in statuses.into_iter().chain([Outcome::Err, Outcome::Panic]) {
            for knows_its_end in [false, true] {
                rows.push(Row {
                    upload,
                    read,
                    answer,
                    knows_its_end,
                    ..ROW
                });
            }
        }
    }
    let responses: [Steps; 6] = [
        Vec::new,
        ROW.response,
        || vec![Data("abc"), Trailers],
        || vec![Fail(|| "broken".into())],
        || vec![Data("abc"), Fail(|| "broken".into())],
        || vec![Data("abc"), Panic],
    ];
    let promises = [
        (None, None),
        (Some("5"), None),
        (None, Some(5)),
        (Some("3"), Some(3)),
    ];
    for response in responses {
        for taken in [0, 1, ALL] {
            for (promised, hint) in promises {
                for knows_its_end in [false, true] {
                    for method in [Method::GET, Method::HEAD] {
                        rows.push(Row {
                            method,
                            response,
                            taken,
                            promised,
                            hint,
                            knows_its_end,
                            ..ROW
                        });
                    }
                }
            }
        }
    }
    rows
}

fn reset() -> BoxError {
    std::io::Error::from(ErrorKind::ConnectionReset).into()
}

impl Row {
    /// Makes the call. Returns what the service saw of the request and what the caller saw of the response.
    fn call<P, Q, A>(&self, clock: Clock, layer: &MetricsLayer<P>) -> [Seen; 2]
    where
        P: Protocol<Request<Script>, Request = Request<Q>>
            + Answer<Response<Script>, BoxError, Response = Response<A>>,
        Q: HttpBody<Data = Bytes>,
        A: HttpBody<Data = Bytes>,
    {
        let mut read = Seen::new();
        let script = |steps| Script::new(clock, steps).knows_its_end(self.knows_its_end);
        let mut service = ServiceBuilder::new()
            .layer(layer.clone())
            .service(service_fn(|request: Request<Q>| {
                read = look_at(Box::pin(request.into_body()), self.read);
                let mut response = Response::builder();
                if let Some(length) = self.promised {
                    response = response.header(CONTENT_LENGTH, length);
                }
                let answer = match self.answer {
                    Outcome::Status(status) => response
                        .status(status)
                        .body(script((self.response)()).hint(self.hint))
                        .map_err(BoxError::from),
                    Outcome::Err => Err("no answer".into()),
                    Outcome::Panic => panic!("no answer"),
                };
                std::future::ready(answer)
            }));
        let request = Request::builder().method(&self.method);
        let request = request.body(script((self.upload)())).unwrap();
        let answered = std::panic::catch_unwind(AssertUnwindSafe(|| now(service.call(request))));
        drop(service);
        let taken = match answered {
            Ok(Ok(response)) => {
                let seen = look_at(Box::pin(response.into_body()), self.taken);
                clock.advance(SECOND);
                seen
            }
            _ => Seen::new(),
        };
        [read, taken]
    }
}

/// Takes up to this many frames, until the end, a failure or a panic. Drops the body a second later.
fn look_at<B: HttpBody<Data = Bytes>>(mut body: Pin<Box<B>>, most: usize) -> Seen {
    let mut seen = Seen::new();
    loop {
        let (hint, over) = (body.size_hint(), body.is_end_stream());
        let (lower, upper) = (hint.lower(), hint.upper());
        if seen.len() >= most {
            seen.push((lower, upper, over, None));
            return seen;
        }
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| poll_frame(body.as_mut())));
        let (frame, goes_on) = match polled {
            Ok(Some(Ok(frame))) => (format!("{frame:?}"), true),
            Ok(Some(Err(_))) => ("failed".to_owned(), false),
            Ok(None) => ("end".to_owned(), false),
            Err(_) => ("panicked".to_owned(), false),
        };
        seen.push((lower, upper, over, Some(frame)));
        if !goes_on {
            return seen;
        }
    }
}

fn stage() -> (Clock, MetricsLayer) {
    let clock = Clock::manual();
    let layer = MetricsLayer::builder().clock(clock).build(()).unwrap();
    (clock, layer)
}

fn compare<B>(is_meant: impl Fn(&Row) -> bool)
where
    B: FromBody<RequestBody<Script>> + FromBody<ResponseBody<Script>> + HttpBody<Data = Bytes>,
{
    for row in rows().iter().filter(|row| is_meant(row)) {
        let (clock, plain) = stage();
        let seen = row.call(clock, &plain);
        let (clock, layer) = stage();
        let boxed: MetricsLayer<Boxed<Http, B>> = layer.boxed();
        assert_eq!(row.call(clock, &boxed), seen, "{row:?}");
        assert_eq!(Numbers::of(&boxed), Numbers::of(&plain), "{row:?}");
    }
}

#[test]
fn axums_body_counts_alike() {
    compare::<Body>(|_| true);
}

#[test]
fn tonics_body_counts_alike() {
    // tonic turns a body that has already ended into one of length 0, whatever its size hint.
    compare::<tonic::body::Body>(|row| {
        let is_nothing = |steps: Steps| steps().is_empty();
        !row.knows_its_end || !(is_nothing(row.upload) || is_nothing(row.response))
    });
}

#[test]
fn boxed_bodies_count_alike() {
    compare::<UnsyncBoxBody<Bytes, BoxError>>(|_| true);
    compare::<BoxBody<Bytes, BoxError>>(|_| true);
}

/// The error is not wrapped once more by each layer.
#[test]
fn errors_of_axum_are_wrapped_once() {
    let broken = || Body::new(Script::new(Clock::manual(), [Fail(reset)]));
    let service = ServiceBuilder::new()
        .layer(MetricsLayer::default().boxed::<Body>())
        .layer(MetricsLayer::default().boxed::<Body>())
        .layer(MetricsLayer::default().boxed::<Body>())
        .service(service_fn(async |request: Request<Body>| {
            let mut body = request.into_body();
            let error = now(body.frame()).unwrap().unwrap_err();
            assert!(error.into_inner().is::<std::io::Error>());
            Ok::<_, BoxError>(Response::new(broken()))
        }));
    let response = now(service.oneshot(Request::new(broken()))).unwrap();
    let error = now(response.into_body().frame()).unwrap().unwrap_err();
    assert!(error.into_inner().is::<std::io::Error>());
}
