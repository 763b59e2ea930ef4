//! Metrics and sources of families that users register.

use super::family::Kind;
use super::names::Claim;
use super::{IncludedFamily, NamedFamily, Sample, parse};
use crate::Error;
use crate::clock::WallTime;
use crate::escaping::{is_metric_name, label_in_text};
use crate::labels::Labels;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text;
use prometheus_client::registry::{Metric, Registry};
use std::any::type_name;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A family that users registered, with all its members.
///
/// HELP, TYPE and UNIT are written once for all members.
#[derive(Clone, Debug)]
pub(crate) struct CustomFamily {
    pub(crate) kind: Kind,
    pub(crate) unit: Option<String>,
    pub(crate) help: String,
    /// The metrics of the family, each registered with another label set. They add their labels.
    members: BTreeMap<Labels, FamilySource>,
}

/// What a member's encoder writes.
#[derive(Debug)]
pub(crate) struct MemberText {
    pub(super) text: String,
    pub(super) created: Option<WallTime>,
}

/// A source of families that users wrote: a metric, a collector, another registry, or a closure. It encodes them as text.
#[derive(Clone)]
pub(crate) struct FamilySource {
    /// What it is, for errors.
    pub(super) name: Arc<str>,
    pub(super) encode: Arc<Encode>,
    /// When its metrics began to count, if that is known.
    pub(super) created: Option<WallTime>,
    /// The families that it is known to show, by name.
    claims: Arc<BTreeMap<String, Arc<Claim>>>,
}

/// Families that a source began to show after it was registered.
#[derive(Debug)]
pub(crate) struct LateClaims {
    pub(super) source: FamilySource,
    pub(super) claims: Vec<Arc<Claim>>,
}

type Encode = dyn Fn(&mut String) -> fmt::Result + Send + Sync;

impl CustomFamily {
    /// Returns a family with one member.
    pub(super) fn new(
        kind: Kind,
        unit: Option<&str>,
        help: String,
        labels: &Labels,
        member: FamilySource,
    ) -> Self {
        Self {
            kind,
            unit: unit.map(str::to_owned),
            help,
            members: BTreeMap::from([(labels.clone(), member)]),
        }
    }

    /// Sets what its only member shows now.
    pub(super) fn claiming(mut self, claim: Claim) -> Self {
        let claim = Arc::new(claim);
        for member in self.members.values_mut() {
            member.claim(claim.clone());
        }
        self
    }

    pub(super) fn members(&self) -> impl Iterator<Item = &FamilySource> {
        self.members.values()
    }

    /// Checks that the members of `other` may join this family.
    ///
    /// # Errors
    ///
    /// Returns an error if the families disagree, or if both have a member with the same labels.
    pub(super) fn check_joining(&self, name: &str, other: &Self) -> Result<(), Error> {
        let Self {
            kind,
            unit,
            help,
            members,
        } = other;
        let disagreement = if self.kind != *kind {
            format!("as a {}, not a {}", self.kind.as_str(), kind.as_str())
        } else if self.unit != *unit {
            format!("with the unit {:?}, not {unit:?}", self.unit)
        } else if self.help != *help {
            format!("with the help {:?}, not {help:?}", self.help)
        } else if let Some(labels) = members.keys().find(|labels| self.has(labels)) {
            return Err(Error::new(format!(
                "metric `{name}` is already registered with the labels {labels}: keep the handle of the first one and use it"
            )));
        } else {
            return Ok(());
        };
        Err(Error::new(format!(
            "metric `{name}` is already registered {disagreement}: members of a family must agree"
        )))
    }

    /// Adds the members of `other`, after [`check_joining`](Self::check_joining).
    pub(super) fn join(&mut self, other: &Self) {
        let members = other.members.iter();
        let members = members.map(|(labels, member)| (labels.clone(), member.clone()));
        self.members.extend(members);
    }

    pub(super) fn remove(&mut self, labels: &Labels) -> Option<FamilySource> {
        self.members.remove(labels)
    }

    /// Returns whether the family `name` was registered as `given`: its name, or its name without the unit.
    pub(super) fn is_registered_as(&self, name: &str, given: &str) -> bool {
        let without_unit = || {
            let stem = name.strip_suffix(self.unit.as_deref()?)?;
            stem.strip_suffix('_')
        };
        name == given || without_unit() == Some(given)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn has(&self, labels: &Labels) -> bool {
        self.members.contains_key(labels)
    }

    /// Returns the family with its own metadata and the samples in these texts.
    ///
    /// # Errors
    ///
    /// Returns an error that names the line that is not a sample.
    pub(crate) fn read<'a>(
        &self,
        name: &str,
        texts: &'a [MemberText],
    ) -> Result<IncludedFamily<'a>, Error> {
        let encoded_as = encoded_as(name);
        let mut samples = Vec::new();
        for MemberText { text, created } in texts {
            for line in text.lines().filter(|line| !line.starts_with('#')) {
                let mut sample = Sample::parse_line(line)?;
                sample.created = *created;
                if encoded_as != name {
                    let suffix = sample.name.strip_prefix(encoded_as).unwrap_or_default();
                    sample.name = format!("{name}{suffix}").into();
                }
                sample.set_family(name, self.kind);
                samples.push(sample);
            }
        }
        Ok(IncludedFamily {
            kind: self.kind,
            unit: self.unit.clone(),
            help: self.help.clone(),
            samples,
        })
    }
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
            created: None,
            claims: Arc::default(),
        }
    }

    /// Sets when its metrics began to count. By default that is unknown.
    pub(crate) fn created(mut self, created: WallTime) -> Self {
        self.created = Some(created);
        self
    }

    /// Adds the families that it shows now.
    pub(super) fn claiming(mut self, claims: Vec<Claim>) -> Self {
        for claim in claims {
            self.claim(Arc::new(claim));
        }
        self
    }

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

    /// Returns those of these families that it was not known to show.
    pub(crate) fn late_claims(&self, families: &[NamedFamily<'_>]) -> Option<LateClaims> {
        let late = families.iter().filter(|(name, _)| !self.has(name));
        let claims = late.map(|(name, family)| Arc::new(Claim::included(name, family)));
        let claims: Vec<_> = claims.collect();
        (!claims.is_empty()).then(|| LateClaims {
            source: self.clone(),
            claims,
        })
    }

    /// Returns whether both are the same source.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.encode, &other.encode)
    }

    pub(super) fn metric(name: &str, labels: &Labels, metric: impl Metric) -> Self {
        let mut registry = labelled(labels);
        registry.register(encoded_as(name), "", metric);
        Self::named(format!("metric `{name}`"), encoder(registry))
    }

    pub(crate) fn collector<C: Collector>(labels: &Labels, collector: C) -> Self {
        let mut registry = labelled(labels);
        registry.register_collector(Box::new(collector));
        Self::new::<C>(encoder(registry))
    }

    /// Returns the families in a text that it has encoded.
    ///
    /// # Errors
    ///
    /// Returns an error that names what can't be read.
    pub(crate) fn read<'a>(&self, text: &'a str) -> Result<Vec<NamedFamily<'a>>, Error> {
        let mut families = parse(text)?;
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

/// Returns the name that prometheus-client writes for a family. It doesn't put names in quotes.
fn encoded_as(name: &str) -> &str {
    if is_metric_name(name) { name } else { "metric" }
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
