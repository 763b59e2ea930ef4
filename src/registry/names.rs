//! Names that appear on the page, and the series of included families.

use super::automatic::Metric;
use super::family::check_same_type;
use super::{IncludedFamily, Kind};
use crate::Error;
use crate::escaping::Escaping;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The claims of all registered families. They decide whether another family may be added.
///
/// A claim holds what a family showed when it was registered, so that registering one metric calls no other metric's
/// encoder. An encoder that registers a metric, or that holds a lock, could wait for itself.
#[derive(Debug, Default)]
pub(super) struct Names {
    families: HashMap<String, ClaimedFamily>,
    /// The names of all families and samples, each with the family that shows it.
    shown: HashMap<String, Arc<str>>,
}

/// A family on the page.
#[derive(Debug)]
struct ClaimedFamily {
    owner: Owner,
    kind: Kind,
    unit: Option<String>,
    /// The number of claims to it.
    claims: usize,
    series: HashSet<Arc<str>>,
}

/// What provides a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The registry itself, with its uptime.
    Registry,
    /// Layers, with an automatic metric.
    Automatic(Metric),
    /// Users, as an included family. Any number of them may add series to it.
    Included,
}

/// The family and the series that something shows on the page.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) owner: Owner,
    unit: Option<String>,
    /// The labels of each series as text, without empty labels. Empty for automatic families.
    series: Vec<Arc<str>>,
}

// === impl Claim ===

impl Claim {
    /// Returns a claim to a family without saying which series it has.
    pub(super) fn new(name: &str, kind: Kind, unit: Option<&str>, owner: Owner) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            owner,
            unit: unit.map(str::to_owned),
            series: Vec::new(),
        }
    }

    /// Returns a claim to an included family and its series.
    pub(super) fn included(name: &str, family: &IncludedFamily<'_>) -> Self {
        let mut series: Vec<Arc<str>> = Vec::new();
        for sample in &family.samples {
            let mut text = String::new();
            for (label, value) in sample.series() {
                if !value.is_empty() {
                    text.extend([&*Escaping::Underscores.label(label), "=\"", value, "\","]);
                }
            }
            // The samples of one metric are adjacent once they are sorted. A series may be listed again if they aren't.
            if series.last().is_none_or(|last| **last != *text) {
                series.push(text.into());
            }
        }
        Self {
            series,
            ..Self::new(name, family.kind, family.unit.as_deref(), Owner::Included)
        }
    }

    /// Checks that `other`, a claim to the same name, may add series to this family.
    ///
    /// # Errors
    ///
    /// Returns an error that names the clash.
    pub(super) fn check_join(&self, other: &Self) -> Result<(), Error> {
        if self.owner != other.owner {
            return Err(clashing(other, &self.name, &self.name, self.owner));
        }
        let known = (self.kind, self.unit.as_deref());
        check_same_type(&self.name, known, (other.kind, other.unit.as_deref()))
    }
}

// === impl Names ===

impl Names {
    /// Checks that the claim fits in with the others.
    ///
    /// # Errors
    ///
    /// Returns an error that names the clash.
    pub(super) fn check(&self, claim: &Claim) -> Result<(), Error> {
        let Claim { name, kind, .. } = claim;
        if let Some(known) = self.families.get(name)
            && known.owner == claim.owner
        {
            return known.check(claim);
        }
        let clash = kind.names(name).find_map(|shown| {
            let family = self.shown.get(&*shown)?;
            let known = self.families.get(&**family)?;
            Some(clashing(claim, &shown, family, known.owner))
        });
        clash.map_or(Ok(()), Err)
    }

    /// Adds all claims of something, or none.
    ///
    /// # Errors
    ///
    /// Returns an error that names the clash.
    pub(super) fn add_all<'a>(
        &mut self,
        claims: impl Iterator<Item = &'a Claim>,
    ) -> Result<(), Error> {
        let claims: Vec<_> = claims.collect();
        claims.iter().try_for_each(|claim| self.check(claim))?;
        claims.iter().for_each(|claim| self.add(claim));
        Ok(())
    }

    /// Adds a claim that has been checked.
    pub(super) fn add(&mut self, claim: &Claim) {
        let Claim { name, kind, .. } = claim;
        if !self.families.contains_key(name) {
            let family: Arc<str> = name.as_str().into();
            let names = kind.names(name).map(|shown| (shown, family.clone()));
            self.shown.extend(names);
        }
        let known = self
            .families
            .entry(name.clone())
            .or_insert_with(|| ClaimedFamily {
                owner: claim.owner,
                kind: *kind,
                unit: claim.unit.clone(),
                claims: 0,
                series: HashSet::new(),
            });
        known.claims += 1;
        known.series.extend(claim.series.iter().cloned());
    }

    /// Removes a claim that has been added.
    pub(super) fn remove(&mut self, claim: &Claim) {
        let Some(known) = self.families.get_mut(&claim.name) else {
            return;
        };
        for series in &claim.series {
            known.series.remove(series);
        }
        known.claims -= 1;
        if known.claims == 0 {
            self.families.remove(&claim.name);
            for shown in claim.kind.names(&claim.name) {
                self.shown.remove(&shown);
            }
        }
    }
}

// === impl ClaimedFamily ===

impl ClaimedFamily {
    /// Checks that the claim fits in with the others to the same family.
    fn check(&self, claim: &Claim) -> Result<(), Error> {
        let Claim { name, kind, .. } = claim;
        let known = (self.kind, self.unit.as_deref());
        check_same_type(name, known, (*kind, claim.unit.as_deref()))?;
        let mut series = claim.series.iter();
        match series.find(|series| self.series.contains(*series)) {
            None => Ok(()),
            Some(series) => {
                let sample = kind.names(name).next().unwrap_or_default();
                Err(Error::new(format!(
                    "a series of `{sample}` appears twice, with the labels {{{}}}: two metrics have the same name and labels; leave one out, give it another label, or give its registry a prefix",
                    series.trim_end_matches(',')
                )))
            }
        }
    }
}

/// Returns the error for two families that would show the same name.
fn clashing(claim: &Claim, shown: &str, family: &str, owner: Owner) -> Error {
    let what = |owner, name: &str| match owner {
        Owner::Automatic(_) => format!("automatic metric `{name}`"),
        Owner::Registry => format!("the registry's own `{name}`"),
        Owner::Included => format!("metric `{name}`"),
    };
    let (new, known) = (what(claim.owner, &claim.name), what(owner, family));
    let rename = match (claim.owner, owner) {
        (Owner::Included, Owner::Included) => "choose another name",
        (Owner::Included, Owner::Registry) => {
            "choose another name, or give the registry a prefix (`MetricsRegistryBuilder::prefix`)"
        }
        (_, Owner::Included) | (Owner::Included, _) => {
            "choose another name, or give the layer (`MetricsLayerBuilder::prefix`) or its registry (`MetricsRegistryBuilder::prefix`) a prefix"
        }
        _ => "choose another prefix",
    };
    Error::new(format!(
        "{new} clashes with {known}: both would show `{shown}`; {rename}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn included(name: &str, kind: Kind) -> Claim {
        Claim::new(name, kind, None, Owner::Included)
    }

    #[test]
    fn families_clash_if_they_show_the_same_name() {
        let cases = [
            (
                ("x", Kind::Counter),
                ("x_total", Kind::Gauge),
                Some("x_total"),
            ),
            (
                ("x_count", Kind::Gauge),
                ("x", Kind::Histogram),
                Some("x_count"),
            ),
            (("x", Kind::Info), ("x", Kind::Gauge), Some("x")),
            (("x", Kind::Counter), ("x", Kind::Histogram), Some("x")),
            (("x", Kind::Counter), ("x_y", Kind::Counter), None),
            (
                ("x_sum", Kind::Counter),
                ("x", Kind::Histogram),
                Some("x_sum"),
            ),
        ];
        for ((a, of_a), (b, of_b), expected) in cases {
            let (a, b) = (included(a, of_a), included(b, of_b));
            for (first, second) in [(&a, &b), (&b, &a)] {
                let mut names = Names::default();
                names.check(first).unwrap();
                names.add(first);
                let error = names.check(second).err().map(|error| error.to_string());
                let named = expected.map(|name| format!("`{name}`"));
                match (error, named) {
                    (None, None) => {}
                    (Some(error), Some(named)) => assert!(error.contains(&named), "{error}"),
                    (error, named) => panic!("{first:?} {second:?} {error:?} {named:?}"),
                }
                names.remove(first);
                names.check(second).unwrap();
            }
        }
    }

    #[test]
    fn a_family_stays_until_its_last_claim_is_removed() {
        let mut names = Names::default();
        let (counter, gauge) = (
            included("x", Kind::Counter),
            included("x_total", Kind::Gauge),
        );
        names.add(&counter);
        names.add(&counter);
        names.remove(&counter);
        names.check(&gauge).unwrap_err();
        names.remove(&counter);
        names.check(&gauge).unwrap();
    }
}
