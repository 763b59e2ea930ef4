//! Metrics of the user's own.

use super::family::Kind;
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
    members: BTreeMap<Labels, Arc<Registry>>,
}

/// Families that come from elsewhere, as text of prometheus-client's.
#[derive(Clone)]
pub(crate) struct Source {
    /// What it is, for those who have to look for it.
    name: &'static str,
    encode: Arc<Encode>,
}

type Encode = dyn Fn(&mut String) -> fmt::Result + Send + Sync;

impl CustomFamily {
    /// A family of one member.
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
        Self {
            kind,
            unit: unit.map(str::to_owned),
            help,
            members: BTreeMap::from([(labels.clone(), Arc::new(registry))]),
        }
    }

    /// The family with the members of another one of the same name.
    ///
    /// # Errors
    ///
    /// If the two disagree, or have a member with the same labels.
    pub(super) fn joined(&self, name: &str, other: Self) -> Result<Self, Error> {
        self.check_agrees(name, &other)?;
        if let Some(labels) = other.members.keys().find(|labels| self.has(labels)) {
            return Err(Error::new(format!(
                "metric `{name}` is registered already with the labels {labels}: keep the first one's handle and use that"
            )));
        }
        let mut family = self.clone();
        family.members.extend(other.members);
        Ok(family)
    }

    /// The family without the member that has these labels, if others are left.
    pub(super) fn without(&self, labels: &Labels) -> Option<Self> {
        let mut family = self.clone();
        family.members.remove(labels);
        (!family.members.is_empty()).then_some(family)
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
        for registry in self.members.values() {
            text::encode_registry(&mut text, registry)?;
        }
        Ok(text)
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
        }
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
