//! Which names stand on the page, and which series of metrics that others encode.

use super::automatic::Metric;
use super::{ForeignFamily, Kind};
use crate::Error;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// The families that have been registered, as far as is needed to tell whether another one fits.
///
/// It holds what each had to show when it was registered, so that nobody's encoder has to be called
/// for somebody else's sake: one that registers, or holds a lock, would wait for itself.
#[derive(Debug, Default)]
pub(super) struct Names {
    families: BTreeMap<String, Known>,
    /// The names of the families and of their samples, each with the family that shows it.
    shown: BTreeMap<String, Arc<str>>,
}

/// A family on the page.
#[derive(Debug)]
struct Known {
    origin: Origin,
    kind: Kind,
    unit: Option<String>,
    /// How many claims there are to it.
    claims: usize,
    series: HashSet<Arc<str>>,
}

/// Whose family it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The registry itself.
    Registry,
    /// Layers.
    Automatic(Metric),
    /// Others encode it; any number of them may have series in it.
    Included,
}

/// A family, and the series in it, that are to be on the page.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) origin: Origin,
    unit: Option<String>,
    /// Their labels, as text without the empty ones. None for what the crate writes itself.
    series: Vec<Arc<str>>,
}

// === impl Claim ===

impl Claim {
    pub(super) fn new(name: String, kind: Kind, origin: Origin) -> Self {
        Self {
            name,
            kind,
            origin,
            unit: None,
            series: Vec::new(),
        }
    }

    /// A claim to what an included family shows, which has been arranged.
    pub(super) fn included(name: &str, family: &ForeignFamily<'_>) -> Self {
        let mut series: Vec<Arc<str>> = Vec::new();
        for sample in &family.samples {
            let mut text = String::new();
            for (label, value) in sample.labels_of_metric(family.kind) {
                if !value.is_empty() {
                    text.extend([label, "=\"", value, "\","]);
                }
            }
            // The samples of one metric stand together.
            if series.last().is_none_or(|last| **last != *text) {
                series.push(text.into());
            }
        }
        Self {
            name: name.to_owned(),
            kind: family.kind,
            origin: Origin::Included,
            unit: family.unit.clone(),
            series,
        }
    }
}

// === impl Names ===

impl Names {
    /// That the page can be made with this too.
    ///
    /// # Errors
    ///
    /// Names what clashes.
    pub(super) fn check(&self, claim: &Claim) -> Result<(), Error> {
        let Claim { name, kind, .. } = claim;
        let mut names = kind.names(name);
        let clash = names.find_map(|shown| {
            let family = self.shown.get(&*shown)?;
            let known = self.families.get(&**family)?;
            let may_join = **family == **name && known.origin == claim.origin;
            (!may_join).then_some((shown, family, known))
        });
        if let Some((shown, family, known)) = clash {
            return Err(clashing(claim, &shown, family, known.origin));
        }
        match self.families.get(name) {
            Some(known) => known.check(claim),
            None => Ok(()),
        }
    }

    /// Adds what has been checked.
    pub(super) fn add(&mut self, claim: &Claim) {
        let Claim { name, kind, .. } = claim;
        if !self.families.contains_key(name) {
            let family: Arc<str> = name.as_str().into();
            let names = kind.names(name).map(|shown| (shown, family.clone()));
            self.shown.extend(names);
        }
        let known = self.families.entry(name.clone()).or_insert_with(|| Known {
            origin: claim.origin,
            kind: *kind,
            unit: claim.unit.clone(),
            claims: 0,
            series: HashSet::new(),
        });
        known.claims += 1;
        known.series.extend(claim.series.iter().cloned());
    }

    /// Takes away what has been added.
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

// === impl Known ===

impl Known {
    /// That the claim fits in with the others to the same family.
    fn check(&self, claim: &Claim) -> Result<(), Error> {
        let Claim { name, kind, .. } = claim;
        if (self.kind, &self.unit) != (*kind, &claim.unit) {
            return Err(Error::new(format!(
                "two families are called `{name}` and differ in type or unit: rename one, or leave it out"
            )));
        }
        match claim
            .series
            .iter()
            .find(|series| self.series.contains(*series))
        {
            None => Ok(()),
            Some(series) => {
                let sample = kind.names(name).next().unwrap_or_default();
                Err(Error::new(format!(
                    "a series of `{sample}` is there twice, with the labels {{{}}}: two metrics have the same name and labels; leave one out, or give it another label, or the registry that it is from a prefix",
                    series.trim_end_matches(',')
                )))
            }
        }
    }
}

/// Both families would show a name.
fn clashing(claim: &Claim, shown: &str, family: &str, origin: Origin) -> Error {
    let name = &claim.name;
    Error::new(match (claim.origin, origin) {
        (Origin::Automatic(_) | Origin::Registry, Origin::Automatic(_)) => format!(
            "automatic metric `{name}` clashes with `{family}` of a layer with another prefix: both would show `{shown}`, choose another prefix"
        ),
        (Origin::Automatic(_) | Origin::Registry, _) => format!(
            "automatic metric `{name}` clashes with metric `{family}`: both would show `{shown}`, choose another name, or give the layer or the registry a prefix"
        ),
        (Origin::Included, Origin::Automatic(_)) => format!(
            "metric `{name}` clashes with the automatic metric that shows `{shown}`: choose another name, or give the layer or its registry a prefix"
        ),
        (Origin::Included, Origin::Registry) => format!(
            "metric `{name}` clashes with the registry's own `{shown}`: choose another name, or give the registry a prefix (`MetricsRegistryBuilder::prefix`)"
        ),
        (Origin::Included, Origin::Included) => format!(
            "metric `{name}` clashes with metric `{family}`: both would show `{shown}`, choose another name"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn included(name: &str, kind: Kind) -> Claim {
        Claim::new(name.to_owned(), kind, Origin::Included)
    }

    #[test]
    fn families_clash_where_a_name_on_the_page_is_the_same() {
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
    fn a_family_is_there_as_long_as_anyone_claims_it() {
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
