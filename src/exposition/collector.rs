//! The automatic families in a registry of prometheus-client.

use super::automatic::families;
use super::series_snapshot::{HistogramSnapshot, SeriesSnapshot, SeriesValue};
use crate::Error;
use crate::escaping::Escaping;
use crate::registry::{Kind, MetricsRegistry, UPTIME_HELP, UPTIME_UNIT, parse};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::{Registry, Unit};
use std::borrow::Cow;
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
    /// - If a layer has a label that `registry` puts on all its metrics.
    /// - If `registry` can't be encoded.
    ///
    /// A layer that is built later and clashes with what `registry` shows now is an error of
    /// [`build`](crate::MetricsLayerBuilder::build).
    ///
    /// A sub-registry doesn't know what its root shows. Pass the root, or give each of two registries a prefix.
    pub fn register_in(&self, registry: &mut Registry) -> Result<(), Error> {
        let before = encoded(registry)?;
        let before = FamilyCounts::read(&before)?;
        let is_shown = Arc::new(AtomicBool::new(true));
        // A collector can't be unregistered, so it is switched off if it clashes.
        registry.register_collector(Box::new(RegistryCollector {
            registry: self.clone(),
            is_shown: is_shown.clone(),
        }));
        let uptime = self.table().uptime;
        let fits = encoded(registry).and_then(|after| before.check_added(&after, &uptime));
        is_shown.store(fits.is_ok(), Ordering::Relaxed);
        let prefix = fits?;
        let beside = before.names().filter_map(|(shown, _)| {
            let called_as_ours = shown.strip_prefix(&prefix)?;
            Some(called_as_ours.to_owned())
        });
        self.reserve_names(beside);
        Ok(())
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
            Collector::encode(&self.registry, encoder)
        } else {
            Ok(())
        }
    }
}

/// The families of a registry, with their types and how often each appears.
struct FamilyCounts<'a>(BTreeMap<Cow<'a, str>, (Kind, usize)>);

fn encoded(registry: &Registry) -> Result<String, Error> {
    let mut text = String::new();
    match encode_registry(&mut text, registry) {
        Ok(()) => Ok(text),
        Err(error) => {
            Err(Error::new("prometheus-client can't encode the registry").with_source(error))
        }
    }
}

impl<'a> FamilyCounts<'a> {
    fn read(text: &'a str) -> Result<Self, Error> {
        let mut families = BTreeMap::new();
        for (name, family) in parse(text)? {
            families.entry(name).or_insert((family.kind, 0)).1 += 1;
        }
        Ok(Self(families))
    }

    /// All names that the families show, each with its family's name.
    fn names(&self) -> impl Iterator<Item = (String, &str)> {
        let families = self.0.iter();
        families.flat_map(|(name, (kind, _))| kind.names(name).map(move |shown| (shown, &**name)))
    }

    /// Returns the prefix of the families that `text` adds. One of them is `uptime`.
    ///
    /// # Errors
    ///
    /// Returns an error if an added family is invalid, or shows a name that the registry already shows.
    fn check_added(&self, text: &str, uptime: &str) -> Result<String, Error> {
        let after = FamilyCounts::read(text)?;
        let is_new =
            |name: &str| self.0.get(name).map(|of| of.1) != after.0.get(name).map(|of| of.1);
        let shown: BTreeMap<String, &str> = self.names().collect();
        for (name, (kind, _)) in after.0.iter().filter(|(name, _)| is_new(name)) {
            let clash = kind.names(name).find_map(|of| shown.get_key_value(&of));
            if let Some((clash, other)) = clash {
                return Err(Error::new(format!(
                    "metric `{name}` clashes with `{other}` of the given registry: both would show `{clash}`; if `{other}` is from another `MetricsRegistry`, build the layers of both with one registry (`MetricsLayerBuilder::registry`), or give one a prefix (`MetricsRegistryBuilder::prefix`)"
                )));
            }
        }
        let mut prefix = String::new();
        for (name, mut family) in parse(text)? {
            if is_new(&name) {
                family.arrange(&name)?;
                if let Some(before) = name.strip_suffix(uptime) {
                    before.clone_into(&mut prefix);
                }
            }
        }
        Ok(prefix)
    }
}

/// Encodes the automatic metrics of all layers in the registry.
///
/// Prefer [`register_in`](MetricsRegistry::register_in) to registering this collector by hand. Only `register_in` notices
/// a second `MetricsRegistry` in the same registry of prometheus-client. HELP and TYPE of each family would be written
/// twice, which strict parsers refuse.
impl Collector for MetricsRegistry {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let table = self.table();
        for (name, (metric, snapshot)) in families(&table, Escaping::Underscores) {
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
        let labels = Escaping::Underscores.labels_in_text(table.labels.iter());
        let unit = unit(UPTIME_UNIT);
        let mut encoder = encoder.encode_descriptor(
            stem(&table.uptime, Some(UPTIME_UNIT)),
            UPTIME_HELP,
            Some(&unit),
            MetricType::Gauge,
        )?;
        match labels.is_empty() {
            true => encoder.encode_gauge(&uptime),
            false => encoder.encode_family(&labels)?.encode_gauge(&uptime),
        }
    }
}

fn encode(encoder: &mut MetricEncoder<'_>, series: &SeriesSnapshot<'_>) -> fmt::Result {
    // prometheus-client doesn't put names in quotes.
    let labels = Escaping::Underscores.labels_in_text(series.pairs().into_iter());
    match &series.value {
        SeriesValue::Counter(count) => encode_counter(encoder, &labels, *count),
        SeriesValue::Gauge(count) => encoder.encode_family(&labels)?.encode_gauge(count),
        SeriesValue::Time(nanos) => {
            let seconds = *nanos as f64 / 1e9;
            encoder.encode_family(&labels)?.encode_gauge(&seconds)
        }
        SeriesValue::Durations(durations) => {
            let sum = durations.sum() as f64 / 1e9;
            encode_histogram(&mut encoder.encode_family(&labels)?, durations, sum)
        }
        SeriesValue::Sizes(sizes) => {
            let sum = sizes.sum() as f64;
            encode_histogram(&mut encoder.encode_family(&labels)?, sizes, sum)
        }
        SeriesValue::Errors(errors) => {
            for errors in errors.iter() {
                let mut labels = labels.clone();
                labels.push(("error_type".into(), errors.error_type.as_str()));
                encode_counter(encoder, &labels, errors.count)?;
            }
            Ok(())
        }
    }
}

fn encode_counter(
    encoder: &mut MetricEncoder<'_>,
    labels: &Vec<(Cow<'_, str>, &str)>,
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
    let bounds = histogram.layout.buckets.shown().iter();
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
