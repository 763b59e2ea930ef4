//! Time limits for bodies, with bodies of tower-http and of axum, in both directions and at both positions.

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use std::time::Duration;
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
use tower_http::timeout::{RequestBodyTimeoutLayer, ResponseBodyTimeoutLayer};
use tower_openmetrics::classify::HttpClient;
use tower_openmetrics::protocol::Grpc;
use tower_openmetrics::{ErrorType, MetricsLayer, MetricsLayerBuilder};

use crate::wire_support::Numbers;

const LIMIT: Duration = Duration::from_secs(1);

type Stalled = UnsyncBoxBody<Bytes, BoxError>;

/// Returns a body that sends `data`, if there is any, and then never ends.
fn stalled(data: &'static str) -> Stalled {
    let frames = (!data.is_empty()).then(|| Ok(Frame::data(Bytes::from_static(data.as_bytes()))));
    StreamBody::new(stream::iter(frames).chain(stream::pending())).boxed_unsync()
}

fn upload(data: &'static str) -> Request<Stalled> {
    let request = Request::post("/shop.Cart/Add").header("content-type", "application/grpc");
    request.body(stalled(data)).unwrap()
}

/// The ways in which a handler treats a failed request body.
#[derive(Clone, Copy, Debug)]
enum Handler {
    Answers(u16),
    Fails,
}

impl Handler {
    const ALL: [Self; 4] = [
        Self::Answers(200),
        Self::Answers(400),
        Self::Answers(500),
        Self::Fails,
    ];

    async fn handle<B>(self, request: Request<B>) -> Result<Response<Stalled>, BoxError>
    where
        B: Body<Error: Into<BoxError>>,
    {
        let read = request.into_body().collect().await.map(drop);
        let error = read.map_err(Into::into).expect_err("a time limit");
        match self {
            Self::Answers(status) => {
                let response = Response::builder().status(status);
                Ok(response.body(stalled("")).unwrap())
            }
            Self::Fails => Err(error),
        }
    }
}

/// Runs the check with a layer of every protocol with bodies.
macro_rules! with_each {
    ($layer:ident, $run:block) => {{
        let $layer = built(MetricsLayer::builder());
        $run
        let $layer = built(MetricsLayer::client_builder());
        $run
        let $layer = built(MetricsLayer::protocol_builder(Grpc::new()));
        $run
        let $layer = built(MetricsLayer::protocol_builder(Grpc::new()).classifier(HttpClient));
        $run
    }};
}

fn built<P>(builder: MetricsLayerBuilder<P>) -> MetricsLayer<P> {
    builder.build([("", ""); 0]).unwrap()
}

async fn expect<P>(layer: &MetricsLayer<P>, row: &str, read: u64, taken: u64) {
    let numbers = Numbers::failed(ErrorType::TIMEOUT).read(read).taken(taken);
    assert_eq!(Numbers::of(layer).await, numbers, "{row}");
}

#[tokio::test(start_paused = true)]
async fn a_request_body_fails_outside_of_the_layer() {
    for handler in Handler::ALL {
        for data in ["", "abc"] {
            with_each!(layer, {
                let service = ServiceBuilder::new()
                    .layer(RequestBodyTimeoutLayer::new(LIMIT))
                    .layer(layer.clone())
                    .service(service_fn(move |request| handler.handle(request)));
                drop(service.oneshot(upload(data)).await);
                expect(&layer, &format!("{handler:?}"), data.len() as u64, 0).await;
            });
        }
    }
}

/// The layer only sees how the service responds.
#[tokio::test(start_paused = true)]
async fn a_request_body_fails_inside_of_the_layer() {
    with_each!(layer, {
        let service = ServiceBuilder::new()
            .layer(layer.clone())
            .layer(RequestBodyTimeoutLayer::new(LIMIT))
            .service(service_fn(|request| Handler::Fails.handle(request)));
        drop(service.oneshot(upload("abc")).await);
        expect(&layer, "the handler fails by it", 3, 0).await;
    });
}

#[tokio::test(start_paused = true)]
async fn a_response_body_fails() {
    for data in ["", "abc"] {
        with_each!(layer, {
            let service = ServiceBuilder::new()
                .layer(layer.clone())
                .layer(ResponseBodyTimeoutLayer::new(LIMIT))
                .service(service_fn(async move |_: Request<_>| {
                    Ok::<_, BoxError>(Response::new(stalled(data)))
                }));
            let response = service.oneshot(upload("")).await.unwrap();
            response.into_body().collect().await.unwrap_err();
            expect(&layer, data, 0, data.len() as u64).await;
        });
    }
}

/// axum's body keeps the error of the body inside it.
#[tokio::test(start_paused = true)]
async fn axums_bodies_fail() {
    with_each!(layer, {
        let service = ServiceBuilder::new()
            .layer(RequestBodyTimeoutLayer::new(LIMIT))
            .map_request(|request: Request<_>| request.map(axum::body::Body::new))
            .layer(layer.clone())
            .service(service_fn(|request| Handler::Answers(400).handle(request)));
        drop(service.oneshot(upload("abc")).await);
        expect(&layer, "a request", 3, 0).await;
    });
    with_each!(layer, {
        let service = ServiceBuilder::new()
            .layer(layer.clone())
            .map_response(|response: Response<_>| response.map(axum::body::Body::new))
            .layer(ResponseBodyTimeoutLayer::new(LIMIT))
            .service(service_fn(async |_: Request<_>| {
                Ok::<_, BoxError>(Response::new(stalled("abc")))
            }));
        let response = service.oneshot(upload("")).await.unwrap();
        response.into_body().collect().await.unwrap_err();
        expect(&layer, "a response", 0, 3).await;
    });
}
