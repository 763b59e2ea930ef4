use crate::registry::{Kind, MetricsRegistry, parse, unescape};
use std::collections::BTreeMap;
use std::fmt;

/// The numbers of a registry at one moment, or what has changed since another. See the [module](super).
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(super) samples: BTreeMap<Series, Sample>,
    /// The native buckets of histograms, by the names of their families: upper bounds and counts.
    pub(super) native: BTreeMap<Series, Vec<(f64, f64)>>,
}

/// The name and the labels of a sample.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) value: f64,
    pub(super) family: String,
    /// Whether it counts something, so that only its growth says what happened.
    pub(super) counts: bool,
}

// === impl Snapshot ===

impl Snapshot {
    /// Returns the numbers of `registry`.
    ///
    /// # Panics
    ///
    /// Panics if the registry can't be shown: see the errors of [`MetricsRegistry::encode`].
    #[track_caller]
    pub fn of(registry: &MetricsRegistry) -> Self {
        let mut native = BTreeMap::new();
        let page = registry.encode_with_native(|family, labels, buckets| {
            let buckets = buckets.into_iter();
            let buckets = buckets.map(|(bound, count)| (bound, count as f64));
            native.insert(Series::new(family, labels), buckets.collect());
        });
        let page = match page {
            Ok(page) => page,
            Err(error) => panic!("the registry has no page: {error}"),
        };
        let families = match parse(&page) {
            Ok(families) => families,
            Err(error) => panic!("the registry's page can't be read: {error}"),
        };
        let mut samples = BTreeMap::new();
        for (family, read) in families {
            for sample in read.samples {
                let labels = sample.labels.into_iter();
                let series = Series::new(
                    &*sample.name,
                    labels.map(|(name, value)| (name, unescape(value))),
                );
                let sample = Sample {
                    value: sample.number,
                    family: family.clone().into_owned(),
                    counts: counts(read.kind, &series),
                };
                samples.insert(series, sample);
            }
        }
        Self { samples, native }
    }

    /// Returns what has changed between `before` and `self`: counters and histograms by how much they have grown, all
    /// other numbers as they are now. What is new has grown from 0.
    pub fn since(&self, before: &Self) -> Self {
        let mut growth = self.clone();
        for (series, sample) in &mut growth.samples {
            if let Some(before) = before.samples.get(series)
                && sample.counts
            {
                sample.value -= before.value;
            }
        }
        for (series, buckets) in &mut growth.native {
            for (bound, count) in before.native.get(series).into_iter().flatten() {
                if let Some((_, grown)) = buckets.iter_mut().find(|(other, _)| other == bound) {
                    *grown -= count;
                }
            }
        }
        growth
    }
}

impl MetricsRegistry {
    /// Returns what has changed since `before`. Short for `Snapshot::of(&registry).since(&before)`.
    ///
    /// # Panics
    ///
    /// See [`Snapshot::of`].
    #[track_caller]
    pub fn since(&self, before: &Snapshot) -> Snapshot {
        Snapshot::of(self).since(before)
    }
}

fn counts(kind: Kind, series: &Series) -> bool {
    let counts = match kind {
        Kind::Counter | Kind::PlainCounter | Kind::Histogram => true,
        Kind::Summary => !series.labels.contains_key("quantile"),
        _ => false,
    };
    counts && !series.name.ends_with("_created")
}

// === impl Sample ===

impl Sample {
    /// Whether it says that something has been counted.
    pub(super) fn has_counted(&self) -> bool {
        self.counts && self.value != 0.0
    }
}

// === impl Series ===

impl Series {
    pub(super) fn new<K: Into<String>, V: Into<String>>(
        name: impl Into<String>,
        labels: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let labels = labels.into_iter();
        Self {
            name: name.into(),
            labels: labels
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        }
    }

    /// Returns the metric that this is a sample of: without the labels that tell a part of a histogram or summary from the
    /// others.
    pub(super) fn metric(&self, family: &str) -> Self {
        let mut metric = Self::new(family, self.labels.clone());
        metric
            .labels
            .retain(|name, _| !matches!(&**name, "le" | "quantile"));
        metric
    }

    /// Writes the series as on a page, with `..` if there may be other labels.
    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>, and_others: bool) -> fmt::Result {
        let labels = self
            .labels
            .iter()
            .map(|(name, value)| format!("{name}={value:?}"));
        let labels: Vec<_> = labels.chain(and_others.then(|| "..".to_owned())).collect();
        f.write_str(&self.name)?;
        match labels.is_empty() {
            true => Ok(()),
            false => write!(f, "{{{}}}", labels.join(",")),
        }
    }
}

/// As on a page.
impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, false)
    }
}
