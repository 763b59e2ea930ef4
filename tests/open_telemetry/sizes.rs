//! The sizes of bodies.

use super::{all, begin, get, hello};
use crate::support::Step::{Data, Pending, Trailers};
use crate::support::{Page, Script, Taken, now, poll_frame, take_frames, take_to_end};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use std::cell::Cell;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::thread;
use tower::{Layer, Service, service_fn};
use tower_openmetrics::classify::ServerErrorsOnly;
use tower_openmetrics::labels::Label;
use tower_openmetrics::protocol::Http;
use tower_openmetrics::{CallHandle, Clock, MetricsLayer, RequestBody};

const REQUEST: &str = "http_server_request_body_size_bytes";
const RESPONSE: &str = "http_server_response_body_size_bytes";

fn layer() -> MetricsLayer<Http<ServerErrorsOnly>> {
    MetricsLayer::builder()
        .open_telemetry()
        .body_size_buckets([0, 4])
        .build([("", ""); 0])
        .unwrap()
}

/// The sums over the histograms of all label sets.
#[derive(Debug, PartialEq, Eq)]
struct Sizes {
    sum: u64,
    /// The counts up to 0, up to 4, and of all.
    buckets: [u64; 3],
}

/// Returns the sums after one call of that size.
fn one(bytes: u64) -> Sizes {
    let buckets = [0, 4, u64::MAX].map(|bound| u64::from(bytes <= bound));
    Sizes {
        sum: bytes,
        buckets,
    }
}

#[track_caller]
fn sizes<P>(layer: &MetricsLayer<P>, name: &str) -> Sizes {
    let page = Page::read(layer.exporter());
    let total = |name: &str, le: &str| -> u64 {
        let all = page.all(name).filter(|(labels, _)| labels.contains(le));
        all.map(|(_, value)| value.parse::<u64>().unwrap()).sum()
    };
    let bucket = |le| total(&format!("{name}_bucket"), &format!("le=\"{le}\""));
    let buckets = [bucket("0.0"), bucket("4.0"), bucket("+Inf")];
    assert_eq!(buckets[2], total(&format!("{name}_count"), ""));
    let durations = total("http_server_request_duration_seconds_count", "");
    assert_eq!(buckets[2], durations, "all calls have a size");
    let sum = total(&format!("{name}_sum"), "");
    Sizes { sum, buckets }
}

fn three_frames() -> Script {
    let steps = [Data("abc"), Pending, Data("defg"), Data("hi"), Trailers];
    Script::new(Clock::manual(), steps)
}

#[test]
fn a_requests_size_is_what_the_service_has_read() {
    for (frames, bytes) in [(0, 0), (1, 3), (2, 7), (usize::MAX, 9)] {
        let layer = layer();
        let read = Cell::new(Taken::default());
        let answer = begin(
            &layer,
            Request::post("/").body(three_frames()).unwrap(),
            |request| {
                read.set(take_frames(pin!(request.into_body()), frames));
                hello(Request::new(()))
            },
        );
        take_to_end(pin!(answer.into_body()));
        assert_eq!(read.get().bytes, bytes, "what the service saw");
        assert_eq!(sizes(&layer, REQUEST), one(bytes));
        assert_eq!(sizes(&layer, RESPONSE), one(5));
    }
}

/// When a call has ended, another call may use its body report. Later bytes of the body are not counted.
#[test]
fn a_body_that_outlives_its_call_counts_for_no_other_call() {
    let layer = layer();
    let outliving = Cell::new(None);
    let request = || Request::post("/").body(three_frames()).unwrap();
    let answer = begin(&layer, request(), |request| {
        let mut body = Box::pin(request.into_body());
        poll_frame(body.as_mut());
        outliving.set(Some(body));
        hello(Request::new(()))
    });
    take_to_end(pin!(answer.into_body()));
    assert_eq!(sizes(&layer, REQUEST), one(3));

    let next = begin(&layer, request(), hello);
    take_to_end(outliving.take().unwrap().as_mut());
    take_to_end(pin!(next.into_body()));
    let Sizes { sum, buckets } = sizes(&layer, REQUEST);
    assert_eq!((sum, buckets), (3, [1, 2, 2]), "the next call read nothing");
}

#[test]
fn a_request_can_be_read_while_the_response_is_sent() {
    let layer = layer();
    let kept = Cell::new(None);
    let answer = begin(
        &layer,
        Request::post("/").body(three_frames()).unwrap(),
        |request| {
            kept.set(Some(Box::pin(request.into_body())));
            hello(Request::new(()))
        },
    );
    take_to_end(kept.take().unwrap().as_mut());
    take_to_end(pin!(answer.into_body()));
    assert_eq!(sizes(&layer, REQUEST), one(9));
}

#[test]
fn a_responses_size_is_what_the_caller_has_taken() {
    for (frames, bytes) in [(0, 0), (1, 3), (2, 7), (usize::MAX, 9)] {
        let layer = layer();
        let service =
            service_fn(async |_: Request<_>| Ok::<_, Infallible>(Response::new(three_frames())));
        let Ok(answer) = now(layer.layer(service).call(get("/")));
        let taken = take_frames(pin!(answer.into_body()), frames);
        assert_eq!(taken.bytes, bytes);
        assert_eq!(sizes(&layer, RESPONSE), one(bytes));
        assert_eq!(sizes(&layer, REQUEST), one(0));
    }
}

/// The body is read all the same, as hyper does over HTTP/2.
#[test]
fn a_response_that_must_have_no_body_has_size_0() {
    for (method, status) in [
        (Method::HEAD, StatusCode::OK),
        (Method::GET, StatusCode::NO_CONTENT),
    ] {
        let layer = layer();
        let mut request = get("/");
        *request.method_mut() = method;
        let answer = begin(&layer, request, |request| {
            let mut response = hello(request);
            *response.status_mut() = status;
            response
        });
        drop(answer);
        assert_eq!(sizes(&layer, RESPONSE), one(0), "{status}");
        let labels = all(&layer, &format!("{RESPONSE}_count"));
        assert!(labels[0].0.contains(r#"error_type="""#), "{labels:?}");
    }
}

/// Its body is not read, and it is not followed.
#[test]
fn an_upgrade_has_sizes_but_no_duration() {
    let layer = layer();
    drop(begin(&layer, get("/"), |request| {
        let mut response = hello(request);
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response
    }));
    for (name, count) in [
        (REQUEST, 1),
        (RESPONSE, 1),
        ("http_server_request_duration_seconds", 0),
    ] {
        let counts = all(&layer, &format!("{name}_count"));
        let total: u64 = counts
            .iter()
            .map(|(_, count)| count.parse::<u64>().unwrap())
            .sum();
        assert_eq!(total, count, "{name}");
    }
    assert_eq!(all(&layer, &format!("{RESPONSE}_sum"))[0].1, "0");
}

/// The size is 0, so that there are as many sizes as durations.
#[test]
fn a_call_that_fails_before_its_bodies_has_sizes() {
    let unanswered = layer();
    let service = service_fn(async |_: Request<_>| Err::<Response<Full<Bytes>>, _>("no"));
    now(unanswered.layer(service).call(get("/"))).expect_err("it fails");

    let builder = MetricsLayer::builder().open_telemetry();
    let panicking = builder
        .body_size_buckets([0, 4])
        .label(Label::from_request("x", |_| panic!("a scripted panic")))
        .build([("", ""); 0])
        .unwrap();
    let answered = catch_unwind(AssertUnwindSafe(|| begin(&panicking, get("/"), hello)));
    answered.expect_err("a panic");
    for layer in [unanswered, panicking] {
        assert_eq!(sizes(&layer, REQUEST), one(0));
        assert_eq!(sizes(&layer, RESPONSE), one(0));
    }
}

/// Streams are left out of the durations, and of no other histogram.
#[test]
fn a_stream_has_sizes() {
    let layer = MetricsLayer::builder()
        .open_telemetry()
        .body_size_buckets([0, 4])
        .stream_duration_seconds(|head| head.status == 202)
        .build([("", ""); 0])
        .unwrap();
    for status in [StatusCode::OK, StatusCode::ACCEPTED] {
        let answer = begin(&layer, get("/"), |request| {
            let mut response = hello(request);
            *response.status_mut() = status;
            response
        });
        take_to_end(pin!(answer.into_body()));
    }
    let counts = |name: &str| -> Vec<String> {
        let all = all(&layer, &format!("http_server_{name}"));
        all.into_iter().map(|(_, count)| count).collect()
    };
    // By status: 200, then 202.
    assert_eq!(counts("request_duration_seconds_count"), ["1", "0"]);
    // Only label sets that had a stream have this metric.
    assert_eq!(counts("stream_duration_seconds_count"), ["1"]);
    assert_eq!(counts("response_body_size_bytes_sum"), ["5", "5"]);
    assert_eq!(counts("request_body_size_bytes_count"), ["1", "1"]);
}

#[test]
fn bytes_counted_through_a_handle_have_a_size() {
    let builder = MetricsLayer::builder().open_telemetry();
    let layer = builder
        .body_size_buckets([0, 4])
        .build([("", ""); 0])
        .unwrap()
        .pass_handle(|request: &mut Request<Full<Bytes>>, call: CallHandle| {
            request.extensions_mut().insert(call);
        });
    let service = service_fn(async |request: Request<RequestBody<_>>| {
        let call = request.extensions().get::<CallHandle>().unwrap();
        call.request_bytes(2);
        call.request_message(4);
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let Ok(answer) = now(layer.layer(service).call(get("/")));
    drop(answer);
    assert_eq!(sizes(&layer, REQUEST), one(6));
}

/// Calls run on many threads, and their bodies are read on others. Every byte that was read in time is counted once.
#[test]
fn sizes_are_exact_under_load() {
    const THREADS: u64 = 4;
    const CALLS: u64 = 500;
    let layer = layer();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..CALLS {
                    let request = Request::post("/").body(three_frames()).unwrap();
                    let answer = begin(&layer, request, |request| {
                        let read = || take_to_end(pin!(request.into_body())).bytes;
                        let read = thread::scope(|scope| scope.spawn(read).join());
                        assert_eq!(read.unwrap(), 9);
                        hello(Request::new(()))
                    });
                    assert_eq!(take_to_end(pin!(answer.into_body())).bytes, 5);
                }
            });
        }
    });
    let all = THREADS * CALLS;
    let of = |bytes| Sizes {
        sum: all * bytes,
        buckets: [0, 0, all],
    };
    assert_eq!(sizes(&layer, REQUEST), of(9));
    assert_eq!(sizes(&layer, RESPONSE), of(5));
}
