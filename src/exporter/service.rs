use super::coding::Coding;
use super::deadline::{Deadline, Timer};
use super::negotiate::Representation;
use super::permits::Permits;
use super::renderer::{ErrorReport, PageOptions, Renderer};
use super::self_metrics::SelfMetrics;
use super::{Body, ResponseFuture, query, response};
use crate::Error;
use crate::exposition::Protobuf;
use crate::function::Function;
use crate::registry::MetricsRegistry;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tower_service::Service;

/// A service that answers scrapes with the page of a [`MetricsRegistry`].
///
/// Get one from [`MetricsRegistry::exporter`]. The page is written when the response future is polled.
/// Clones are cheap, share the limit of scrapes in flight, and write one page for scrapes that ask for the
/// same at the same time. A second exporter of the same registry shares neither.
///
/// ```
/// use std::time::Duration;
/// use tower_openmetrics::MetricsRegistry;
///
/// let registry = MetricsRegistry::new();
/// let exporter = registry
///     .exporter()
///     .concurrent_scrapes(4)
///     .deadline(Duration::from_secs(5));
/// ```
///
/// See the [module docs](crate::exporter) for what it answers and for examples.
#[derive(Clone)]
#[must_use = "exporters do nothing unless served"]
pub struct MetricsExporter {
    concurrent_scrapes: usize,
    deadline: Duration,
    created_timestamps: bool,
    /// By default an error fails the scrape.
    on_error: Option<ErrorReport>,
    timer: Arc<Timer>,
    permits: Arc<Permits>,
    renderer: Arc<Renderer>,
    self_metrics: Option<SelfMetrics>,
}

// === impl MetricsExporter ===

impl MetricsExporter {
    pub(crate) fn new(registry: MetricsRegistry) -> Self {
        Self {
            concurrent_scrapes: 8,
            deadline: Duration::from_secs(30),
            created_timestamps: false,
            on_error: None,
            timer: Arc::default(),
            permits: Arc::default(),
            renderer: Arc::new(Renderer::new(registry)),
            self_metrics: None,
        }
    }

    /// Sets how many scrapes may be in flight. Further scrapes are answered with 503.
    ///
    /// A scrape is in flight from the first poll of its future until its body has been read or
    /// dropped, or its [deadline](Self::deadline) has passed. At the limit, a reader that has taken
    /// nothing for 5 seconds loses its permit to the next scrape, and its body fails. Each scrape in
    /// flight may hold a page in memory. One more page may be under construction.
    ///
    /// Defaults to 8. 0 counts as 1.
    pub fn concurrent_scrapes(mut self, limit: usize) -> Self {
        self.concurrent_scrapes = limit.max(1);
        self
    }

    /// Sets how long a scrape may take, from the first poll of its future until its page has been read.
    ///
    /// If the scraper sends a shorter timeout in `X-Prometheus-Scrape-Timeout-Seconds`, that applies. If
    /// the page is not written in time, the answer is 503. If the page is not read in time, its body
    /// fails, so that the reader sees that the page is incomplete.
    ///
    /// The timer is tokio's. Without a runtime, or if its timer is disabled, the deadline is checked once
    /// the page is written.
    ///
    /// Defaults to 30 seconds.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Shows when each counter and histogram began to count, as `_created` samples of OpenMetrics text.
    ///
    /// Turn it on for a scraper that reads them, such as Prometheus with
    /// `--enable-feature=created-timestamp-zero-ingestion`. Other scrapers store them as series of their own. Protobuf
    /// always has these times, and format 0.0.4 never. See the [module docs](crate::exporter#created-timestamps).
    ///
    /// Defaults to false.
    pub fn created_timestamps(mut self, on: bool) -> Self {
        self.created_timestamps = on;
        self
    }

    /// Adds metrics of the exporter's own scrapes to its page: scrapes by status code, scrapes in flight,
    /// durations and bytes. See the [module docs](crate::exporter#metrics-of-the-exporter).
    ///
    /// Clones made after this call share the metrics.
    ///
    /// Defaults to no such metrics.
    ///
    /// # Errors
    ///
    /// Returns an error if the registry has families of these names. That is the case if another exporter
    /// of this registry has called this method: clone that exporter instead.
    pub fn self_metrics(mut self) -> Result<Self, Error> {
        self.self_metrics = Some(SelfMetrics::register(self.renderer.registry())?);
        Ok(self)
    }

    /// Leaves out what can't be shown, and calls `report` with the reason at each scrape.
    ///
    /// A registered metric, a collector or an included registry can't be shown if its encoder fails or
    /// panics. All that it would show is then missing from the page: of a registered metric its own series, of a
    /// collector or registry all its families. A family that scrapers would refuse, for
    /// example with a repeated series or a counter below 0, is missing alone. The rest of the page stays.
    /// promhttp calls this `ContinueOnError`.
    ///
    /// `report` runs where pages are written, which under a runtime is not one of its worker threads.
    ///
    /// ```
    /// use tower_openmetrics::MetricsRegistry;
    ///
    /// let registry = MetricsRegistry::new();
    /// let exporter = registry
    ///     .exporter()
    ///     .continue_on_error(|error| eprintln!("/metrics lacks something: {error}"));
    /// ```
    ///
    /// By default the scrape fails, with 500 and a text that says why.
    pub fn continue_on_error(mut self, report: impl Fn(&Error) + Send + Sync + 'static) -> Self {
        self.on_error = Some(error_report(report));
        self
    }

    async fn answer(self, head: Parts) -> Response<Body> {
        let scrape = self.self_metrics.as_ref().map(SelfMetrics::begin);
        let response = match head.method {
            Method::GET => self.page(&head).await,
            // The page is written too: its length is not known otherwise.
            Method::HEAD => self.page(&head).await.map(|_unsent| Body::empty()),
            _ => response::method_not_allowed(),
        };
        match scrape.map(|scrape| scrape.answered(response.status())) {
            // The scrape ends with the body.
            Some(scrape) => response.map(|body| body.with_scrape(scrape)),
            None => response,
        }
    }

    async fn page(&self, head: &Parts) -> Response<Body> {
        let deadline = Deadline::new(self.deadline, &head.headers);
        let Some(permit) = self.permits.try_acquire(self.concurrent_scrapes, deadline) else {
            return response::too_many_scrapes(self.concurrent_scrapes);
        };
        let representation = Representation::negotiate(&head.headers, Protobuf::OFFERED);
        let page = self.renderer.page(PageOptions {
            encoding: representation.encoding(self.created_timestamps),
            selection: query::selection(&head.uri),
            coding: Coding::negotiate(&head.headers, Coding::OFFERED),
            on_error: self.on_error.clone(),
        });
        match deadline.bound(&self.timer, page).await {
            Some(Some(Ok(page))) => response::page(page, &representation.content_type(), permit),
            Some(Some(Err(why))) => response::text(StatusCode::INTERNAL_SERVER_ERROR, why),
            Some(None) => response::no_thread(),
            None => response::deadline_passed(deadline),
        }
    }
}

fn error_report<F>(report: F) -> ErrorReport
where
    F: Fn(&Error) + Send + Sync + 'static,
{
    Function::new::<F>(Arc::new(report))
}

impl<B> Service<Request<B>> for MetricsExporter {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture;

    /// Always ready: a scrape never waits for the application's backpressure.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        let (head, _unread) = request.into_parts();
        ResponseFuture::new(self.clone().answer(head))
    }
}

impl fmt::Debug for MetricsExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            concurrent_scrapes,
            deadline,
            created_timestamps,
            on_error,
            timer: _,
            permits: _,
            renderer,
            self_metrics,
        } = self;
        f.debug_struct("MetricsExporter")
            .field("registry", renderer.registry())
            .field("concurrent_scrapes", concurrent_scrapes)
            .field("deadline", deadline)
            .field("created_timestamps", created_timestamps)
            .field("self_metrics", &self_metrics.is_some())
            .field("continue_on_error", &on_error.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::HeaderMap;
    use http::header::{CONTENT_LENGTH, CONTENT_TYPE, VARY};
    use http_body_util::BodyExt;
    use std::sync::atomic::{AtomicBool, Ordering};
    use tokio_test::block_on;

    /// Returns an exporter whose collector fails or panics once it is registered.
    fn failing(fail: fn() -> fmt::Result) -> MetricsExporter {
        let registry = MetricsRegistry::new();
        let registered = Arc::new(AtomicBool::new(false));
        let is_registered = registered.clone();
        let collector = move |_: &mut String| {
            let is_registered = is_registered.load(Ordering::Relaxed);
            if is_registered { fail() } else { Ok(()) }
        };
        registry
            .include_with(collector)
            .expect("it does not fail yet");
        registered.store(true, Ordering::Relaxed);
        registry.exporter()
    }

    fn scrape(exporter: &MetricsExporter, method: Method) -> Response<Body> {
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = method;
        head.headers = HeaderMap::new();
        block_on(exporter.clone().answer(head))
    }

    fn content(response: Response<Body>) -> Bytes {
        let collected = block_on(response.into_body().collect());
        collected.expect("a body").to_bytes()
    }

    #[test]
    fn a_page_that_can_not_be_written_is_a_500_with_the_reason() {
        for (fail, cause) in [
            ((|| Err(fmt::Error)) as fn() -> _, "can't be encoded"),
            (|| panic!("a collector of the test"), "panicked"),
        ] {
            let exporter = failing(fail);
            let head = scrape(&exporter, Method::HEAD);
            let response = scrape(&exporter, Method::GET);
            assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
            assert_eq!(
                (head.status(), head.headers()),
                (response.status(), response.headers())
            );
            assert_eq!(
                response.headers()[CONTENT_TYPE],
                "text/plain; charset=utf-8"
            );
            assert_eq!(response.headers()[VARY], "Accept, Accept-Encoding");
            let length = response.headers()[CONTENT_LENGTH].clone();
            let text = content(response);
            assert_eq!(length, text.len().to_string());
            assert!(String::from_utf8_lossy(&text).contains(cause));
            assert!(content(head).is_empty());
        }
    }

    #[test]
    fn other_methods_do_not_render() {
        let exporter = failing(|| panic!("a collector of the test"));
        let response = scrape(&exporter, Method::POST);
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}
