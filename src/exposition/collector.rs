//! The automatic families in a registry of prometheus-client.

use super::automatic::families;
use super::series_snapshot::{HistogramSnapshot, SeriesSnapshot, SeriesValue};
use crate::Error;
use crate::registry::{Kind, MetricsRegistry, UPTIME_HELP, UPTIME_UNIT, parse};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::{Registry, Unit};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

impl MetricsRegistry {
    /// Shows the automatic metrics of this registry in a registry of prometheus-client.
    ///
    /// Use this for an app that already serves a page of its own. Its page then has the metrics of all layers, including
    /// layers that are built later, with its own prefix and labels.
    ///
    /// Metrics registered in this registry are not included: register them there. To show several layers, build
    /// them with one `MetricsRegistry`, so that each family appears once.
    ///
    /// ```
    /// use prometheus_client::registry::Registry;
    /// use tower_openmetrics::MetricsLayer;
    ///
    /// # fn main() -> Result<(), tower_openmetrics::Error> {
    /// let layer = MetricsLayer::new([("endpoint", "a")]);
    /// let mut registry = Registry::with_prefix("app");
    /// layer.registry().register_in(&mut registry)?;
    ///
    /// let mut page = String::new();
    /// prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
    /// assert!(page.contains(r#"app_requests_total{endpoint="a"} 0"#));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error, and adds no metrics to `registry`:
    ///
    /// - If `registry` already shows one of the names, for example because another `MetricsRegistry` is registered there.
    ///   prometheus-client would write the family twice.
    /// - If `registry` can't be encoded.
    pub fn register_in(&self, registry: &mut Registry) -> Result<(), Error> {
        let before = families_of(registry)?;
        let is_shown = Arc::new(AtomicBool::new(true));
        // A collector can't be unregistered, so it is switched off if it clashes.
        registry.register_collector(Box::new(RegistryCollector {
            registry: self.clone(),
            is_shown: is_shown.clone(),
        }));
        let fits = families_of(registry).and_then(|after| check_added(&before, &after));
        is_shown.store(fits.is_ok(), Ordering::Relaxed);
        fits
    }
}

/// A registry as a collector that can be switched off.
#[derive(Debug)]
struct RegistryCollector {
    registry: MetricsRegistry,
    is_shown: Arc<AtomicBool>,
}

impl Collector for RegistryCollector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        if self.is_shown.load(Ordering::Relaxed) {
            self.registry.encode(encoder)
        } else {
            Ok(())
        }
    }
}

/// The families of a registry, with their types and how often each appears.
type FamilyCounts = BTreeMap<String, (Kind, usize)>;

fn families_of(registry: &Registry) -> Result<FamilyCounts, Error> {
    let mut text = String::new();
    encode_registry(&mut text, registry).map_err(|error| {
        Error::new("prometheus-client can't encode the registry").with_source(error)
    })?;
    let mut families = FamilyCounts::new();
    for (name, family) in parse(&text)? {
        let (_, count) = families.entry(name.to_owned()).or_insert((family.kind, 0));
        *count += 1;
    }
    Ok(families)
}

/// Returns an error if an added family shows a name that the registry already shows.
fn check_added(before: &FamilyCounts, after: &FamilyCounts) -> Result<(), Error> {
    let shown = before.iter();
    let shown =
        shown.flat_map(|(name, (kind, _))| kind.names(name).map(move |shown| (shown, name)));
    let shown: BTreeMap<String, &String> = shown.collect();
    for (name, (kind, count)) in after {
        if before.get(name).is_some_and(|(_, before)| before == count) {
            continue;
        }
        let clash = kind
            .names(name)
            .find_map(|added| shown.get_key_value(&added));
        if let Some((clash, other)) = clash {
            return Err(Error::new(format!(
                "metric `{name}` clashes with `{other}` of the given registry: both would show `{clash}`; if `{other}` is from another `MetricsRegistry`, build the layers of both with one registry (`MetricsLayerBuilder::registry`), or give one a prefix (`MetricsRegistry::with_prefix`)"
            )));
        }
    }
    Ok(())
}

/// Encodes the automatic metrics of all layers in the registry.
///
/// Prefer [`register_in`](MetricsRegistry::register_in) to registering this collector by hand. Only `register_in` notices
/// a second `MetricsRegistry` in the same registry of prometheus-client. HELP and TYPE of each family would be written
/// twice, which strict parsers refuse.
impl Collector for MetricsRegistry {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let table = self.table();
        for (name, (metric, snapshot)) in families(&table) {
            let unit = metric.unit.map(unit);
            let stem = stem(&name, metric.unit);
            let kind = metric_type(metric.kind);
            let mut encoder = encoder.encode_descriptor(stem, metric.help, unit.as_ref(), kind)?;
            let mut encoded = Ok(());
            snapshot.for_each_series(metric.metric, &mut |series| {
                if encoded.is_ok() {
                    encoded = encode(&mut encoder, series);
                }
            });
            encoded?;
        }
        let uptime = self.uptime().as_secs_f64();
        encoder
            .encode_descriptor(
                stem(&table.uptime, Some(UPTIME_UNIT)),
                UPTIME_HELP,
                Some(&unit(UPTIME_UNIT)),
                MetricType::Gauge,
            )?
            .encode_gauge(&uptime)
    }
}

fn encode(encoder: &mut MetricEncoder<'_>, series: &SeriesSnapshot<'_>) -> fmt::Result {
    let labels = series.pairs();
    match &series.value {
        SeriesValue::Counter(count) => encode_counter(encoder, &labels, *count),
        SeriesValue::Gauge(count) => encoder.encode_family(&labels)?.encode_gauge(count),
        SeriesValue::Durations(durations) => {
            let sum = durations.sum() as f64 / 1e9;
            encode_histogram(&mut encoder.encode_family(&labels)?, durations, sum)
        }
        SeriesValue::Sizes(sizes) => {
            let sum = sizes.sum() as f64;
            encode_histogram(&mut encoder.encode_family(&labels)?, sizes, sum)
        }
        SeriesValue::Errors(errors) => {
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
    histogram: &HistogramSnapshot<'_>,
    sum: f64,
) -> fmt::Result {
    let mut previous = 0;
    let bounds = histogram.layout.bounds.shown().iter();
    let buckets: Vec<(f64, u64)> = bounds
        .chain(&[f64::INFINITY])
        .zip(histogram.cumulative())
        .map(|(bound, cumulative)| {
            (
                *bound,
                cumulative - std::mem::replace(&mut previous, *cumulative),
            )
        })
        .collect();
    encoder.encode_histogram::<NoLabelSet>(sum, histogram.count(), &buckets, None)
}

/// Returns the name without its unit, which prometheus-client's encoder appends.
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
        // No automatic metric has these types.
        Kind::PlainCounter | Kind::StateSet | Kind::Summary | Kind::Unknown => MetricType::Unknown,
    }
}
