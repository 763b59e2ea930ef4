//! A measured service behaves like the one that it wraps: the layer changes nothing that passes through.

mod support;

use self::support::Step::{self, Data, Fail, Panic, Pending, Trailers};
use self::support::{Numbers, Script, errors, now, page_of, take_to_end};
use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use std::convert::Infallible;
use std::fmt::{Debug, Display};
use std::future::{Ready, ready};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok};
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_openmetrics::classify::{HttpStatus, ServerErrorsOnly};
use tower_openmetrics::protocol::Http;
use tower_openmetrics::{
    Call, CallHandle, Clock, Error, ErrorType, Metrics, MetricsLayer, MetricsLayerBuilder,
    MetricsRegistry, RequestBody, ResponseBody, ResponseFuture,
};

// === bodies ===

/// Everything that a body shows at one step.
#[derive(Debug, PartialEq)]
struct Seen {
    ended: bool,
    hint: (u64, Option<u64>),
    polled: String,
}

fn look<B>(mut body: Pin<&mut B>) -> Seen
where
    B: Body<Data = Bytes, Error: Display>,
{
    let hint = body.size_hint();
    let ended = body.is_end_stream();
    let polled = body
        .as_mut()
        .poll_frame(&mut Context::from_waker(Waker::noop()));
    let polled = match polled {
        Poll::Pending => "pending".to_owned(),
        Poll::Ready(None) => "end".to_owned(),
        Poll::Ready(Some(Err(error))) => format!("error {error}"),
        Poll::Ready(Some(Ok(frame))) => format!("{frame:?}"),
    };
    Seen {
        ended,
        hint: (hint.lower(), hint.upper()),
        polled,
    }
}

/// Returns the body as the client of a service gets it in a response.
fn as_response<B>(body: B) -> ResponseBody<B>
where
    B: Body<Error: 'static>,
{
    let mut body = Some(body);
    let service = MetricsLayer::default().layer(service_fn(move |_: Request<_>| {
        ready(Ok::<_, Infallible>(Response::new(body.take().unwrap())))
    }));
    let Ok(response) = now(service.oneshot(Request::new(Empty::<Bytes>::new())));
    response.into_body()
}

/// Returns the body as a service gets it in a request.
fn as_request<B>(body: B) -> RequestBody<B>
where
    B: Body<Error: 'static>,
{
    let mut kept = None;
    let service = MetricsLayer::default().layer(service_fn(|request: Request<RequestBody<B>>| {
        kept = Some(request.into_body());
        ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
    }));
    let Ok(_) = now(service.oneshot(Request::new(body)));
    kept.expect("the body")
}

/// Checks that the wrapped body and the bare one look the same at every step, and after the end.
fn check<B>(row: &str, body: impl Fn() -> B)
where
    B: Body<Data = Bytes, Error: Display + 'static>,
{
    const STEPS: usize = 12;
    let mut bare = pin!(body());
    let mut answer = pin!(as_response(body()));
    let mut request = pin!(as_request(body()));
    let mut twice = pin!(as_response(as_response(body())));
    for step in 0..STEPS {
        let expected = look(bare.as_mut());
        assert_eq!(look(answer.as_mut()), expected, "{row}, answer, {step}");
        assert_eq!(look(request.as_mut()), expected, "{row}, request, {step}");
        assert_eq!(look(twice.as_mut()), expected, "{row}, twice, {step}");
    }
}

#[test]
fn a_wrapped_body_looks_the_same_at_every_step() {
    type Steps = fn() -> Vec<Step>;
    let scripts: [Steps; 8] = [
        || vec![],
        || vec![Data("a"), Data("bc")],
        || vec![Data(""), Data("a"), Data("")],
        || vec![Pending, Data("a"), Pending, Pending, Data("bc"), Pending],
        || vec![Data("a"), Trailers],
        || vec![Data("a"), Pending, Trailers, Data("after the trailers")],
        || vec![Fail(|| "broken".into())],
        || {
            vec![
                Data("a"),
                Fail(|| "broken".into()),
                Data("b"),
                Fail(|| "again".into()),
            ]
        },
    ];
    for script in scripts {
        for hint in [None, Some(0), Some(3), Some(100)] {
            for knows_its_end in [false, true] {
                check(
                    &format!("{:?}, {hint:?}, {knows_its_end}", script()),
                    || {
                        Script::new(Clock::manual(), script())
                            .hint(hint)
                            .knows_its_end(knows_its_end)
                    },
                );
            }
        }
    }
}

#[test]
fn a_wrapped_body_of_another_crate_looks_the_same() {
    check("empty", Empty::<Bytes>::new);
    check("full", || Full::new(Bytes::from_static(b"abc")));
    check("full of nothing", Full::<Bytes>::default);
    check("boxed", || Full::new(Bytes::from_static(b"abc")).boxed());
    check("limited", || {
        http_body_util::Limited::new(Full::new(Bytes::from_static(b"abc")), 2)
    });
    check("a stream", || {
        let frames = ["a", "bc"].map(|data| Ok::<_, Infallible>(Frame::data(Bytes::from(data))));
        StreamBody::new(futures_util::stream::iter(frames))
    });
    check("with trailers", || {
        let trailers = ready(Some(Ok(HeaderMap::new())));
        Full::new(Bytes::from_static(b"abc")).with_trailers(trailers)
    });
    check("axum's", || axum::body::Body::from("abc"));
}

/// A body that knows a range of lengths.
struct Between(u64, u64);

impl Body for Between {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_lower(self.0);
        hint.set_upper(self.1);
        hint
    }
}

#[test]
fn size_hints_with_a_range_pass_through() {
    check("a range", || Between(2, 9));
}

#[test]
fn wrapped_bodies_can_be_reached_and_unwrapped() {
    let full = || Full::new(Bytes::from_static(b"abc"));
    let mut answer = as_response(full());
    assert_eq!(answer.get_ref().size_hint().exact(), Some(3));
    *answer.get_mut() = Full::new(Bytes::from_static(b"de"));
    assert_eq!(answer.size_hint().exact(), Some(2));
    assert_eq!(take_to_end(pin!(answer.into_inner())).bytes, 2);

    let mut request = as_request(full());
    assert_eq!(request.get_ref().size_hint().exact(), Some(3));
    *request.get_mut() = Full::new(Bytes::from_static(b"de"));
    assert_eq!(request.size_hint().exact(), Some(2));
    assert_eq!(take_to_end(pin!(request.into_inner())).bytes, 2);
}

#[test]
fn default_bodies_belong_to_no_call() {
    check("default", Full::<Bytes>::default);
    let mut answer = ResponseBody::<Full<Bytes>>::default();
    let mut request = RequestBody::<Full<Bytes>>::default();
    assert!(answer.is_end_stream() && request.is_end_stream());
    *answer.get_mut() = Full::new(Bytes::from_static(b"abc"));
    *request.get_mut() = Full::new(Bytes::from_static(b"abc"));
    assert_eq!(take_to_end(pin!(answer)).bytes, 3);
    assert_eq!(take_to_end(pin!(request)).bytes, 3);
}

// === the service ===

#[test]
fn readiness_comes_from_the_inner_service() {
    type Inner = Request<RequestBody<Empty<Bytes>>>;
    let layer = MetricsLayer::default();
    let (mut service, mut handle) =
        tower_test::mock::spawn_layer::<Inner, Response<Full<Bytes>>, _>(layer.clone());
    handle.allow(0);
    assert_pending!(service.poll_ready::<Request<Empty<Bytes>>>());
    assert!(!service.is_woken());
    handle.allow(1);
    assert!(service.is_woken());
    assert_ready_ok!(service.poll_ready::<Request<Empty<Bytes>>>());
    handle.send_error("out of order");
    let error = assert_ready_err!(service.poll_ready::<Request<Empty<Bytes>>>());
    assert_eq!(error.to_string(), "out of order");

    let numbers = Numbers::of(&layer);
    assert_eq!((numbers.requests, numbers.concurrent), (0, 0));
}

/// Cloning the service clones the inner one once. A call doesn't clone it.
#[test]
fn a_call_goes_to_the_service_that_was_ready() {
    #[derive(Debug, Default)]
    struct OnlyWhenReady {
        ready: bool,
    }
    impl Clone for OnlyWhenReady {
        fn clone(&self) -> Self {
            Self::default()
        }
    }
    impl<B> Service<Request<B>> for OnlyWhenReady {
        type Response = Response<Empty<Bytes>>;
        type Error = Infallible;
        type Future = Ready<Result<Self::Response, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            self.ready = true;
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<B>) -> Self::Future {
            assert!(self.ready, "called before it was ready");
            ready(Ok(Response::new(Empty::new())))
        }
    }

    let layer = MetricsLayer::default();
    let service = layer.layer(OnlyWhenReady::default());
    for _ in 0..3 {
        let Ok(_) = now(service.clone().oneshot(Request::new(Empty::<Bytes>::new())));
    }
    assert_eq!(Numbers::of(&layer).requests, 3, "clones count together");

    let mut service = service;
    assert!(!service.get_ref().ready);
    service.get_mut().ready = true;
    assert!(!service.clone().get_ref().ready);
    assert!(service.into_inner().ready);
}

#[test]
fn errors_pass_through_unchanged() {
    let error = Arc::new(());
    let same = error.clone();
    let service = MetricsLayer::default().layer(service_fn(move |_: Request<_>| {
        ready(Err::<Response<Empty<Bytes>>, _>(same.clone()))
    }));
    let Err(given) = now(service.oneshot(Request::new(Empty::<Bytes>::new()))) else {
        panic!("expected an error");
    };
    assert!(Arc::ptr_eq(&given, &error));
}

#[test]
fn heads_pass_through_unchanged() {
    #[derive(Clone, Debug, PartialEq)]
    struct Mine(u32);

    let service = MetricsLayer::default().layer(service_fn(|request: Request<_>| {
        let (head, _) = request.into_parts();
        assert_eq!(head.method, Method::PATCH);
        assert_eq!(head.uri, "http://host/path?query");
        assert_eq!(head.version, Version::HTTP_2);
        assert_eq!(head.headers["x-a"], "1");
        assert_eq!(head.headers.len(), 1);
        assert_eq!(head.extensions.get(), Some(&Mine(1)));
        assert_eq!(head.extensions.len(), 1);
        let response = Response::builder()
            .status(503)
            .version(Version::HTTP_10)
            .header("x-b", "2")
            .extension(Mine(2))
            .extension(ErrorType::GENERATE);
        ready(Ok::<_, Infallible>(
            response.body(Empty::<Bytes>::new()).unwrap(),
        ))
    }));
    let request = Request::patch("http://host/path?query")
        .version(Version::HTTP_2)
        .header("x-a", "1")
        .extension(Mine(1));
    let Ok(response) = now(service.oneshot(request.body(Empty::<Bytes>::new()).unwrap()));
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.version(), Version::HTTP_10);
    assert_eq!(response.headers()["x-b"], "2");
    assert_eq!(response.headers().len(), 1);
    assert_eq!(response.extensions().get(), Some(&Mine(2)));
    assert_eq!(response.extensions().get(), Some(&ErrorType::GENERATE));
    assert_eq!(response.extensions().len(), 2);
}

#[test]
fn a_layer_without_labels_has_samples_without_labels() {
    let layer = MetricsLayer::default();
    let page = page_of(layer.exporter(), "application/openmetrics-text");
    for sample in [
        "\nrequests_total 0\n",
        "\nconcurrent_requests 0\n",
        "\nerrors_total{error_type=\"panic\"} 0\n",
        "\nrequest_duration_seconds_bucket{le=\"+Inf\"} 0\n",
        "\nrequest_duration_seconds_sum 0.0\n",
    ] {
        assert!(page.contains(sample), "{sample} in {page}");
    }
}

#[tokio::test]
async fn a_router_takes_two_layers() {
    let (inner, outer) = (MetricsLayer::default(), MetricsLayer::default());
    let app = Router::new()
        .route("/", get(async || "hello"))
        .layer(inner.clone())
        .layer(outer.clone());
    for (path, status) in [("/", 200), ("/nowhere", 404)] {
        let request = Request::get(path).body(axum::body::Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status);
        response.into_body().collect().await.unwrap();
    }
    for layer in [inner, outer] {
        let numbers = Numbers::of(&layer);
        assert_eq!((numbers.requests, numbers.response_bytes), (2, 5));
        assert_eq!((numbers.errors, numbers.cancellations), (errors([]), 0));
    }
}

#[test]
fn a_stack_of_services_takes_bodies_that_are_not_unpin() {
    let layer = MetricsLayer::default();
    let service = ServiceBuilder::new()
        .map_request(|text: &'static str| {
            Request::new(Script::<BoxError>::new(Clock::manual(), [Data(text)]))
        })
        .layer(layer.clone())
        .service(service_fn(async |request: Request<RequestBody<Script>>| {
            let taken = take_to_end(pin!(request.into_body()));
            assert_eq!(taken.bytes, 3);
            let body = Script::<BoxError>::new(Clock::manual(), [Data("ab"), Panic]);
            Ok::<_, Infallible>(Response::new(body))
        }));
    let Ok(response) = now(service.oneshot("abc"));
    drop(response);
    assert_eq!(Numbers::of(&layer).request_bytes, 3);
}

// === types ===

/// Checked by the compiler.
#[test]
fn public_types_have_their_auto_traits() {
    fn thread_safe<T: Send + Sync + Debug + 'static>() {}
    fn clone<T: Clone>() {}
    fn unpin<T: Unpin>() {}
    fn default<T: Default>() {}
    fn copy<T: Copy>() {}

    type Text = Full<Bytes>;
    type Future = ResponseFuture<Ready<Result<Response<Text>, Infallible>>, Http>;

    thread_safe::<MetricsLayer>();
    clone::<MetricsLayer>();
    default::<MetricsLayer>();
    thread_safe::<MetricsLayer<Http<ServerErrorsOnly>>>();
    thread_safe::<MetricsLayerBuilder>();
    clone::<MetricsLayerBuilder>();
    thread_safe::<MetricsRegistry>();
    clone::<MetricsRegistry>();
    default::<MetricsRegistry>();
    thread_safe::<Metrics<()>>();
    clone::<Metrics<()>>();
    unpin::<Metrics<()>>();
    thread_safe::<Future>();
    unpin::<Future>();
    thread_safe::<RequestBody<Text>>();
    unpin::<RequestBody<Text>>();
    default::<RequestBody<Text>>();
    thread_safe::<ResponseBody<Text>>();
    unpin::<ResponseBody<Text>>();
    default::<ResponseBody<Text>>();
    default::<ResponseBody<Text, ServerErrorsOnly>>();
    thread_safe::<Call>();
    thread_safe::<CallHandle>();
    thread_safe::<Clock>();
    copy::<Clock>();
    thread_safe::<ErrorType>();
    copy::<ErrorType>();
    thread_safe::<Error>();
    copy::<HttpStatus>();
    copy::<ServerErrorsOnly>();
}
