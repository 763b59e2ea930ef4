//! Metrics of the exporter's own scrapes.

use crate::Error;
use crate::clock::{Clock, Stopwatch};
use crate::registry::{FamilySource, MetricsRegistry};
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

/// The metrics of an exporter and its clones.
#[derive(Clone, Debug)]
pub(super) struct SelfMetrics {
    /// The prefix of the metric names.
    prefix: Arc<str>,
    clock: Clock,
    scrapes: Family<[(&'static str, Code); 1], Counter>,
    in_flight: Gauge,
    duration: Histogram,
    bytes: Counter,
}

/// A scrape in flight. Dropping it ends the scrape.
pub(super) struct MeasuredScrape {
    metrics: SelfMetrics,
    stopwatch: Stopwatch,
    code: Code,
}

/// A status code, as the value of a label.
type Code = u16;

/// nginx's code for a client that left before the answer.
const CLIENT_CLOSED_REQUEST: Code = 499;

/// All codes of an exporter's answers. Each is shown from the start, with 0.
const CODES: [Code; 5] = [
    StatusCode::OK.as_u16(),
    StatusCode::METHOD_NOT_ALLOWED.as_u16(),
    CLIENT_CLOSED_REQUEST,
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
    /// Returns an error if the names are taken.
    pub(super) fn register(registry: &MetricsRegistry) -> Result<Self, Error> {
        let clock = registry.clock();
        let metrics = Self {
            prefix: registry.prefix().into(),
            clock,
            scrapes: Family::default(),
            in_flight: Gauge::default(),
            duration: Histogram::new(BUCKETS),
            bytes: Counter::default(),
        };
        for code in CODES {
            drop(metrics.scrapes.get_or_create(&label(code)));
        }
        registry
            .add_source(None, |labels| {
                FamilySource::collector(labels, metrics.clone()).created(clock.wall_time())
            })
            .map_err(|error| {
                Error::new(format!(
                    "the exporter's own metrics can't be shown: {error}; if another exporter of this registry shows its own, clone that one"
                ))
            })?;
        Ok(metrics)
    }

    pub(super) fn begin(&self) -> MeasuredScrape {
        self.in_flight.inc();
        MeasuredScrape {
            metrics: self.clone(),
            stopwatch: self.clock.stopwatch(),
            code: CLIENT_CLOSED_REQUEST,
        }
    }
}

impl Collector for SelfMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self {
            prefix,
            clock: _,
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
            "Scrapes that have ended, by the status code of the answer",
            None,
            scrapes,
        )?;
        write(
            "metrics_exporter_scrapes_in_flight",
            "Scrapes in flight, including the scrape of this page",
            None,
            in_flight,
        )?;
        write(
            "metrics_exporter_scrape_duration",
            "Time from the start of a scrape until its answer has been read",
            Some(&Unit::Seconds),
            duration,
        )?;
        write(
            "metrics_exporter_response",
            "Bytes of answers to scrapes, compressed if the answers are",
            Some(&Unit::Bytes),
            bytes,
        )
    }
}

// === impl MeasuredScrape ===

impl MeasuredScrape {
    /// Sets the status code that the scrape is counted under.
    pub(super) fn answered(mut self, status: StatusCode) -> Self {
        self.code = status.as_u16();
        self
    }

    pub(super) fn record_bytes(&self, bytes: usize) {
        self.metrics.bytes.inc_by(bytes as u64);
    }
}

impl Drop for MeasuredScrape {
    fn drop(&mut self) {
        let Self {
            metrics,
            stopwatch,
            code,
        } = self;
        metrics.scrapes.get_or_create(&label(*code)).inc();
        metrics.duration.observe(stopwatch.elapsed().as_secs_f64());
        metrics.in_flight.dec();
    }
}

fn label(code: Code) -> [(&'static str, Code); 1] {
    [("code", code)]
}
