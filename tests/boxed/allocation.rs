//! The cost of boxed layers: one allocation for each body, and none if the body was boxed before.

use crate::support::{now, take_to_end};
use allocation_counter::measure;
use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use http_body_util::Full;
use http_body_util::combinators::{BoxBody, UnsyncBoxBody};
use std::convert::Infallible;
use std::pin::pin;
use tower::{BoxError, Layer, Service, service_fn};
use tower_openmetrics::MetricsLayer;

const WARM_UP: usize = 10;
const CALLS: usize = 1_000;

/// Returns the allocations of a call, without those of the request, which is created before.
fn per_call<S, B, A>(service: &S, request: impl Fn() -> Request<B>) -> f64
where
    S: Service<Request<B>, Response = Response<A>, Error = Infallible> + Clone,
    A: HttpBody,
{
    let run = |requests: Vec<Request<B>>| {
        for request in requests {
            let Ok(response) = now(service.clone().call(request));
            take_to_end(pin!(response.into_body()));
        }
    };
    let requests = |count| std::iter::repeat_with(&request).take(count).collect();
    run(requests(WARM_UP));
    let requests = requests(CALLS);
    measure(|| run(requests)).count_total as f64 / CALLS as f64
}

fn upload() -> Request<Full<Bytes>> {
    Request::new(Full::new(Bytes::from_static(b"abc")))
}

fn nothing() -> Request<Full<Bytes>> {
    Request::new(Full::default())
}

async fn answer<B: HttpBody>(request: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    take_to_end(pin!(request.into_body()));
    Ok(Response::new(Full::new(Bytes::from_static(b"hello"))))
}

#[test]
fn each_body_costs_one_allocation() {
    let layer = MetricsLayer::default();
    let plain = layer.layer(service_fn(answer));
    assert_eq!(per_call(&plain, upload), 0.0);
    macro_rules! costs {
        ($($body:ty: $upload:literal, $nothing:literal;)*) => {
            $(
                let service = layer.clone().boxed::<$body>().layer(service_fn(answer::<$body>));
                assert_eq!(per_call(&service, upload), $upload, "{}", stringify!($body));
                assert_eq!(per_call(&service, nothing), $nothing, "{}", stringify!($body));
            )*
        };
    }
    costs! {
        Body: 2.0, 2.0;
        UnsyncBoxBody<Bytes, BoxError>: 2.0, 2.0;
        BoxBody<Bytes, Infallible>: 2.0, 2.0;
        // tonic doesn't box an empty body.
        tonic::body::Body: 2.0, 1.0;
    }
}

/// axum boxes other bodies itself. A boxed layer replaces that box.
#[test]
fn a_router_needs_no_further_allocation() {
    let app = || {
        Router::new()
            .route("/", post(async |read: Bytes| read))
            .route("/", get(async || "hello"))
    };
    let post = || Request::post("/").body(Body::from("abc")).unwrap();
    let get = || Request::get("/").body(Body::empty()).unwrap();
    let layer = MetricsLayer::default();
    let plain = app().layer(layer.clone());
    let boxed = app().layer(layer.boxed::<Body>());
    for request in [post as fn() -> _, get] {
        let [plain, boxed] = [&plain, &boxed].map(|app| per_call(app, request));
        assert_eq!(boxed, plain);
    }
}
