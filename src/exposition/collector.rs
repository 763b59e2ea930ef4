//! Our families in a registry of prometheus-client's.

use super::automatic::families;
use super::shown::{Histogram, Reading, Shown};
use crate::registry::{Kind, MetricsRegistry, UPTIME, UPTIME_HELP, UPTIME_UNIT};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Unit;
use std::fmt;

/// The automatic metrics of all layers in the registry, for an app that already has a page of its
/// own: they appear on it with its prefix and labels. Metrics that were registered here are not among them;
/// register those there.
///
/// ```
/// use prometheus_client::registry::Registry;
/// use tower_openmetrics::MetricsLayer;
///
/// let layer = MetricsLayer::new([("endpoint", "a")]);
/// let mut theirs = Registry::with_prefix("app");
/// theirs.register_collector(Box::new(layer.registry().clone()));
///
/// let mut page = String::new();
/// prometheus_client::encoding::text::encode(&mut page, &theirs).unwrap();
/// assert!(page.contains(r#"app_requests_total{endpoint="a"} 0"#));
/// ```
impl Collector for MetricsRegistry {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let table = self.table();
        for (name, (metric, snapshot)) in families(&table) {
            let unit = metric.unit.map(unit);
            let stem = stem(&name, metric.unit);
            let kind = metric_type(metric.kind);
            let mut encoder = encoder.encode_descriptor(stem, metric.help, unit.as_ref(), kind)?;
            let mut encoded = Ok(());
            snapshot.each(metric.metric, &mut |shown| {
                if encoded.is_ok() {
                    encoded = encode(&mut encoder, shown);
                }
            });
            encoded?;
        }
        let uptime = self.uptime().as_secs_f64();
        encoder
            .encode_descriptor(
                stem(UPTIME, Some(UPTIME_UNIT)),
                UPTIME_HELP,
                Some(&unit(UPTIME_UNIT)),
                MetricType::Gauge,
            )?
            .encode_gauge(&uptime)
    }
}

fn encode(encoder: &mut MetricEncoder<'_>, shown: &Shown<'_>) -> fmt::Result {
    let labels = shown.pairs();
    match &shown.reading {
        Reading::Counter(count) => encode_counter(encoder, &labels, *count),
        Reading::Gauge(count) => encoder.encode_family(&labels)?.encode_gauge(count),
        Reading::Histogram(durations) => {
            let sum = durations.sum() as f64 / 1e9;
            encode_histogram(&mut encoder.encode_family(&labels)?, durations, sum)
        }
        Reading::Sizes(sizes) => {
            let sum = sizes.sum() as f64;
            encode_histogram(&mut encoder.encode_family(&labels)?, sizes, sum)
        }
        Reading::Errors(errors) => {
            for (name, count) in errors.iter() {
                let mut labels = labels.clone();
                labels.push(("error_type", name.as_str()));
                encode_counter(encoder, &labels, count)?;
            }
            Ok(())
        }
    }
}

fn encode_counter(
    encoder: &mut MetricEncoder<'_>,
    labels: &Vec<(&str, &str)>,
    count: u64,
) -> fmt::Result {
    let no_exemplar: Option<&Exemplar<NoLabelSet, u64>> = None;
    encoder
        .encode_family(labels)?
        .encode_counter(&count, no_exemplar)
}

fn encode_histogram(
    encoder: &mut MetricEncoder<'_>,
    histogram: &Histogram<'_>,
    sum: f64,
) -> fmt::Result {
    let mut below = 0;
    let bounds = histogram.of.bounds.shown().iter();
    let buckets: Vec<(f64, u64)> = bounds
        .chain(&[f64::INFINITY])
        .zip(histogram.cumulative())
        .map(|(bound, cumulative)| {
            (
                *bound,
                cumulative - std::mem::replace(&mut below, *cumulative),
            )
        })
        .collect();
    encoder.encode_histogram::<NoLabelSet>(sum, histogram.count(), &buckets, None)
}

/// Their encoder appends the unit by itself.
fn stem<'a>(name: &'a str, unit: Option<&str>) -> &'a str {
    unit.and_then(|unit| name.strip_suffix(unit)?.strip_suffix('_'))
        .unwrap_or(name)
}

fn unit(name: &str) -> Unit {
    Unit::Other(name.to_owned())
}

fn metric_type(kind: Kind) -> MetricType {
    match kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Histogram => MetricType::Histogram,
        Kind::Info => MetricType::Info,
        // No layer has these.
        Kind::StateSet | Kind::Summary | Kind::Unknown => MetricType::Unknown,
    }
}
