//! A request allocates nothing once the memory that all requests share exists.

mod support;

use self::support::{Numbers, Page, now, take_frames, take_to_end};
use allocation_counter::measure;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Request, Response, Uri};
use http_body::{Body, Frame};
use http_body_util::Full;
use std::cell::RefCell;
use std::io;
use std::pin::{Pin, pin};
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;
use tower::{Layer, Service, service_fn};
use tower_openmetrics::labels::{Label, is_long_lived};
use tower_openmetrics::protocol::Grpc;
use tower_openmetrics::{MetricsLayer, RequestBody, ResponseBody, TraceContext};

const WARM_UP: usize = 10;
const CALLS: usize = 1_000;

type Answer = Response<ResponseBody<Full<Bytes>>>;

/// A request body that never allocates.
#[derive(Clone, Copy, Debug)]
struct Upload {
    frames: usize,
    fails: bool,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(match self.frames.checked_sub(1) {
            Some(left) => {
                self.frames = left;
                Some(Ok(Frame::data(Bytes::from_static(b"abc"))))
            }
            None if self.fails => Some(Err(io::ErrorKind::ConnectionReset.into())),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.frames == 0 && !self.fails
    }
}

const NONE: Upload = Upload {
    frames: 0,
    fails: false,
};
const WHOLE: Upload = Upload { frames: 2, ..NONE };
const BROKEN: Upload = Upload {
    fails: true,
    ..WHOLE
};

/// A gRPC response: a message in two frames, and trailers. All frames are created before the call.
struct Message {
    frames: Vec<Frame<Bytes>>,
}

impl Message {
    fn new(code: u32) -> Self {
        let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), code.into())]);
        let frames = vec![
            Frame::trailers(trailers),
            Frame::data(Bytes::from_static(b"lo")),
            Frame::data(Bytes::from_static(b"\0\0\0\0\x05hel")),
        ];
        Self { frames }
    }
}

impl Body for Message {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(self.frames.pop().map(Ok))
    }
}

fn layer() -> MetricsLayer {
    MetricsLayer::new([("endpoint", "allocation")])
}

/// Creates requests for [`serve`] before the calls, because creating them allocates.
fn requests(path: &'static str, body: Upload, count: usize) -> Vec<Request<Upload>> {
    let request = || {
        let request = Request::post(Uri::from_static(path));
        let length = 3 * body.frames;
        request.header(CONTENT_LENGTH, length).body(body).unwrap()
    };
    (0..count).map(|_| request()).collect()
}

/// Responds as the path says, without allocating.
async fn serve(request: Request<RequestBody<Upload>>) -> Result<Response<Full<Bytes>>, io::Error> {
    let status = match request.uri().path() {
        "/read" => {
            take_to_end(pin!(request.into_body()));
            200
        }
        "/leave" => {
            take_frames(pin!(request.into_body()), 1);
            200
        }
        "/refuse" => 500,
        _ => return Err(io::ErrorKind::InvalidData.into()),
    };
    let mut response = Response::new(Full::new(Bytes::from_static(b"hello")));
    *response.status_mut() = status.try_into().expect("a status");
    Ok(response)
}

/// Makes calls like a server, with a clone of the service for each request.
fn begin<S>(service: &S, request: Request<Upload>) -> Option<Answer>
where
    S: Service<Request<Upload>, Response = Answer> + Clone,
{
    now(service.clone().call(request)).ok()
}

#[test]
fn a_request_allocates_nothing() {
    for (path, body, taken) in [
        ("/read", NONE, usize::MAX),
        ("/read", WHOLE, usize::MAX),
        ("/read", BROKEN, usize::MAX),
        ("/leave", WHOLE, usize::MAX),
        ("/read", WHOLE, 0),
        ("/refuse", NONE, usize::MAX),
        ("/fail", WHOLE, usize::MAX),
    ] {
        let layer = layer();
        let service = layer.layer(service_fn(serve));
        let run = |requests: Vec<Request<Upload>>| {
            for request in requests {
                if let Some(response) = begin(&service, request) {
                    take_frames(pin!(response.into_body()), taken);
                }
            }
        };
        run(requests(path, body, WARM_UP));
        let requests = requests(path, body, CALLS);
        let allocated = measure(|| run(requests));
        assert_eq!(allocated.count_total, 0, "{path} {body:?} {taken}");
        assert_eq!(Numbers::of(&layer).requests, (WARM_UP + CALLS) as u64);
    }
}

/// Label values are borrowed, and a known label set is found without an allocation.
#[test]
fn a_request_with_labels_allocates_nothing() {
    let layer = MetricsLayer::builder()
        .label(Label::method())
        .label(Label::route(|head| Some(head.uri.path())))
        .label(Label::status())
        .stream_duration_seconds(is_long_lived)
        .filter(|head| head.uri.path() != "/leave")
        .exemplars(|_| Some(TraceContext::new(1, 2)))
        .native_histograms(true)
        .build([("endpoint", "allocation")])
        .unwrap();
    let service = layer.layer(service_fn(serve));
    let run = |requests: Vec<Request<Upload>>| {
        for request in requests {
            if let Some(response) = begin(&service, request) {
                take_frames(pin!(response.into_body()), usize::MAX);
            }
        }
    };
    for path in ["/read", "/refuse", "/fail", "/leave"] {
        run(requests(path, WHOLE, WARM_UP));
        let requests = requests(path, WHOLE, CALLS);
        let allocated = measure(|| run(requests));
        assert_eq!(allocated.count_total, 0, "{path}");
    }
    let page = Page::read(layer.exporter());
    let counted: Vec<_> = page.all("requests_total").collect();
    assert_eq!(
        counted,
        [
            (
                r#"{endpoint="allocation",method="POST",route="/fail",status="none"}"#,
                "1010"
            ),
            (
                r#"{endpoint="allocation",method="POST",route="/read",status="200"}"#,
                "1010"
            ),
            (
                r#"{endpoint="allocation",method="POST",route="/refuse",status="500"}"#,
                "1010"
            ),
        ]
    );
}

/// Each call counts its own bytes for the histograms of body sizes.
#[test]
fn a_request_with_opentelemetry_metrics_allocates_nothing() {
    let layer = MetricsLayer::builder()
        .open_telemetry()
        .label(Label::route(|head| Some(head.uri.path())))
        .build([("endpoint", "allocation")])
        .unwrap();
    let service = layer.layer(service_fn(serve));
    let run = |requests: Vec<Request<Upload>>| {
        for request in requests {
            if let Ok(response) = now(service.clone().call(request)) {
                take_frames(pin!(response.into_body()), usize::MAX);
            }
        }
    };
    for (path, body) in [
        ("/read", WHOLE),
        ("/read", NONE),
        ("/refuse", WHOLE),
        ("/fail", WHOLE),
    ] {
        run(requests(path, body, WARM_UP));
        let requests = requests(path, body, CALLS);
        let allocated = measure(|| run(requests));
        assert_eq!(allocated.count_total, 0, "{path} {body:?}");
    }
    let page = Page::read(layer.exporter());
    let sums = page.all("http_server_request_body_size_bytes_sum");
    let sum: u64 = sums.map(|(_, sum)| sum.parse::<u64>().unwrap()).sum();
    assert_eq!(sum, 6 * (WARM_UP + CALLS) as u64);
}

#[test]
fn a_request_whose_items_polls_and_age_are_measured_allocates_nothing() {
    let layer = MetricsLayer::builder()
        .ready_wait_seconds(true)
        .oldest_request_age_seconds(true)
        .requests_longest_seconds(true)
        .items_in_frames(|frame| frame.len() as u64)
        .items_total(true)
        .first_item_seconds(true)
        .item_gap_seconds(true)
        .time_per_item_seconds(true)
        .handler_poll_seconds(true)
        .slow_polls_total(Duration::from_secs(3_600))
        .build([("endpoint", "allocation")])
        .unwrap();
    let service = layer.layer(service_fn(serve));
    let run = |requests: Vec<Request<Upload>>| {
        for request in requests {
            if let Some(response) = begin(&service, request) {
                take_frames(pin!(response.into_body()), usize::MAX);
            }
        }
    };
    run(requests("/read", WHOLE, WARM_UP));
    let requests = requests("/read", WHOLE, CALLS);
    assert_eq!(measure(|| run(requests)).count_total, 0);
    let page = Page::read(layer.exporter());
    let calls = (WARM_UP + CALLS).to_string();
    for counted in ["first_item_seconds_count", "handler_poll_seconds_count"] {
        assert_eq!(page.one(counted), calls, "{counted}");
    }
}

#[test]
fn a_message_whose_label_is_borrowed_allocates_nothing() {
    let layer = MetricsLayer::unary_builder()
        .label(Label::from_message("model", |model: &&str| {
            Some((*model).into())
        }))
        .filter_messages(|model: &&str| *model != "probe")
        .build([("endpoint", "allocation")])
        .unwrap();
    let service = layer.layer(service_fn(async |model: &'static str| {
        Ok::<_, io::Error>(model)
    }));
    let run = |count| {
        for _ in 0..count {
            for model in ["large", "small", "probe"] {
                now(service.clone().call(model)).unwrap();
            }
        }
    };
    run(WARM_UP);
    assert_eq!(measure(|| run(CALLS)).count_total, 0);
    let page = Page::read(layer.exporter());
    let counted: Vec<_> = page.all("requests_total").map(|(_, count)| count).collect();
    assert_eq!(counted, ["1010", "1010"]);
}

#[test]
fn a_future_dropped_early_allocates_nothing() {
    let layer = layer();
    let service = layer.layer(service_fn(serve));
    let run = |requests: Vec<Request<Upload>>| {
        for request in requests {
            drop(service.clone().call(request));
        }
    };
    run(requests("/read", WHOLE, WARM_UP));
    let requests = requests("/read", WHOLE, CALLS);
    assert_eq!(measure(|| run(requests)).count_total, 0);
    let cancelled = Numbers::of(&layer).cancellations;
    assert_eq!(cancelled, (WARM_UP + CALLS) as u64);
}

/// Calls begin on this thread and end on another one, as in a work-stealing runtime.
#[test]
fn calls_that_change_threads_allocate_next_to_nothing() {
    const ROUNDS: usize = 5;
    const A_HANDFUL: u64 = 5;

    let layer = layer();
    let service = layer.layer(service_fn(serve));
    let (to_ender, here) = mpsc::channel::<Vec<Answer>>();
    let (to_beginner, ended) = mpsc::channel();
    let ender = thread::spawn(move || {
        for responses in here {
            let run = || {
                for response in responses {
                    take_to_end(pin!(response.into_body()));
                }
            };
            to_beginner.send(measure(run).count_total).unwrap();
        }
    });
    for round in 0..ROUNDS {
        let requests = requests("/read", WHOLE, CALLS);
        let mut responses = Vec::with_capacity(CALLS);
        let run = || {
            let answers = requests.into_iter().map(|request| begin(&service, request));
            responses.extend(answers.flatten());
        };
        let begun = measure(run).count_total;
        to_ender.send(responses).unwrap();
        let ended = ended.recv().unwrap();
        if round > 0 {
            let allocated = (begun, ended);
            assert!(begun <= A_HANDFUL && ended <= A_HANDFUL, "{allocated:?}");
        }
    }
    drop(to_ender);
    ender.join().unwrap();
    assert_eq!(Numbers::of(&layer).requests, (ROUNDS * CALLS) as u64);
}

/// This includes labels, messages and trailers.
#[test]
fn a_grpc_call_allocates_nothing() {
    let types = [
        "application/grpc",
        "application/grpc-web",
        "application/grpc-web-text",
    ];
    for content_type in types {
        for code in [0, 1, 13] {
            let layer = MetricsLayer::grpc([("endpoint", "allocation")]);
            grpc_calls(&layer, content_type, code, WARM_UP);
            let allocated = grpc_calls(&layer, content_type, code, CALLS);
            assert_eq!(allocated, 0, "{content_type} {code}");
            assert_eq!(Numbers::of(&layer).requests, (WARM_UP + CALLS) as u64);
        }
    }
}

/// Returns the allocations of this many calls, whose requests and responses are created before.
fn grpc_calls(layer: &MetricsLayer<Grpc>, content_type: &str, code: u32, count: usize) -> u64 {
    let request = |_| {
        let request = Request::post("/shop.Cart/Add").header(CONTENT_TYPE, content_type);
        request.body(Message::new(0)).unwrap()
    };
    let answer = |_| {
        let answer = Response::builder().header(CONTENT_TYPE, content_type);
        answer.body(Message::new(code)).unwrap()
    };
    let requests: Vec<_> = (0..count).map(request).collect();
    let answers: RefCell<Vec<_>> = RefCell::new((0..count).map(answer).collect());
    let service = layer.layer(service_fn(async |request: Request<_>| {
        take_to_end(pin!(request.into_body()));
        answers.borrow_mut().pop().ok_or(io::ErrorKind::NotFound)
    }));
    let run = || {
        for request in requests {
            let response = now(service.clone().call(request)).unwrap();
            take_to_end(pin!(response.into_body()));
        }
    };
    measure(run).count_total
}
