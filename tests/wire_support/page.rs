use super::{BOUND, bounded};
use std::collections::BTreeMap;
use std::iter::Sum;
use std::ops::{Add, Mul};
use std::time::Duration;
use tokio::time::Instant;
use tower_openmetrics::{ErrorType, Format, MetricsLayer};

/// All numbers on the page of a registry with one layer, except durations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbers {
    requests: u64,
    request_bytes: u64,
    response_bytes: u64,
    cancellations: u64,
    /// By type, without those at 0.
    errors: BTreeMap<String, u64>,
    durations: u64,
    concurrent: u64,
}

/// The error types on every page.
const STANDING: [ErrorType; 9] = [
    ErrorType::DESERIALIZATION,
    ErrorType::INVALID_MESSAGE,
    ErrorType::RESPONSE_STREAM,
    ErrorType::GENERATE,
    ErrorType::PUBLISH_RESPONSE,
    ErrorType::PUBLISH_FINAL,
    ErrorType::TIMEOUT,
    ErrorType::OVERLOADED,
    ErrorType::PANIC,
];

impl Numbers {
    /// The numbers of one call that completed.
    pub(crate) fn completed() -> Self {
        Self {
            requests: 1,
            durations: 1,
            ..Self::default()
        }
    }

    /// The numbers of one upgraded call without a guard.
    pub(crate) fn upgraded() -> Self {
        Self {
            durations: 0,
            ..Self::completed()
        }
    }

    /// The numbers of one call that was cancelled.
    pub(crate) fn cancelled() -> Self {
        Self {
            cancellations: 1,
            ..Self::completed()
        }
    }

    /// The numbers of one call that failed.
    pub(crate) fn failed(error_type: ErrorType) -> Self {
        Self {
            errors: [(error_type.as_str().to_owned(), 1)].into(),
            ..Self::completed()
        }
    }

    /// The numbers of one open call.
    pub(crate) fn open() -> Self {
        Self {
            concurrent: 1,
            ..Self::default()
        }
    }

    /// Sets the bytes that the service reads.
    pub(crate) fn read(self, request_bytes: u64) -> Self {
        Self {
            request_bytes,
            ..self
        }
    }

    /// Sets the bytes that the caller takes.
    pub(crate) fn taken(self, response_bytes: u64) -> Self {
        Self {
            response_bytes,
            ..self
        }
    }

    /// Returns the numbers on the layer's page now.
    pub(crate) async fn of<P>(layer: &MetricsLayer<P>) -> Self {
        Self::on_page(&layer.registry().encode(Format::Prometheus).unwrap())
    }

    pub(crate) fn response_bytes(&self) -> u64 {
        self.response_bytes
    }

    /// Waits until the layer's page shows these numbers.
    pub(crate) async fn expect<P>(self, layer: &MetricsLayer<P>, name: &str) {
        let deadline = Instant::now() + BOUND;
        let mut seen = Self::of(layer).await;
        while seen != self && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(1)).await;
            seen = Self::of(layer).await;
        }
        assert_eq!(seen, self, "{name} (left: on the page)");
    }

    fn on_page(page: &str) -> Self {
        let samples = samples(page);
        let one = |name: &str| match samples.get(name) {
            Some(value) => *value as u64,
            None => panic!("no `{name}` on the page:\n{page}"),
        };
        let count = one("request_duration_seconds_count");
        assert_eq!(
            one("request_duration_seconds_bucket{le=\"+Inf\"}"),
            count,
            "the last bucket holds all:\n{page}"
        );
        for error_type in STANDING {
            one(&format!("errors_total{{error_type=\"{error_type}\"}}"));
        }
        let errors = samples.iter().filter_map(|(name, value)| {
            let error_type = name.strip_prefix("errors_total{error_type=\"")?;
            let error_type = error_type.strip_suffix("\"}")?;
            (*value != 0.0).then(|| (error_type.to_owned(), *value as u64))
        });
        Self {
            requests: one("requests_total"),
            request_bytes: one("request_bytes_total"),
            response_bytes: one("response_bytes_total"),
            cancellations: one("cancellations_total"),
            errors: errors.collect(),
            durations: count,
            concurrent: one("concurrent_requests"),
        }
    }
}

impl Add for Numbers {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let mut errors = self.errors;
        for (error_type, calls) in other.errors {
            *errors.entry(error_type).or_default() += calls;
        }
        Self {
            requests: self.requests + other.requests,
            request_bytes: self.request_bytes + other.request_bytes,
            response_bytes: self.response_bytes + other.response_bytes,
            cancellations: self.cancellations + other.cancellations,
            errors,
            durations: self.durations + other.durations,
            concurrent: self.concurrent + other.concurrent,
        }
    }
}

impl Mul<usize> for Numbers {
    type Output = Self;

    fn mul(self, times: usize) -> Self {
        (0..times).map(|_| self.clone()).sum()
    }
}

impl Sum for Numbers {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Self::add)
    }
}

/// Returns the values by name and labels, as written.
fn samples(page: &str) -> BTreeMap<&str, f64> {
    page.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a sample");
            (name, value.parse().expect("a number"))
        })
        .collect()
}
