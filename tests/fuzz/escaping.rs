//! Names, help, labels, units, values and bounds of users. Both page formats give them back, or they are refused.

use crate::pages::{Expected, Shown, check};
use arbitrary::{Arbitrary, Unstructured};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::{CounterWithExemplar, HistogramWithExemplars};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric as ClientMetric, Registry, Unit};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tower_openmetrics::{Clock, Error, MetricsLayer, MetricsRegistry};

type Labels = Vec<(String, String)>;

#[derive(Arbitrary, Debug)]
struct Input {
    prefix: Name,
    labels: Vec<(Name, Word)>,
    metrics: Vec<Metric>,
}

/// Something to register, and where.
#[derive(Arbitrary, Debug)]
struct Metric {
    through: Through,
    name: Name,
    help: Word,
    unit: Option<Name>,
    value: Value,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Through {
    Registry,
    Layer,
    /// A prometheus-client registry.
    Theirs,
}

#[derive(Arbitrary, Debug)]
enum Value {
    Counter(u64),
    Sum(f64),
    Gauge(f64),
    Info(Vec<(Name, Word)>),
    Histogram(Vec<f64>, Vec<f64>),
    Counters(Vec<Vec<(Name, Word)>>),
    Histograms(Vec<(Name, Word)>, Vec<f64>),
    Exemplar(Vec<(Name, Word)>, u64),
    Exemplars(Vec<(Name, Word)>, Vec<f64>, f64),
}

/// A text, often one with a special meaning.
#[derive(Clone, Debug)]
struct Word(String);

/// A text that is often a name.
#[derive(Clone, Debug)]
struct Name(String);

const NAMES: &[&str] = &[
    "a",
    "b",
    "c",
    "a_b",
    "a.c",
    "\u{e9} {\"",
    "seconds",
    "a_seconds",
];

const WORDS: &[&str] = &[
    "a",
    "b",
    "le",
    "quantile",
    "error_type",
    "__name__",
    "a_total",
    "a_bucket",
    "a_count",
    "a_sum",
    "a_info",
    "a_created",
    "_total",
    "seconds",
    "a_seconds",
    "requests",
    "uptime_seconds",
    "a:b",
    "a.b",
    "_dot_",
    "U__a_2e_b",
    "9",
    "",
    "\n",
    "\"",
    "\\",
    "\\n",
    "\n# TYPE a counter\na_total 1",
    "\u{0}",
    "\r\n",
    "\u{e9}",
    "} 1\n",
    "=\"",
    "# EOF",
    " ",
    "+Inf",
];

pub fn run(input: &[u8]) {
    let mut input = Unstructured::new(input);
    let Ok(input) = Input::arbitrary(&mut input) else {
        return;
    };
    let registry = MetricsRegistry::with_clock(Clock::manual());
    let labels = pairs(input.labels);
    let layer = MetricsLayer::builder()
        .registry(&registry)
        .prefix(&*input.prefix.0)
        .build(labels.clone());
    let mut expected = Vec::new();
    if layer.is_ok() {
        // The crate ends every prefix in exactly one underscore.
        let prefix = input.prefix.0.trim_end_matches('_');
        let underscore = if prefix.is_empty() { "" } else { "_" };
        expected.push(Expected {
            family: format!("{prefix}{underscore}requests"),
            help: "Calls that have ended, however they ended".to_owned(),
            labels: labels.clone(),
        });
    }
    let layer = layer.ok();
    let mut later = Vec::new();
    for metric in input.metrics {
        let labels = match (metric.through, &layer) {
            (Through::Layer, Some(_)) => labels.clone(),
            _ => Labels::new(),
        };
        let Ok(registered) = register(&registry, layer.as_ref(), metric) else {
            continue;
        };
        if let Some((family, help)) = registered.shown {
            let mut labels = labels;
            labels.extend(registered.labels);
            expected.push(Expected {
                family,
                help,
                labels,
            });
        }
        later.extend(registered.later);
    }
    // Everything that was registered is shown unchanged.
    assert_eq!(check(&registry, &expected), Shown::Whole);
    if !later.is_empty() {
        later.into_iter().for_each(|change| change());
        check(&registry, &[]);
    }
}

/// The result of a registration.
struct Registered {
    /// The name and the help, if both are known.
    shown: Option<(String, String)>,
    /// The labels of one sample, without the layer's.
    labels: Labels,
    /// Changes the metric after it is registered.
    later: Option<Later>,
}

type Later = Box<dyn FnOnce()>;

/// Where something is registered, and its name, help and labels.
struct Place<'a> {
    registry: &'a MetricsRegistry,
    layer: Option<&'a MetricsLayer>,
    is_theirs: bool,
    name: String,
    help: String,
    unit: Option<Unit>,
}

fn register(
    registry: &MetricsRegistry,
    layer: Option<&MetricsLayer>,
    metric: Metric,
) -> Result<Registered, Error> {
    let Metric {
        through,
        name: Name(name),
        help: Word(help),
        unit,
        value,
    } = metric;
    let at = Place {
        registry,
        layer: layer.filter(|_| matches!(through, Through::Layer)),
        is_theirs: matches!(through, Through::Theirs),
        name,
        help,
        unit: unit.map(|Name(unit)| Unit::Other(unit)),
    };
    let none = Labels::new();
    match value {
        Value::Counter(value) => {
            let counter = Counter::<u64>::default();
            counter.inc_by(value);
            at.register(counter, none, None)
        }
        Value::Sum(value) => {
            let counter = Counter::<f64, AtomicU64>::default();
            let later = counter.clone();
            at.register(
                counter,
                none,
                Some(Box::new(move || {
                    later.inc_by(value);
                })),
            )
        }
        Value::Gauge(value) => {
            let gauge = Gauge::<f64, AtomicU64>::default();
            gauge.set(value);
            at.register(gauge, none, None)
        }
        Value::Info(labels) => at.register_info(pairs(labels)),
        Value::Histogram(bounds, observed) => {
            let histogram = Histogram::new(bounds);
            let later = histogram.clone();
            let observe = move || observed.into_iter().for_each(|value| later.observe(value));
            at.register(histogram, none, Some(Box::new(observe)))
        }
        Value::Counters(children) => {
            let family = Family::<Labels, Counter>::default();
            let later = family.clone();
            let create = move || {
                for labels in children {
                    later.get_or_create(&pairs(labels)).inc();
                }
            };
            at.register_empty(family, Box::new(create))
        }
        Value::Histograms(labels, bounds) => {
            let make = move || Histogram::new(bounds.clone());
            let family = Family::<Labels, Histogram, _>::new_with_constructor(make);
            let labels = pairs(labels);
            family.get_or_create(&labels).observe(1.0);
            at.register(family, labels, None)
        }
        Value::Exemplar(labels, value) => {
            let counter = CounterWithExemplar::<Labels>::default();
            counter.inc_by(value, Some(pairs(labels)), None);
            at.register(counter, none, None)
        }
        Value::Exemplars(labels, bounds, value) => {
            let histogram = HistogramWithExemplars::<Labels>::new(bounds.into_iter());
            histogram.observe(value, Some(pairs(labels)), None);
            at.register(histogram, none, None)
        }
    }
}

fn pairs(labels: Vec<(Name, Word)>) -> Labels {
    let pairs = labels.into_iter();
    pairs
        .map(|(Name(name), Word(value))| (name, value))
        .collect()
}

// === impl Place ===

impl Place<'_> {
    fn register<M>(
        self,
        metric: M,
        labels: Labels,
        later: Option<Later>,
    ) -> Result<Registered, Error>
    where
        M: ClientMetric + Clone,
    {
        let Self {
            registry,
            layer,
            is_theirs,
            name,
            help,
            unit,
        } = self;
        if is_theirs {
            let mut theirs = Registry::default();
            match unit {
                None => theirs.register(name, help, metric),
                Some(unit) => theirs.register_with_unit(name, help, unit, metric),
            }
            return include(registry, theirs, later);
        }
        let shown = Some((full_name(&name, unit.as_ref()), help.clone()));
        match (layer, unit) {
            (Some(layer), None) => layer.register(name, help, metric)?,
            (Some(layer), Some(unit)) => layer.register_with_unit(name, help, unit, metric)?,
            (None, None) => registry.register(name, help, metric)?,
            (None, Some(unit)) => registry.register_with_unit(name, help, unit, metric)?,
        };
        Ok(Registered {
            shown,
            labels,
            later,
        })
    }

    /// Registers a metric that has no samples yet.
    fn register_empty<M>(self, metric: M, later: Later) -> Result<Registered, Error>
    where
        M: ClientMetric + Clone,
    {
        let registered = self.register(metric, Labels::new(), Some(later))?;
        Ok(Registered {
            shown: None,
            ..registered
        })
    }

    fn register_info(self, labels: Labels) -> Result<Registered, Error> {
        let Self {
            registry,
            layer,
            is_theirs,
            name,
            help,
            unit: _,
        } = self;
        let info = Info::new(labels.clone());
        if is_theirs {
            let mut theirs = Registry::default();
            theirs.register(name, help, info);
            return include(registry, theirs, None);
        }
        let shown = Some((name.clone(), help.clone()));
        match layer {
            Some(layer) => layer.register_info(name, help, info)?,
            None => registry.register_info(name, help, info)?,
        }
        Ok(Registered {
            shown,
            labels,
            later: None,
        })
    }
}

fn include(
    registry: &MetricsRegistry,
    theirs: Registry,
    later: Option<Later>,
) -> Result<Registered, Error> {
    registry.include(Arc::new(theirs))?;
    Ok(Registered {
        shown: None,
        labels: Labels::new(),
        later,
    })
}

fn full_name(name: &str, unit: Option<&Unit>) -> String {
    match unit {
        Some(unit) if !name.ends_with(&format!("_{}", unit.as_str())) => {
            format!("{name}_{}", unit.as_str())
        }
        _ => name.to_owned(),
    }
}

// === impl Word ===

impl<'a> Arbitrary<'a> for Word {
    fn arbitrary(input: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let mut word = String::new();
        for _ in 0..input.int_in_range(1..=3)? {
            match input.ratio(7, 8)? {
                true => word.push_str(input.choose(WORDS)?),
                false => word.push_str(input.arbitrary()?),
            }
        }
        Ok(Self(word))
    }
}

// === impl Name ===

impl<'a> Arbitrary<'a> for Name {
    fn arbitrary(input: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(Self(match input.ratio(3, 4)? {
            true => (*input.choose(NAMES)?).to_owned(),
            false => Word::arbitrary(input)?.0,
        }))
    }
}
