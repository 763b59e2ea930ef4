//! The numbers on a page.

use crate::BOUND;
use http::Request;
use http_body_util::BodyExt;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;
use tower::ServiceExt;
use tower_openmetrics::MetricsLayer;

/// All numbers of a layer whose calls have one method and one outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) requests: u64,
    pub(crate) cancellations: u64,
    /// Error types with a count above 0.
    pub(crate) errors: BTreeMap<String, u64>,
    pub(crate) request_messages: u64,
    pub(crate) request_bytes: u64,
    pub(crate) response_messages: u64,
    pub(crate) response_bytes: u64,
    pub(crate) durations: u64,
    pub(crate) concurrent: u64,
    /// `grpc_service`, `grpc_method` and `grpc_code` on the metrics recorded at the end.
    pub(crate) labels: Option<[String; 3]>,
}

/// The labels and the value of a sample.
type Sample<'a> = (BTreeMap<&'a str, &'a str>, u64);

impl Numbers {
    /// One call of this method that completed with the code `OK`.
    pub(crate) fn completed(method: &str) -> Self {
        Self::ended(method, "OK")
    }

    /// One call that failed.
    pub(crate) fn failed(method: &str, code: &str, error_type: &str) -> Self {
        Self {
            errors: [(error_type.to_owned(), 1)].into(),
            ..Self::ended(method, code)
        }
    }

    pub(crate) fn cancelled(method: &str, code: &str) -> Self {
        Self {
            cancellations: 1,
            ..Self::ended(method, code)
        }
    }

    fn ended(method: &str, code: &str) -> Self {
        Self {
            requests: 1,
            durations: 1,
            labels: Some(["test.Obedient", method, code].map(str::to_owned)),
            ..Self::default()
        }
    }

    /// Adds these request messages, each with a prefix of five bytes.
    pub(crate) fn request(self, messages: &[impl AsRef<str>]) -> Self {
        Self {
            request_messages: messages.len() as u64,
            request_bytes: with_prefixes(messages),
            ..self
        }
    }

    /// Adds these response messages.
    pub(crate) fn response(self, messages: &[impl AsRef<str>]) -> Self {
        Self {
            response_messages: messages.len() as u64,
            response_bytes: with_prefixes(messages),
            ..self
        }
    }

    /// Removes the numbers of the request.
    fn without_request(self) -> Self {
        Self {
            request_messages: 0,
            request_bytes: 0,
            ..self
        }
    }

    /// Like [`expect`](Self::expect), for a call that may end before its request is read.
    pub(crate) async fn expect_except_request<P>(&self, layer: &MetricsLayer<P>, row: &str) {
        let seen = Self::poll(layer, |seen| seen.requests == 1 && seen.concurrent == 0).await;
        assert_eq!(seen.without_request(), *self, "{row} (left: on the page)");
    }

    /// Waits until the layer has these numbers.
    pub(crate) async fn expect<P>(&self, layer: &MetricsLayer<P>, row: &str) {
        let seen = Self::poll(layer, |seen| seen == self).await;
        assert_eq!(seen, *self, "{row} (left: on the page)");
    }

    /// Waits until `done` holds for the layer's only call, which is still open.
    pub(crate) async fn until<P>(
        layer: &MetricsLayer<P>,
        what: &str,
        done: impl Fn(&Self) -> bool,
    ) {
        let seen = Self::poll(layer, |seen| done(seen)).await;
        assert!(done(&seen), "{what}: {seen:?}");
    }

    async fn poll<P>(layer: &MetricsLayer<P>, done: impl Fn(&Self) -> bool) -> Self {
        let deadline = Instant::now() + BOUND;
        let mut seen = Self::of(layer).await;
        while !done(&seen) && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(1)).await;
            seen = Self::of(layer).await;
        }
        seen
    }

    pub(crate) async fn of<P>(layer: &MetricsLayer<P>) -> Self {
        let Ok(response) = layer.exporter().oneshot(Request::new(())).await;
        let page = response.into_body().collect().await.unwrap().to_bytes();
        Self::on_page(std::str::from_utf8(&page).unwrap())
    }

    fn on_page(page: &str) -> Self {
        let all = |name: &'static str| {
            page.lines()
                .filter(|line| !line.starts_with('#'))
                .filter_map(move |line| sample(line, name))
        };
        let sum = |name| all(name).map(|(_, value)| value).sum();
        let errors = all("errors_total")
            .filter(|(_, value)| *value > 0)
            .map(|(labels, value)| (labels["error_type"].to_owned(), value));
        let ends: Vec<_> = all("requests_total").collect();
        let labels = match &ends[..] {
            [] => None,
            [(labels, _)] => Some(
                ["grpc_service", "grpc_method", "grpc_code"].map(|name| labels[name].to_owned()),
            ),
            more => panic!("calls of several kinds: {more:?}"),
        };
        Self {
            requests: sum("requests_total"),
            cancellations: sum("cancellations_total"),
            errors: errors.collect(),
            request_messages: sum("request_messages_total"),
            request_bytes: sum("request_bytes_total"),
            response_messages: sum("response_messages_total"),
            response_bytes: sum("response_bytes_total"),
            durations: sum("request_duration_seconds_count"),
            concurrent: sum("concurrent_requests"),
            labels,
        }
    }
}

fn with_prefixes(messages: &[impl AsRef<str>]) -> u64 {
    let bytes = messages.iter().map(|message| 5 + message.as_ref().len());
    bytes.sum::<usize>() as u64
}

/// Returns the sample in this line, if it has that name. Escapes are not handled.
fn sample<'a>(line: &'a str, name: &str) -> Option<Sample<'a>> {
    let (series, value) = line.rsplit_once(' ')?;
    let labels = series.strip_prefix(name)?;
    let labels = match labels.strip_prefix('{') {
        Some(labels) => labels.strip_suffix('}')?,
        None if labels.is_empty() => "",
        None => return None, // a longer name
    };
    let labels = labels
        .split(',')
        .filter_map(|label| label.split_once('='))
        .map(|(name, value)| (name, value.trim_matches('"')));
    Some((labels.collect(), value.parse().expect("an integer")))
}
