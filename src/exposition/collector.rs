//! Our families in a registry of prometheus-client's.

use super::automatic::families;
use super::shown::{Histogram, Reading, Shown};
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
    /// Shows the automatic metrics of all layers in the registry, now and later, in one of prometheus-client's: for an
    /// app that already has a page of its own. They appear on it with its prefix and labels.
    ///
    /// Metrics that were registered here are not among them; register those there. To show several layers there, build
    /// them with one `MetricsRegistry`, so that each family is there once for all of them.
    ///
    /// ```
    /// use prometheus_client::registry::Registry;
    /// use tower_openmetrics::MetricsLayer;
    ///
    /// # fn main() -> Result<(), tower_openmetrics::Error> {
    /// let layer = MetricsLayer::new([("endpoint", "a")]);
    /// let mut theirs = Registry::with_prefix("app");
    /// layer.registry().register_in(&mut theirs)?;
    ///
    /// let mut page = String::new();
    /// prometheus_client::encoding::text::encode(&mut page, &theirs).unwrap();
    /// assert!(page.contains(r#"app_requests_total{endpoint="a"} 0"#));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If `theirs` shows such a name already, as it does with another `MetricsRegistry` in it: prometheus-client would
    /// write the family twice. Or if `theirs` can't be encoded. Nothing of this registry is shown there then.
    pub fn register_in(&self, theirs: &mut Registry) -> Result<(), Error> {
        let before = families_of(theirs)?;
        let is_shown = Arc::new(AtomicBool::new(true));
        // There is no way to take it back out.
        theirs.register_collector(Box::new(Shared {
            registry: self.clone(),
            is_shown: is_shown.clone(),
        }));
        let fits = families_of(theirs).and_then(|after| check_added(&before, &after));
        is_shown.store(fits.is_ok(), Ordering::Relaxed);
        fits
    }
}

/// A registry as a collector, if it is one to be shown.
#[derive(Debug)]
struct Shared {
    registry: MetricsRegistry,
    is_shown: Arc<AtomicBool>,
}

impl Collector for Shared {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        if self.is_shown.load(Ordering::Relaxed) {
            self.registry.encode(encoder)
        } else {
            Ok(())
        }
    }
}

/// The families of a registry, with their types, and how often each is there.
type Families = BTreeMap<String, (Kind, usize)>;

fn families_of(registry: &Registry) -> Result<Families, Error> {
    let mut text = String::new();
    encode_registry(&mut text, registry).map_err(|error| {
        Error::new("prometheus-client can't encode the registry").with_source(error)
    })?;
    let mut families = Families::new();
    for (name, family) in parse(&text)? {
        let there = families.entry(name.to_owned());
        there.or_insert((family.kind, 0)).1 += 1;
    }
    Ok(families)
}

/// That none of the families that have come shows a name that was there before.
fn check_added(before: &Families, after: &Families) -> Result<(), Error> {
    let shown = before.iter();
    let shown = shown.flat_map(|(name, (kind, _))| kind.names(name).map(move |of| (of, name)));
    let shown: BTreeMap<String, &String> = shown.collect();
    for (name, (kind, count)) in after {
        if before.get(name).is_some_and(|(_, before)| before == count) {
            continue;
        }
        let clash = kind.names(name).find_map(|of| shown.get_key_value(&of));
        if let Some((clash, other)) = clash {
            return Err(Error::new(format!(
                "metric `{name}` clashes with `{other}` of the registry that it is to be shown in: both would show `{clash}`; if that is from another `MetricsRegistry`, build the layers of both with one (`MetricsLayerBuilder::registry`), or give one a prefix (`MetricsRegistry::with_prefix`)"
            )));
        }
    }
    Ok(())
}

/// The automatic metrics of all layers in the registry, as [`register_in`](MetricsRegistry::register_in) shows them.
///
/// Registered by hand, nothing tells a second `MetricsRegistry` in the same registry of prometheus-client's from the
/// first: HELP and TYPE of each family come twice then, which strict readers refuse.
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
                stem(&table.uptime, Some(UPTIME_UNIT)),
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
    let bounds = histogram.of.buckets.shown().iter();
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
        Kind::PlainCounter | Kind::StateSet | Kind::Summary | Kind::Unknown => MetricType::Unknown,
    }
}
