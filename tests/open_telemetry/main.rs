//! OpenTelemetry's conventions for HTTP: the page, the labels, the sizes of bodies, and other metrics beside them. Those for
//! RPC and for model servers have a file each.

#[path = "../support/mod.rs"]
mod support;

mod beside;
mod gen_ai;
mod labels;
mod page;
mod rpc;
mod sizes;
mod wire;

use crate::support::{Page, now};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use std::convert::Infallible;
use std::future::ready;
use tower::{Layer, Service, service_fn};
use tower_openmetrics::classify::Classify;
use tower_openmetrics::protocol::Http;
use tower_openmetrics::{MetricsLayer, RequestBody, ResponseBody};

type Answer<C> = Response<ResponseBody<Full<Bytes>, C>>;

/// Makes a call to `layer`, to the head of its response, which `answer` makes from the request.
fn begin<C: Classify, B>(
    layer: &MetricsLayer<Http<C>>,
    request: Request<B>,
    answer: impl Fn(Request<RequestBody<B>>) -> Response<Full<Bytes>>,
) -> Answer<C>
where
    B: Body,
    B::Error: 'static,
{
    let service = service_fn(|request| ready(Ok::<_, Infallible>(answer(request))));
    let Ok(answer) = now(layer.layer(service).call(request));
    answer
}

fn get(uri: &str) -> Request<Full<Bytes>> {
    Request::get(uri).body(Full::default()).unwrap()
}

/// Returns a response of five bytes.
fn hello<B>(_: Request<B>) -> Response<Full<Bytes>> {
    Response::new(Full::from("hello"))
}

fn status<B>(code: u16) -> impl Fn(Request<B>) -> Response<Full<Bytes>> {
    move |_| {
        let mut response = Response::new(Full::default());
        *response.status_mut() = code.try_into().unwrap();
        response
    }
}

/// Returns the labels and values of a metric.
fn all<P>(layer: &MetricsLayer<P>, name: &str) -> Vec<(String, String)> {
    let page = Page::read(layer.exporter());
    let all = page.all(name);
    all.map(|(labels, value)| (labels.to_owned(), value.to_owned()))
        .collect()
}
