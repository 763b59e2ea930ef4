//! Sources of included families.

use super::family::{self, Kind};
use super::names::{Claim, Owner};
use super::{IncludedFamily, NamedFamily, Sample, parse};
use crate::Error;
use crate::clock::WallTime;
use crate::escaping::{is_metric_name, label_in_text};
use crate::labels::Labels;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text;
use prometheus_client::registry::{Metric, Registry};
use std::any::type_name;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

/// What encodes included families as text: a metric, a collector, another registry, or a closure.
#[derive(Clone)]
pub(crate) struct FamilySource {
    /// What it is, for errors.
    name: Arc<str>,
    encode: Arc<Encode>,
    pub(super) owner: Owner,
    /// When its metrics began to count, if that is known.
    created: Option<WallTime>,
    /// The family of a metric. What other sources show is only known once they have encoded it.
    pub(super) metric: Option<Arc<MetricFamily>>,
    /// The families that it is known to show, by name.
    claims: Arc<BTreeMap<String, Arc<Claim>>>,
}

/// The family that a metric is registered in. Metrics with other labels may join it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MetricFamily {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) unit: Option<String>,
    pub(super) help: String,
}

type Encode = dyn Fn(&mut String) -> fmt::Result + Send + Sync;

/// How many encoders may run inside each other. An encoder that registers a metric runs that metric's encoder.
const MAX_NESTED: usize = 16;

thread_local! {
    /// How many encoders run on this thread.
    static NESTED: Cell<usize> = const { Cell::new(0) };
}

// === impl FamilySource ===

impl FamilySource {
    /// Returns a source that `encode` writes. Errors name it by the type `T`.
    pub(crate) fn new<T>(
        encode: impl Fn(&mut String) -> fmt::Result + Send + Sync + 'static,
    ) -> Self {
        Self::named(format!("the collector `{}`", type_name::<T>()), encode)
    }

    /// Returns a source without claims.
    fn named(
        name: String,
        encode: impl Fn(&mut String) -> fmt::Result + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            encode: Arc::new(encode),
            owner: Owner::Included,
            created: None,
            metric: None,
            claims: Arc::default(),
        }
    }

    /// Returns a source that adds `labels` to all that the collector encodes.
    pub(crate) fn collector<C: Collector>(labels: &Labels, collector: C) -> Self {
        let mut registry = labelled(labels);
        registry.register_collector(Box::new(collector));
        Self::new::<C>(encoder(registry))
    }

    /// Returns a source of one metric, with these labels.
    pub(super) fn metric(family: MetricFamily, labels: &Labels, metric: impl Metric) -> Self {
        let mut registry = labelled(labels);
        registry.register(family.encoded_name(), "", metric);
        Self::of_family(family, encoder(registry))
    }

    /// Returns a source of the samples of one family.
    pub(super) fn of_family(
        family: MetricFamily,
        encode: impl Fn(&mut String) -> fmt::Result + Send + Sync + 'static,
    ) -> Self {
        let name = format!("metric `{}`", family.name);
        Self {
            metric: Some(Arc::new(family)),
            ..Self::named(name, encode)
        }
    }

    /// Sets when its metrics began to count. By default that is unknown.
    pub(crate) fn created(mut self, created: WallTime) -> Self {
        self.created = Some(created);
        self
    }

    /// Adds a family that it shows.
    pub(super) fn claim(&mut self, claim: Arc<Claim>) {
        Arc::make_mut(&mut self.claims).insert(claim.name.clone(), claim);
    }

    pub(super) fn claims(&self) -> impl Iterator<Item = &Claim> {
        self.claims.values().map(|claim| &**claim)
    }

    /// Returns whether it is known to show this family.
    pub(super) fn has(&self, family: &str) -> bool {
        self.claims.contains_key(family)
    }

    /// Returns whether both are the same source.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.encode, &other.encode)
    }

    /// Runs the encoder. Nothing else in the crate calls encoders of users.
    ///
    /// `AssertUnwindSafe` is right because the next scrape reads the encoder's state after a panic, whether it is
    /// caught here or not.
    ///
    /// # Errors
    ///
    /// Returns an error that names the encoder if it fails or panics.
    pub(super) fn encode(&self) -> Result<String, Error> {
        let Self { name, encode, .. } = self;
        let nested = NESTED.get();
        if nested == MAX_NESTED {
            return Err(Error::new(format!(
                "{name} can't be encoded inside {MAX_NESTED} other encoders: one of them registers something with the same encoder each time it is called; register it once"
            )));
        }
        NESTED.set(nested + 1);
        let mut text = String::new();
        let encoded = panic::catch_unwind(AssertUnwindSafe(|| encode(&mut text)));
        NESTED.set(nested);
        match encoded {
            Ok(Ok(())) => Ok(text),
            Ok(Err(error)) => {
                Err(Error::new(format!("{name} can't be encoded")).with_source(error))
            }
            Err(_reported) => Err(Error::new(format!(
                "{name} can't be encoded: its encoder panicked; the panic hook has reported where, by default on standard error"
            ))),
        }
    }

    /// Returns the families in a text that it has encoded.
    ///
    /// # Errors
    ///
    /// Returns an error that names what can't be read.
    pub(super) fn read<'a>(&'a self, text: &'a str) -> Result<Vec<NamedFamily<'a>>, Error> {
        let mut families = match &self.metric {
            Some(family) => vec![(family.name.as_str().into(), family.read(text)?)],
            None => parse(text)?,
        };
        for (_, family) in &mut families {
            for sample in &mut family.samples {
                sample.created = self.created;
            }
        }
        Ok(families)
    }
}

impl fmt::Debug for FamilySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FamilySource")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

// === impl MetricFamily ===

impl MetricFamily {
    /// Returns the family of a metric that is registered as `name`.
    ///
    /// # Errors
    ///
    /// Returns an error if the name or the unit is invalid.
    pub(super) fn new(
        name: &str,
        kind: Kind,
        unit: Option<&str>,
        help: String,
    ) -> Result<Self, Error> {
        Ok(Self {
            name: family::name(name, unit, kind)?,
            kind,
            unit: unit.map(str::to_owned),
            help,
        })
    }

    /// Checks that metrics of the family `other`, which has the same name, may join this one.
    ///
    /// # Errors
    ///
    /// Returns an error if the families differ.
    pub(super) fn check_joining(&self, other: &Self) -> Result<(), Error> {
        if self == other {
            return Ok(());
        }
        let unit = |family: &Self| match &family.unit {
            Some(unit) => format!("with the unit {unit:?}"),
            None => "without a unit".to_owned(),
        };
        let (known, new) = if self.kind != other.kind {
            let kind = |family: &Self| format!("as a {}", family.kind.as_str());
            (kind(self), kind(other))
        } else if self.unit != other.unit {
            (unit(self), unit(other))
        } else {
            let help = |family: &Self| format!("with the help {:?}", family.help);
            (help(self), help(other))
        };
        Err(Error::new(format!(
            "metric `{}` is already registered {known}, not {new}: metrics of one family must agree",
            self.name
        )))
    }

    /// Returns whether the family was registered as `given`: its name, or its name without the unit.
    pub(super) fn is_registered_as(&self, given: &str) -> bool {
        let without_unit = || {
            let stem = self.name.strip_suffix(self.unit.as_deref()?)?;
            stem.strip_suffix('_')
        };
        self.name == given || without_unit() == Some(given)
    }

    /// Returns the name that prometheus-client writes. It doesn't put names in quotes.
    fn encoded_name(&self) -> &str {
        match is_metric_name(&self.name) {
            true => &self.name,
            false => "metric",
        }
    }

    /// Returns the family with its own metadata and the samples in the text.
    ///
    /// # Errors
    ///
    /// Returns an error that names the line that is not a sample.
    fn read<'a>(&'a self, text: &'a str) -> Result<IncludedFamily<'a>, Error> {
        let encoded_name = self.encoded_name();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.map(|line| {
            let mut sample = Sample::parse_line(line)?;
            if encoded_name != self.name {
                let suffix = sample.name.strip_prefix(encoded_name).unwrap_or_default();
                sample.name = format!("{}{suffix}", self.name).into();
            }
            sample.set_family(&self.name, self.kind);
            Ok(sample)
        });
        Ok(IncludedFamily {
            kind: self.kind,
            unit: self.unit.as_deref().map(Into::into),
            help: self.help.as_str().into(),
            samples: samples.collect::<Result<_, Error>>()?,
        })
    }
}

fn encoder(registry: Registry) -> impl Fn(&mut String) -> fmt::Result {
    move |text| text::encode_registry(text, &registry)
}

/// Returns a registry that adds these labels.
fn labelled(labels: &Labels) -> Registry {
    Registry::with_labels(labels.iter().map(|(name, value)| {
        let name = label_in_text(name);
        (name.into_owned().into(), value.to_owned().into())
    }))
}
