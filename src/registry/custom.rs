//! Metrics and sources of families that users register.

use super::family::Kind;
use super::names::{Claim, Owner};
use super::{IncludedFamily, NamedFamily, parse};
use crate::Error;
use crate::clock::WallTime;
use crate::escaping::{is_metric_name, label_in_text};
use crate::labels::Labels;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text;
use prometheus_client::registry::{Metric, Registry};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A family that users registered, with all its members.
///
/// Each member has a prometheus-client registry of its own, which adds the member's labels. HELP, TYPE and UNIT
/// are written once for all members.
#[derive(Clone, Debug)]
pub(crate) struct CustomFamily {
    pub(crate) kind: Kind,
    pub(crate) unit: Option<String>,
    pub(crate) help: String,
    members: BTreeMap<Labels, Member>,
}

/// The metric of a family that was registered with one label set.
#[derive(Clone, Debug)]
pub(super) struct Member {
    registry: Arc<Registry>,
    /// When it was registered.
    created: WallTime,
    /// The series that it had when it was registered.
    claim: Arc<Claim>,
}

/// What a member's encoder writes.
#[derive(Debug)]
pub(crate) struct MemberText {
    text: String,
    created: WallTime,
}

/// A source of included families: a collector, another registry, or a closure. It encodes them as text.
#[derive(Clone)]
pub(crate) struct FamilySource {
    /// The name of its type, for errors.
    name: &'static str,
    encode: Arc<Encode>,
    /// When its metrics began to count, if that is known.
    created: Option<WallTime>,
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
    /// Returns a family with one member. Use [`claiming`](Self::claiming) to add the member's series.
    pub(super) fn new(
        kind: Kind,
        unit: Option<&str>,
        help: String,
        name: &str,
        labels: &Labels,
        created: WallTime,
        metric: impl Metric,
    ) -> Self {
        let mut registry = labelled(labels);
        registry.register(encoded_as(name), "", metric);
        let member = Member {
            registry: Arc::new(registry),
            created,
            claim: Arc::new(Claim::new(name.to_owned(), kind, Owner::Included)),
        };
        Self {
            kind,
            unit: unit.map(str::to_owned),
            help,
            members: BTreeMap::from([(labels.clone(), member)]),
        }
    }

    /// Sets the claim of its only member.
    pub(super) fn claiming(mut self, claim: Claim) -> Self {
        let claim = Arc::new(claim);
        for member in self.members.values_mut() {
            member.claim = claim.clone();
        }
        self
    }

    pub(super) fn claims(&self) -> impl Iterator<Item = &Claim> {
        self.members.values().map(Member::claim)
    }

    /// Checks that the members of `other` may join this family.
    ///
    /// # Errors
    ///
    /// Returns an error if the families disagree, or if both have a member with the same labels.
    pub(super) fn check_joining(&self, name: &str, other: &Self) -> Result<(), Error> {
        self.check_agrees(name, other)?;
        match other.members.keys().find(|labels| self.has(labels)) {
            None => Ok(()),
            Some(labels) => Err(Error::new(format!(
                "metric `{name}` is already registered with the labels {labels}: keep the handle of the first one and use it"
            ))),
        }
    }

    /// Adds the members of `other`, after [`check_joining`](Self::check_joining).
    pub(super) fn join(&mut self, other: &Self) {
        let members = other.members.iter();
        let members = members.map(|(labels, member)| (labels.clone(), member.clone()));
        self.members.extend(members);
    }

    pub(super) fn remove(&mut self, labels: &Labels) -> Option<Member> {
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

    /// Checks that both families have the same type, unit and help.
    fn check_agrees(&self, name: &str, other: &Self) -> Result<(), Error> {
        let Self {
            kind,
            unit,
            help,
            members: _,
        } = other;
        let disagreement = if self.kind != *kind {
            format!("as a {}, not a {}", self.kind.as_str(), kind.as_str())
        } else if self.unit != *unit {
            format!("with the unit {:?}, not {unit:?}", self.unit)
        } else if self.help != *help {
            format!("with the help {:?}, not {help:?}", self.help)
        } else {
            return Ok(());
        };
        Err(Error::new(format!(
            "metric `{name}` is already registered {disagreement}: members of a family must agree"
        )))
    }

    /// Returns the text that prometheus-client writes for each member, metadata included.
    ///
    /// # Errors
    ///
    /// Returns an error if a member can't be encoded.
    pub(crate) fn encode(&self) -> Result<Vec<MemberText>, fmt::Error> {
        let members = self.members.values();
        members.map(Member::encode).collect()
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
        let mut family = IncludedFamily::new(self.kind);
        family.unit.clone_from(&self.unit);
        family.help.clone_from(&self.help);
        for MemberText { text, created } in texts {
            family.add_samples(text, *created)?;
        }
        let encoded_as = encoded_as(name);
        if encoded_as != name {
            for sample in &mut family.samples {
                let suffix = sample.name.strip_prefix(encoded_as).unwrap_or_default();
                sample.name = format!("{name}{suffix}").into();
            }
        }
        Ok(family)
    }
}

// === impl Member ===

impl Member {
    fn encode(&self) -> Result<MemberText, fmt::Error> {
        let mut text = String::new();
        text::encode_registry(&mut text, &self.registry)?;
        Ok(MemberText {
            text,
            created: self.created,
        })
    }

    pub(super) fn claim(&self) -> &Claim {
        &self.claim
    }
}

// === impl FamilySource ===

impl FamilySource {
    /// Returns a source without claims. `name` is the name of a type.
    pub(crate) fn new(
        name: &'static str,
        encode: impl Fn(&mut String) -> fmt::Result + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
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

    pub(crate) fn collector<C: Collector>(labels: &Labels, collector: C) -> Self {
        let mut registry = labelled(labels);
        registry.register_collector(Box::new(collector));
        let encode = move |out: &mut String| text::encode_registry(out, &registry);
        Self::new(std::any::type_name::<C>(), encode)
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// # Errors
    ///
    /// Returns an error if the source can't be encoded.
    pub(crate) fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        (self.encode)(&mut text)?;
        Ok(text)
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

fn labelled(labels: &Labels) -> Registry {
    Registry::with_labels(labels.iter().map(|(name, value)| {
        let name = label_in_text(name);
        (name.into_owned().into(), value.to_owned().into())
    }))
}
