//! A page that is pushed to Prometheus' Pushgateway.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::uri::InvalidUri;
use http::{HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::fmt;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tower::BoxError;
use tower_openmetrics::{Format, MetricsRegistry};

/// How much of the gateway's answer is read: enough to say what is wrong.
const MAX_ANSWER_BYTES: usize = 4 * 1024;

/// Where a page is pushed to.
pub(crate) struct Pushgateway {
    registry: MetricsRegistry,
    client: Client<HttpConnector, Full<Bytes>>,
    group: Uri,
    retry: Retry,
}

/// What is done about a gateway that does not take a push.
#[derive(Clone, Copy)]
pub(crate) struct Retry {
    /// How often a push is tried in all.
    pub(crate) attempts: u32,
    /// How long to wait after the first one; twice as long after each more.
    pub(crate) pause: Duration,
    /// How long each may take.
    pub(crate) timeout: Duration,
}

/// Why an attempt came to nothing.
#[derive(Debug)]
struct Failure {
    why: String,
    /// Whether another attempt would fail just so.
    lasting: bool,
}

// === impl Pushgateway ===

impl Pushgateway {
    /// Pushes the page of `registry` to the gateway at `url`, into the group of these labels. The first of them has to
    /// be `job`. They stand on every series, in place of labels of its own by the same names.
    pub(crate) fn new(
        registry: &MetricsRegistry,
        url: &str,
        group: &[(&str, &str)],
        retry: Retry,
    ) -> Result<Self, BoxError> {
        Ok(Self {
            registry: registry.clone(),
            client: Client::builder(TokioExecutor::new()).build_http(),
            group: group_uri(url, group)?,
            retry,
        })
    }

    /// Puts the page, as it is now, in the place of what the group had.
    pub(crate) async fn push(&self) -> Result<(), BoxError> {
        let mut pause = self.retry.pause;
        let mut attempts_left = self.retry.attempts;
        loop {
            attempts_left = attempts_left.saturating_sub(1);
            let attempt = timeout(self.retry.timeout, self.attempt());
            let failure = match attempt.await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(failure)) => failure,
                Err(_elapsed) => Failure::passing(format!("no answer in {:?}", self.retry.timeout)),
            };
            if failure.lasting || attempts_left == 0 {
                return Err(format!("no push to {}: {failure}", self.group).into());
            }
            sleep(pause).await;
            pause = pause.saturating_mul(2);
        }
    }

    async fn attempt(&self) -> Result<(), Failure> {
        let page = self.page()?;
        let answer = self.client.request(page).await;
        let answer = answer.map_err(|error| Failure::passing(with_causes(&error)))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let text = beginning(answer.into_body()).await;
        let text = text.map_err(|error| Failure::passing(with_causes(&error)))?;
        Err(Failure {
            why: format!("{status}: {}", text.trim_end()),
            // The gateway won't like the same page any better; but it may have too much to do.
            lasting: status.is_client_error()
                && status != StatusCode::REQUEST_TIMEOUT
                && status != StatusCode::TOO_MANY_REQUESTS,
        })
    }

    /// The page as a request, in the format that every gateway reads.
    fn page(&self) -> Result<Request<Full<Bytes>>, Failure> {
        const FORMAT: Format = Format::Prometheus;
        let page = self.registry.encode(FORMAT);
        let page = page.map_err(|error| Failure::passing(with_causes(&error)))?;
        let mut request = Request::new(Full::from(page));
        *request.method_mut() = http::Method::PUT;
        *request.uri_mut() = self.group.clone();
        let content_type = HeaderValue::from_static(FORMAT.content_type());
        request.headers_mut().insert(CONTENT_TYPE, content_type);
        Ok(request)
    }
}

// === impl Failure ===

impl Failure {
    fn passing(why: String) -> Self {
        Self {
            why,
            lasting: false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// `http://localhost:9091/metrics/job/cleanup/instance/a`
fn group_uri(url: &str, group: &[(&str, &str)]) -> Result<Uri, BoxError> {
    let mut uri = format!("{}/metrics", url.trim_end_matches('/'));
    for (label, value) in group {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if value.is_empty() || !value.chars().all(is_plain) {
            return Err(format!(
                "{label} can't be {value:?}: use letters, digits, `-`, `_` and `.`"
            )
            .into());
        }
        uri.push_str(&format!("/{label}/{value}"));
    }
    let invalid = |error: InvalidUri| format!("the gateway can't be at {url:?}: {error}");
    Ok(uri.parse().map_err(invalid)?)
}

/// The text of an answer, cut off where it gets long: a gateway may be anything that answers.
async fn beginning(mut answer: Incoming) -> Result<String, hyper::Error> {
    let mut text = Vec::new();
    while text.len() < MAX_ANSWER_BYTES
        && let Some(frame) = answer.frame().await.transpose()?
    {
        text.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
    }
    text.truncate(MAX_ANSWER_BYTES);
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// hyper says in the causes what has happened.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
