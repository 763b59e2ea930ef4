//! Request labels: which metric carries which, and how many label sets there can be.

#[path = "../support/mod.rs"]
mod support;

mod carriers;
mod declared;
mod filter;
mod limit;
mod messages;
mod refused;
mod storm;
mod streams;
mod values;

use crate::support::{Page, now, take_to_end};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use std::convert::Infallible;
use std::pin::pin;
use tower::{Layer, Service, service_fn};
use tower_openmetrics::{MetricsLayer, RequestBody, ResponseBody};

/// Reads the request to its end and answers with `hello`.
async fn serve(
    request: Request<RequestBody<Full<Bytes>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    take_to_end(pin!(request.into_body()));
    Ok(Response::new(Full::from("hello")))
}

type Answer = Response<ResponseBody<Full<Bytes>>>;

/// Makes a call to `layer` around [`serve`], to its end.
fn call(layer: &MetricsLayer, request: Request<Full<Bytes>>) {
    let answer = begin(layer, request, serve);
    take_to_end(pin!(answer.into_body()));
}

/// Makes a call to `layer` around `service`, to the head of its response.
fn begin<F>(
    layer: &MetricsLayer,
    request: Request<Full<Bytes>>,
    service: impl FnMut(Request<RequestBody<Full<Bytes>>>) -> F + Clone,
) -> Answer
where
    F: Future<Output = Result<Response<Full<Bytes>>, Infallible>>,
{
    let Ok(answer) = now(layer.layer(service_fn(service)).call(request));
    answer
}

fn get(uri: &str) -> Request<Full<Bytes>> {
    Request::get(uri).body(Full::default()).unwrap()
}

/// Returns the labels and values of a metric.
fn all(layer: &MetricsLayer, name: &str) -> Vec<(String, u64)> {
    let page = Page::read(layer.exporter());
    let all = page.all(name);
    all.map(|(labels, value)| (labels.to_owned(), value.parse().unwrap()))
        .collect()
}

/// Compares [`all`] with literals.
#[track_caller]
fn assert_all(layer: &MetricsLayer, name: &str, expected: &[(&str, u64)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(labels, value)| ((*labels).to_owned(), *value))
        .collect();
    assert_eq!(all(layer, name), expected, "{name}");
}
