use super::compression::compress;
use super::deadline::{Deadline, Timer};
use super::negotiate::Representation;
use super::on_error::OnError;
use super::places::Places;
use super::rendering::{Renderings, Wanted};
use super::self_metrics::SelfMetrics;
use super::slices::Slices;
use super::{Body, ResponseFuture, answer, query};
use crate::Error;
use crate::exposition::Protobuf;
use crate::registry::MetricsRegistry;
use http::request::Parts;
use http::{Method, Request, Response};
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tower_service::Service;

/// Answers a scrape with the page of a [`MetricsRegistry`].
///
/// Get one from [`MetricsRegistry::exporter`]. A clone is cheap and shows the same registry, as it
/// is at the moment of the scrape: the page is written once the future is polled. Clones count the
/// scrapes in flight together and write pages together; an exporter that was made anew does not.
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
#[must_use = "an exporter shows nothing unless it is served"]
pub struct MetricsExporter {
    concurrent_scrapes: usize,
    deadline: Duration,
    on_error: OnError,
    timer: Arc<Timer>,
    places: Arc<Places>,
    renderings: Arc<Renderings>,
    self_metrics: Option<SelfMetrics>,
}

// === impl MetricsExporter ===

impl MetricsExporter {
    pub(crate) fn new(registry: MetricsRegistry) -> Self {
        Self {
            concurrent_scrapes: 8,
            deadline: Duration::from_secs(30),
            on_error: OnError::default(),
            timer: Arc::default(),
            places: Arc::default(),
            renderings: Arc::new(Renderings::new(registry)),
            self_metrics: None,
        }
    }

    /// How many scrapes may be in flight; more are answered by 503. 0 is taken for 1.
    ///
    /// A scrape is in flight from the first poll of its future until its body has been read or
    /// dropped, or its [deadline](Self::deadline) has passed. If the limit is reached, a reader that
    /// has taken nothing for 5 seconds loses its place to the next scrape: its body fails. Each may hold a page in memory, and one
    /// more may be in the making.
    ///
    /// Defaults to 8.
    pub fn concurrent_scrapes(mut self, limit: usize) -> Self {
        self.concurrent_scrapes = limit.max(1);
        self
    }

    /// How long a scrape may take, from the first poll of its future until its page has been read.
    ///
    /// A scraper that says in `X-Prometheus-Scrape-Timeout-Seconds` that it waits for a shorter time
    /// is taken at its word. A page that is not written by then is answered by 503; the body of one that is
    /// not read by then fails, so that the reader can tell that something is missing.
    ///
    /// The timer is tokio's. Without a runtime, or in one that has its timer disabled, a
    /// rendering that is late is told when it is over.
    ///
    /// Defaults to 30 seconds.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Puts the exporter's own numbers on the page that it shows: how many scrapes there were, by the
    /// answer's status code, and how many there are, how long they took, and how many bytes went out. See
    /// the [module docs](crate::exporter#its-own-numbers).
    ///
    /// Clones that are made from here on count together.
    ///
    /// Defaults to no such numbers.
    ///
    /// # Errors
    ///
    /// If the registry has families that go by these names. So it has if another exporter of this registry
    /// shows its own numbers already: clone that one instead.
    pub fn self_metrics(mut self) -> Result<Self, Error> {
        self.self_metrics = Some(SelfMetrics::register(self.renderings.registry())?);
        Ok(self)
    }

    /// Leaves out what can't be shown, and tells `tell` why, for each scrape anew.
    ///
    /// A metric of your own, a collector or an included registry can't be shown while its encoder fails
    /// or panics, or while it shows what scrapers would not read: a series twice, a counter below 0.
    /// Then its families are missing from the page, and those of a collector or a registry all together if it
    /// is its encoder that fails; whatever else there is stays. promhttp calls this `ContinueOnError`.
    ///
    /// What `tell` does is done where pages are written, off the runtime's threads.
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
    /// Defaults to a scrape that fails, with 500 and a text that says why.
    pub fn continue_on_error(mut self, tell: impl Fn(&Error) + Send + Sync + 'static) -> Self {
        self.on_error = OnError::Continue(Arc::new(tell));
        self
    }

    async fn answer(self, head: Parts) -> Response<Body> {
        let scrape = self.self_metrics.as_ref().map(SelfMetrics::begin);
        let response = match head.method {
            Method::GET => self.page(&head).await,
            // The page is written all the same: nothing else tells its length.
            Method::HEAD => self.page(&head).await.map(Body::withheld),
            _ => answer::wrong_method(),
        };
        match scrape.map(|scrape| scrape.answered(response.status())) {
            // With whose body it ends.
            Some(scrape) => response.map(|body| body.of(scrape)),
            None => response,
        }
    }

    async fn page(&self, head: &Parts) -> Response<Body> {
        let deadline = Deadline::new(self.deadline, &head.headers);
        let Some(place) = self.places.take(self.concurrent_scrapes, deadline) else {
            return answer::too_many(self.concurrent_scrapes);
        };
        let representation = Representation::negotiate(&head.headers, Protobuf::OFFERED);
        let page = self.renderings.page(Wanted {
            encoding: representation.encoding(),
            selection: query::selection(&head.uri),
            on_error: self.on_error.clone(),
        });
        match deadline.bound(&self.timer, page).await {
            Some(Some(Ok(page))) => {
                let slices = Slices::page(page, place);
                let response = answer::page(representation.content_type(), slices);
                compress(&head.headers, response).await.map(Body::new)
            }
            Some(Some(Err(why))) => answer::unwritable(why),
            Some(None) => answer::no_thread(),
            None => answer::too_late(deadline),
        }
    }
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
            on_error,
            timer: _,
            places: _,
            renderings,
            self_metrics,
        } = self;
        f.debug_struct("MetricsExporter")
            .field("registry", renderings.registry())
            .field("concurrent_scrapes", concurrent_scrapes)
            .field("deadline", deadline)
            .field("self_metrics", &self_metrics.is_some())
            .field("on_error", on_error)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::header::{CONTENT_LENGTH, CONTENT_TYPE, VARY};
    use http::{HeaderMap, StatusCode};
    use http_body_util::BodyExt;
    use std::sync::atomic::{AtomicBool, Ordering};
    use tokio_test::block_on;

    /// One whose collector, once it is registered, fails or panics.
    fn failing(fail: fn() -> fmt::Result) -> MetricsExporter {
        let registry = MetricsRegistry::new();
        let registered = Arc::new(AtomicBool::new(false));
        let begun = registered.clone();
        let collector = move |_: &mut String| {
            let begun = begun.load(Ordering::Relaxed);
            if begun { fail() } else { Ok(()) }
        };
        registry.include_with(collector).expect("it works yet");
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
    fn a_page_that_cannot_be_written_is_a_500_that_explains_itself() {
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
    fn other_methods_render_nothing() {
        let exporter = failing(|| panic!("a collector of the test"));
        let response = scrape(&exporter, Method::POST);
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}
