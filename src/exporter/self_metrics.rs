//! What an exporter tells of its own scrapes.

use crate::Error;
use crate::registry::MetricsRegistry;
use http::StatusCode;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The numbers of an exporter and its clones, and the registry on whose page they stand.
#[derive(Clone, Debug)]
pub(super) struct SelfMetrics {
    numbers: Numbers,
    registry: MetricsRegistry,
}

/// A scrape in flight, which is over when this is dropped.
#[derive(Debug)]
pub(super) struct Scrape {
    metrics: SelfMetrics,
    began: Duration,
    code: Code,
}

/// All clones are handles to the same numbers.
#[derive(Clone, Debug)]
struct Numbers {
    /// Of their names.
    prefix: Arc<str>,
    scrapes: Family<[(&'static str, Code); 1], Counter>,
    in_flight: Gauge,
    duration: Histogram,
    bytes: Counter,
}

/// A status code, as the value of a label.
type Code = u16;

/// nginx's code for a client that went away before there was an answer.
const ABANDONED: Code = 499;

/// All that an exporter answers with, so that each stands at 0 from the start.
const CODES: [Code; 5] = [
    StatusCode::OK.as_u16(),
    StatusCode::METHOD_NOT_ALLOWED.as_u16(),
    ABANDONED,
    StatusCode::INTERNAL_SERVER_ERROR.as_u16(),
    StatusCode::SERVICE_UNAVAILABLE.as_u16(),
];

/// In seconds, from a small page to a deadline that has passed.
const BUCKETS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];

// === impl SelfMetrics ===

impl SelfMetrics {
    /// # Errors
    ///
    /// If the names are taken.
    pub(super) fn register(registry: &MetricsRegistry) -> Result<Self, Error> {
        let numbers = Numbers::new(registry.prefix());
        registry
            .register_collector(numbers.clone())
            .map_err(|error| {
                Error::new(format!(
                    "the exporter's own metrics can't be shown: {error}; if another exporter of this registry shows its own, clone that one"
                ))
            })?;
        Ok(Self {
            numbers,
            registry: registry.clone(),
        })
    }

    pub(super) fn begin(&self) -> Scrape {
        self.numbers.in_flight.inc();
        Scrape {
            metrics: self.clone(),
            began: self.registry.uptime(),
            code: ABANDONED,
        }
    }
}

// === impl Scrape ===

impl Scrape {
    /// The same scrape, which was answered with this status.
    pub(super) fn answered(mut self, status: StatusCode) -> Self {
        self.code = status.as_u16();
        self
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        self.metrics.numbers.bytes.inc_by(bytes as u64);
    }
}

impl Drop for Scrape {
    fn drop(&mut self) {
        let Self {
            metrics: SelfMetrics { numbers, registry },
            began,
            code,
        } = self;
        let duration = registry.uptime().saturating_sub(*began);
        numbers.scrapes.get_or_create(&label(*code)).inc();
        numbers.duration.observe(duration.as_secs_f64());
        numbers.in_flight.dec();
    }
}

// === impl Numbers ===

impl Numbers {
    fn new(prefix: &str) -> Self {
        let scrapes = Family::<_, Counter>::default();
        for code in CODES {
            drop(scrapes.get_or_create(&label(code)));
        }
        Self {
            prefix: prefix.into(),
            scrapes,
            in_flight: Gauge::default(),
            duration: Histogram::new(BUCKETS),
            bytes: Counter::default(),
        }
    }
}

impl Collector for Numbers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self {
            prefix,
            scrapes,
            in_flight,
            duration,
            bytes,
        } = self;
        let mut write = |name, help, unit: Option<&Unit>, metric: &dyn EncodeMetric| {
            let name = format!("{prefix}{name}");
            let encoder = encoder.encode_descriptor(&name, help, unit, metric.metric_type())?;
            metric.encode(encoder)
        };
        write(
            "metrics_exporter_scrapes",
            "Scrapes that have ended, by the status code of their answer",
            None,
            scrapes,
        )?;
        write(
            "metrics_exporter_scrapes_in_flight",
            "Scrapes whose answer has not been read to its end, this one among them",
            None,
            in_flight,
        )?;
        write(
            "metrics_exporter_scrape_duration",
            "Time from the beginning of a scrape until its answer was read",
            Some(&Unit::Seconds),
            duration,
        )?;
        write(
            "metrics_exporter_response",
            "Bytes of answers to scrapes, as they were sent",
            Some(&Unit::Bytes),
            bytes,
        )
    }
}

fn label(code: Code) -> [(&'static str, Code); 1] {
    [("code", code)]
}
