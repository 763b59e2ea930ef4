//! The automatic families in a registry of prometheus-client.

use super::automatic::families;
use super::number::Number;
use super::series_snapshot::{SeriesSnapshot, SeriesValue};
use crate::Error;
use crate::escaping::Escaping;
use crate::labels::ERROR_TYPE;
use crate::registry::{IncludedFamily, Kind, MetricsRegistry, UPTIME, UPTIME_HELP, parse};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::{Registry, Unit};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
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
        let before = by_name(&before)?;
        let is_shown = Arc::new(AtomicBool::new(true));
        // A collector can't be unregistered, so it is switched off if it clashes.
        registry.register_collector(Box::new(RegistryCollector {
            registry: self.clone(),
            is_shown: is_shown.clone(),
        }));
        let uptime = format!("{}{UPTIME}", self.prefix());
        let prefix = encoded(registry).and_then(|after| check_added(&before, &after, &uptime));
        is_shown.store(prefix.is_ok(), Ordering::Relaxed);
        let prefix = prefix?;
        let beside =
            names(&before).filter_map(|(shown, _)| Some(shown.strip_prefix(&prefix)?.to_owned()));
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

/// The families of a registry. A family that appears twice has two entries under its name.
type FamiliesByName<'a> = BTreeMap<Cow<'a, str>, Vec<IncludedFamily<'a>>>;

fn encoded(registry: &Registry) -> Result<String, Error> {
    let mut text = String::new();
    match encode_registry(&mut text, registry) {
        Ok(()) => Ok(text),
        Err(error) => {
            Err(Error::new("prometheus-client can't encode the registry").with_source(error))
        }
    }
}

fn by_name(text: &str) -> Result<FamiliesByName<'_>, Error> {
    let mut families = FamiliesByName::new();
    for (name, family) in parse(text)? {
        families.entry(name).or_default().push(family);
    }
    Ok(families)
}

/// Returns all names that the families show, each with its family's name.
fn names<'f>(families: &'f FamiliesByName<'_>) -> impl Iterator<Item = (String, &'f str)> {
    families.iter().flat_map(|(name, families)| {
        let names = families[0].kind.names(name);
        names.map(move |shown| (shown, &**name))
    })
}

/// Returns the prefix of the families that are in the text `after` and not `before`. One of them is `uptime`.
///
/// # Errors
///
/// Returns an error if an added family is invalid, or shows a name that the registry already shows.
fn check_added(before: &FamiliesByName<'_>, after: &str, uptime: &str) -> Result<String, Error> {
    let shown: HashMap<String, &str> = names(before).collect();
    let mut prefix = String::new();
    for (name, mut families) in by_name(after)? {
        if before.get(&name).map(Vec::len) == Some(families.len()) {
            continue;
        }
        let mut names = families[0].kind.names(&name);
        if let Some((clash, other)) = names.find_map(|of| shown.get_key_value(&of)) {
            return Err(Error::new(format!(
                "metric `{name}` clashes with `{other}` of the given registry: both would show `{clash}`; if `{other}` is from another `MetricsRegistry`, build the layers of both with one registry (`MetricsLayerBuilder::registry`), or give one a prefix (`MetricsRegistryBuilder::prefix`)"
            )));
        }
        for family in &mut families {
            family.sort_and_check(&name)?;
        }
        if let Some(before) = name.strip_suffix(uptime) {
            before.clone_into(&mut prefix);
        }
    }
    Ok(prefix)
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
            let kind = match metric.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Histogram => MetricType::Histogram,
                // No automatic metric has another type.
                _ => MetricType::Gauge,
            };
            let (stem, unit) = apart(&name, metric.unit());
            let mut encoder = encoder.encode_descriptor(stem, metric.help, unit.as_ref(), kind)?;
            let mut encoded = Ok(());
            snapshot.for_each_series(metric, &mut |series| {
                if encoded.is_ok() {
                    encoded = encode(&mut encoder, series);
                }
            });
            encoded?;
        }
        let name = format!("{}{UPTIME}", self.prefix());
        let (stem, unit) = apart(&name, Some("seconds"));
        let kind = MetricType::Gauge;
        let mut encoder = encoder.encode_descriptor(stem, UPTIME_HELP, unit.as_ref(), kind)?;
        let uptime = self.uptime().as_secs_f64();
        let labels = Escaping::Underscores.labels_in_text(table.labels.iter());
        match labels.is_empty() {
            true => encoder.encode_gauge(&uptime),
            false => encoder.encode_family(&labels)?.encode_gauge(&uptime),
        }
    }
}

/// Returns a family's name without its unit, and the unit. prometheus-client's encoder appends it.
fn apart<'a>(name: &'a str, unit: Option<&str>) -> (&'a str, Option<Unit>) {
    let stem = unit.and_then(|unit| name.strip_suffix(unit)?.strip_suffix('_'));
    let unit = unit.map(|unit| Unit::Other(unit.to_owned()));
    (stem.unwrap_or(name), unit)
}

fn encode(encoder: &mut MetricEncoder<'_>, series: &SeriesSnapshot<'_>) -> fmt::Result {
    let no_exemplar: Option<&Exemplar<NoLabelSet, u64>> = None;
    // prometheus-client doesn't put names in quotes.
    let mut labels = Escaping::Underscores.labels_in_text(series.pairs());
    match &series.value {
        SeriesValue::Counter(count) => encoder
            .encode_family(&labels)?
            .encode_counter(count, no_exemplar),
        SeriesValue::Gauge(number) => {
            let mut encoder = encoder.encode_family(&labels)?;
            match series.number(*number) {
                Number::Whole(number) => encoder.encode_gauge(&number),
                seconds => encoder.encode_gauge(&seconds.to_f64()),
            }
        }
        SeriesValue::Histogram(histogram) => {
            let mut previous = 0;
            let bounds = histogram.layout.buckets.shown().iter();
            let buckets = bounds
                .chain(&[f64::INFINITY])
                .zip(histogram.cumulative())
                .map(|(bound, count)| (*bound, count - std::mem::replace(&mut previous, *count)));
            let buckets: Vec<(f64, u64)> = buckets.collect();
            let (sum, count) = (series.number(histogram.sum()).to_f64(), histogram.count());
            encoder
                .encode_family(&labels)?
                .encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
        }
        SeriesValue::Errors(errors) => {
            for error in errors.iter() {
                labels.push((ERROR_TYPE.into(), error.error_type.as_str()));
                let mut encoder = encoder.encode_family(&labels)?;
                encoder.encode_counter(&error.count, no_exemplar)?;
                labels.pop();
            }
            Ok(())
        }
    }
}
