//! Metrics of the user's own.

use super::ForeignFamily;
use super::family::Kind;
use super::names::{Claim, Origin};
use crate::Error;
use crate::labels::Labels;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text;
use prometheus_client::registry::{Metric, Registry};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A family that users registered, and who is in it.
///
/// Each member has a prometheus-client registry to itself, which gives it its labels; the
/// family's own lines are written once for all of them.
#[derive(Clone, Debug)]
pub(crate) struct CustomFamily {
    pub(crate) kind: Kind,
    pub(crate) unit: Option<String>,
    pub(crate) help: String,
    members: BTreeMap<Labels, Member>,
}

/// What has been registered with one set of labels.
#[derive(Clone, Debug)]
pub(super) struct Member {
    registry: Arc<Registry>,
    /// What it showed when it was registered.
    claim: Arc<Claim>,
}

/// Families that come from elsewhere, as text.
#[derive(Clone)]
pub(crate) struct Source {
    /// What it is, for those who have to look for it.
    name: &'static str,
    encode: Arc<Encode>,
    /// What it shows, as far as that is known, by name.
    claims: Arc<BTreeMap<String, Arc<Claim>>>,
}

/// What a source has come to show since it was registered.
#[derive(Debug)]
pub(crate) struct Late {
    pub(super) source: Source,
    pub(super) claims: Vec<Arc<Claim>>,
}

type Encode = dyn Fn(&mut String) -> fmt::Result + Send + Sync;

impl CustomFamily {
    /// A family of one member, which is to be [claimed](Self::claim).
    pub(super) fn new(
        kind: Kind,
        unit: Option<&str>,
        help: String,
        name: &str,
        labels: &Labels,
        metric: impl Metric,
    ) -> Self {
        let mut registry = labelled(labels);
        registry.register(name, "", metric);
        let member = Member {
            registry: Arc::new(registry),
            claim: Arc::new(Claim::new(name.to_owned(), kind, Origin::Included)),
        };
        Self {
            kind,
            unit: unit.map(str::to_owned),
            help,
            members: BTreeMap::from([(labels.clone(), member)]),
        }
    }

    /// The family with what its one member shows.
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

    /// That the members of the other one may join this one.
    ///
    /// # Errors
    ///
    /// If the two disagree, or have a member with the same labels.
    pub(super) fn check_joining(&self, name: &str, other: &Self) -> Result<(), Error> {
        self.check_agrees(name, other)?;
        match other.members.keys().find(|labels| self.has(labels)) {
            None => Ok(()),
            Some(labels) => Err(Error::new(format!(
                "metric `{name}` is registered already with the labels {labels}: keep the first one's handle and use that"
            ))),
        }
    }

    /// Takes in the members of another one, which have been checked.
    pub(super) fn join(&mut self, other: &Self) {
        let members = other.members.iter();
        let members = members.map(|(labels, member)| (labels.clone(), member.clone()));
        self.members.extend(members);
    }

    pub(super) fn remove(&mut self, labels: &Labels) -> Option<Member> {
        self.members.remove(labels)
    }

    /// Whether `given` is what the family called `name` was registered as: that, or that without its unit.
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

    /// That what is in the other one belongs here.
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
            "metric `{name}` is registered already {disagreement}: members of a family must agree"
        )))
    }

    /// What prometheus-client writes of the members, comments and all.
    ///
    /// # Errors
    ///
    /// If one of them can't be encoded.
    pub(crate) fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        for member in self.members.values() {
            text::encode_registry(&mut text, &member.registry)?;
        }
        Ok(text)
    }
}

// === impl Member ===

impl Member {
    pub(super) fn claim(&self) -> &Claim {
        &self.claim
    }
}

// === impl Source ===

impl Source {
    /// The name is that of a type.
    pub(crate) fn new(
        name: &'static str,
        encode: impl Fn(&mut String) -> fmt::Result + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            encode: Arc::new(encode),
            claims: Arc::default(),
        }
    }

    /// The source with what it shows.
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

    /// Whether it is known to show this family.
    pub(super) fn has(&self, family: &str) -> bool {
        self.claims.contains_key(family)
    }

    /// Which of these families it was not known to show.
    pub(crate) fn late(&self, families: &[(&str, ForeignFamily<'_>)]) -> Option<Late> {
        let late = families.iter().filter(|(name, _)| !self.has(name));
        let claims = late.map(|(name, family)| Arc::new(Claim::included(name, family)));
        let claims: Vec<_> = claims.collect();
        (!claims.is_empty()).then(|| Late {
            source: self.clone(),
            claims,
        })
    }

    /// Whether the two are the same.
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
    /// If it fails to encode.
    pub(crate) fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        (self.encode)(&mut text)?;
        Ok(text)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

fn labelled(labels: &Labels) -> Registry {
    Registry::with_labels(
        labels
            .iter()
            .map(|(name, value)| (name.to_owned().into(), value.to_owned().into())),
    )
}
