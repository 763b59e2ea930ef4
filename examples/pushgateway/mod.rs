//! Pushes a page to Prometheus' Pushgateway.

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

/// The maximum length of the gateway's response that is read, for an error message.
const MAX_ANSWER_BYTES: usize = 4 * 1024;

/// A Pushgateway, and the registry whose page it gets.
pub(crate) struct Pushgateway {
    registry: MetricsRegistry,
    client: Client<HttpConnector, Full<Bytes>>,
    group: Uri,
    retry: Retry,
}

/// How to retry a push that fails.
#[derive(Clone, Copy)]
pub(crate) struct Retry {
    /// The number of attempts, including the first one.
    pub(crate) attempts: u32,
    /// The pause after the first attempt. It doubles after each further one.
    pub(crate) pause: Duration,
    /// The time limit of each attempt.
    pub(crate) timeout: Duration,
}

/// Why an attempt failed.
#[derive(Debug)]
struct Failure {
    why: String,
    /// Whether another attempt would fail the same way.
    lasting: bool,
}

// === impl Pushgateway ===

impl Pushgateway {
    /// Returns the gateway at `url`, for the page of `registry`. The labels identify the group. The first one must be
    /// `job`. The gateway adds them to every series, and they replace labels of the same names.
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

    /// Replaces what the group has by the current page.
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
            // The gateway would refuse the same page again, unless it was only too busy.
            lasting: status.is_client_error()
                && status != StatusCode::REQUEST_TIMEOUT
                && status != StatusCode::TOO_MANY_REQUESTS,
        })
    }

    /// Returns a request with the page, in the format that every gateway reads.
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

/// Returns the URI of a group, such as `http://localhost:9091/metrics/job/cleanup/instance/a`.
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

/// Returns the text of a response, up to a maximum length, because any server may be at the address.
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

/// Returns the error's message and those of its sources, in which hyper says what happened.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
