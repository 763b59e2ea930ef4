//! Frameworks whose body the crate doesn't know. tower's `map_request` and `map_response` convert it.

use crate::wire_support::Numbers;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_openmetrics::protocol::FromBody;
use tower_openmetrics::{ErrorType, MetricsLayer, RequestBody, ResponseBody};

/// A request body like salvo's `ReqBody`.
#[derive(Debug, Default)]
enum ReqBody {
    #[default]
    None,
    Boxed(BoxBody<Bytes, BoxError>),
}

/// The rest of a framework as a service. It only takes the framework's own body.
#[derive(Clone, Copy, Debug)]
struct Rest;

/// An adaptor like salvo's `TowerLayerCompat`. It puts the layer around the [`Rest`].
trait Compat: Layer<Rest> + Sized {
    fn compat<Q, A>(self) -> Self::Service
    where
        Q: TryFrom<ReqBody> + Body + Send + Sync + 'static,
        Self::Service: Service<Request<Q>, Response = Response<A>, Error: std::error::Error + Send + Sync>
            + Send
            + Sync
            + 'static,
        <Self::Service as Service<Request<Q>>>::Future: Send,
        A: Body<Data: Into<Bytes> + Send, Error: std::error::Error + Send + Sync + 'static>
            + Send
            + Sync
            + 'static,
    {
        self.layer(Rest)
    }
}

impl<L: Layer<Rest>> Compat for L {}

impl Service<Request<ReqBody>> for Rest {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        Box::pin(async {
            let read = request.into_body().collect().await.unwrap();
            Ok(Response::new(Full::new(read.to_bytes())))
        })
    }
}

impl Body for ReqBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::None => Poll::Ready(None),
            Self::Boxed(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::None => true,
            Self::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::None => SizeHint::with_exact(0),
            Self::Boxed(body) => body.size_hint(),
        }
    }
}

impl<B> FromBody<B> for ReqBody
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Sync + 'static,
{
    fn from_body(body: B) -> Self {
        Self::Boxed(body.map_err(Into::into).boxed())
    }
}

fn upload() -> ReqBody {
    let body = Full::new(Bytes::from_static(b"abc")).map_err(Into::into);
    ReqBody::Boxed(body.boxed())
}

#[tokio::test]
async fn a_request_is_mapped_between_the_layer_and_the_framework() {
    let metrics = MetricsLayer::default();
    let service = ServiceBuilder::new()
        .layer(metrics.clone())
        .map_request(|request: Request<RequestBody<ReqBody>>| {
            request.map(|body| ReqBody::Boxed(body.boxed()))
        })
        .compat::<ReqBody, _>();
    let answer = service.oneshot(Request::new(upload())).await.unwrap();
    answer.into_body().collect().await.unwrap();
    assert_eq!(
        Numbers::of(&metrics).await,
        Numbers::completed().read(3).taken(3)
    );
}

/// A boxed layer can convert to a body type that implements `FromBody`.
#[tokio::test]
async fn a_boxed_layer_converts_to_a_custom_body() {
    fn echo(request: Request<ReqBody>) -> Ready<Result<Response<ReqBody>, Infallible>> {
        ready(Ok(Response::new(request.into_body())))
    }

    let metrics = MetricsLayer::default();
    let service = metrics.clone().boxed::<ReqBody>().layer(service_fn(echo));
    let answer = service.oneshot(Request::new(upload())).await.unwrap();
    let body: ReqBody = answer.into_body();
    body.collect().await.unwrap();
    assert_eq!(
        Numbers::of(&metrics).await,
        Numbers::completed().read(3).taken(3)
    );
}

/// A panic in `FromBody` fails the call.
#[tokio::test]
async fn a_panic_in_a_conversion_is_counted() {
    struct Fragile<const IN_ANSWER: bool>;

    impl<B, const IN_ANSWER: bool> FromBody<RequestBody<B>> for Fragile<IN_ANSWER> {
        fn from_body(_: RequestBody<B>) -> Self {
            assert!(IN_ANSWER, "a panic of the test");
            Self
        }
    }

    impl<B, C, const IN_ANSWER: bool> FromBody<ResponseBody<B, C>> for Fragile<IN_ANSWER> {
        fn from_body(_: ResponseBody<B, C>) -> Self {
            panic!("a panic of the test")
        }
    }

    async fn expect_panic<const IN_ANSWER: bool>() {
        let metrics = MetricsLayer::default();
        let service = metrics.clone().boxed::<Fragile<IN_ANSWER>>();
        let service = service.layer(service_fn(|_: Request<Fragile<IN_ANSWER>>| {
            ready(Ok::<_, Infallible>(Response::new(upload())))
        }));
        let call = tokio::spawn(async { drop(service.oneshot(Request::new(upload())).await) });
        assert!(call.await.unwrap_err().is_panic());
        let expected = Numbers::failed(ErrorType::PANIC);
        assert_eq!(Numbers::of(&metrics).await, expected, "{IN_ANSWER}");
    }

    expect_panic::<false>().await;
    expect_panic::<true>().await;
}
