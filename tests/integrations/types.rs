//! Composition without a box, with all types written out.

use crate::wire_support::Scripted;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::fmt::Debug;
use std::future::{Ready, ready};
use std::rc::Rc;
use std::task::{Context, Poll};
use tower::{Service, ServiceBuilder};
use tower_layer::Layer;
use tower_openmetrics::protocol::Http;
use tower_openmetrics::{Metrics, MetricsLayer, RequestBody, ResponseBody, ResponseFuture};

/// A service that responds to every request with its value.
#[derive(Clone, Debug)]
struct Always<B, E>(Result<B, E>);

impl<R, B: Clone, E: Clone> Service<Request<R>> for Always<B, E> {
    type Response = Response<B>;
    type Error = E;
    type Future = Ready<Result<Response<B>, E>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<R>) -> Self::Future {
        ready(self.0.clone().map(Response::new))
    }
}

type Once<F> = ResponseFuture<F, Http>;

fn is_service<S, B, F>(_: &S)
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Future = F>,
    B: Body,
{
}

fn goes_anywhere<T: Clone + Debug + Send + Sync + Unpin + 'static>(_: &T) {}

#[test]
fn services_and_layers_have_the_traits_of_their_parts() {
    let layer = MetricsLayer::default();
    let always = Always::<_, Infallible>(Ok(Full::new(Bytes::new())));
    goes_anywhere(&layer);
    goes_anywhere(&layer.layer(always.clone()));
    is_service::<_, ResponseBody<Full<Bytes>>, Once<Ready<_>>>(&layer.layer(always.clone()));

    let built: Metrics<Metrics<_>> = ServiceBuilder::new()
        .layer(&layer)
        .layer(&layer)
        .service(always);
    goes_anywhere(&built);
    is_service::<_, ResponseBody<ResponseBody<Full<Bytes>>>, Once<Once<Ready<_>>>>(&built);
}

#[test]
fn bodies_have_the_traits_of_their_parts() {
    fn is_unpin<T: Unpin + Default + Send + Sync>() {}
    is_unpin::<RequestBody<Full<Bytes>>>();
    is_unpin::<ResponseBody<Full<Bytes>>>();

    // A body need not be `Unpin`.
    let layer = MetricsLayer::default();
    let always = Always::<_, Infallible>(Ok(Scripted::default()));
    is_service::<_, ResponseBody<Scripted>, Once<Ready<_>>>(&layer.layer(always));
}

#[test]
fn wrapped_types_need_few_traits() {
    #[derive(Clone)]
    struct NotAnError;

    // The error is not `Send`, not `Debug`, and not an `Error`.
    let layer = MetricsLayer::default();
    let always = Always::<Full<Bytes>, _>(Err(Rc::new(NotAnError)));
    is_service::<_, ResponseBody<Full<Bytes>>, Once<Ready<_>>>(&layer.layer(always));
}

#[test]
fn hyper_accepts_the_service() {
    fn is_hyper_service<S: hyper::service::Service<Request<Full<Bytes>>>>(_: &S) {}
    let always = Always::<_, Infallible>(Ok(Scripted::default()));
    let service: TowerToHyperService<Metrics<_>> =
        TowerToHyperService::new(MetricsLayer::default().layer(always));
    is_hyper_service(&service);
}
