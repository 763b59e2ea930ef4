//! What the benchmarks of others' layers need besides those layers.

use bytes::Bytes;
use http::{Request, Response};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tower::Service;

type Labels = Vec<(String, String)>;

/// The layer that most people write: families of prometheus-client's, looked up by method and
/// status at the response's head.
#[derive(Clone)]
pub struct ByHand<S> {
    inner: S,
    requests: Family<Labels, Counter>,
    seconds: Family<Labels, Histogram>,
    in_flight: Gauge,
}

pin_project_lite::pin_project! {
    pub struct ByHandFuture<F> {
        #[pin]
        inner: F,
        began: Instant,
        method: String,
        requests: Family<Labels, Counter>,
        seconds: Family<Labels, Histogram>,
        in_flight: Gauge,
    }
}

impl<S> ByHand<S> {
    pub fn new(inner: S) -> Self {
        let buckets = || Histogram::new([0.005, 0.05, 0.5, 1.0, 5.0, 10.0]);
        Self {
            inner,
            requests: Family::default(),
            seconds: Family::new_with_constructor(buckets),
            in_flight: Gauge::default(),
        }
    }
}

impl<S, B> Service<Request<B>> for ByHand<S>
where
    S: Service<Request<B>, Response = Response<http_body_util::Full<Bytes>>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ByHandFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.in_flight.inc();
        ByHandFuture {
            method: request.method().to_string(),
            inner: self.inner.call(request),
            began: Instant::now(),
            requests: self.requests.clone(),
            seconds: self.seconds.clone(),
            in_flight: self.in_flight.clone(),
        }
    }
}

impl<F, B, E> Future for ByHandFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(cx));
        if let Ok(response) = &result {
            let labels = vec![
                ("method".to_owned(), std::mem::take(this.method)),
                ("status".to_owned(), response.status().as_str().to_owned()),
            ];
            let seconds = this.began.elapsed().as_secs_f64();
            this.seconds.get_or_create(&labels).observe(seconds);
            this.requests.get_or_create(&labels).inc();
        }
        this.in_flight.dec();
        Poll::Ready(result)
    }
}
