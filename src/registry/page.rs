//! The included families of a page.

use super::names::{Claim, Names, Owner};
use super::source::FamilySource;
use super::{AutomaticMetric, IncludedFamily, MetricsRegistry, NamedFamily, Selection, Table};
use crate::Error;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Decides about a family that can't be shown: an error fails the page, `Ok` leaves the family out.
pub(crate) type ErrorHandler<'a> = dyn Fn(Error) -> Result<(), Error> + 'a;

/// Sources, each with the text that it has encoded.
pub(crate) type EncodedSources<'a> = Vec<(&'a FamilySource, String)>;

/// Included families in the order of their names, with sorted samples, and checked.
pub(crate) type IncludedFamilies<'a> = Vec<NamedFamily<'a>>;

/// Sources, each with the families in its text.
type ReadSources<'a> = Vec<(&'a FamilySource, Vec<NamedFamily<'a>>)>;

// === impl Table ===

impl Table {
    /// Runs the encoders of all sources, except those of metrics that are not selected. What another source shows is only
    /// known once it has encoded.
    ///
    /// # Errors
    ///
    /// Returns the error that `on_error` returns for an encoder that fails.
    pub(crate) fn encode_sources(
        &self,
        selection: &Selection,
        on_error: &ErrorHandler<'_>,
    ) -> Result<EncodedSources<'_>, Error> {
        let is_selected = |source: &&FamilySource| {
            let family = source.metric.as_ref();
            family.is_none_or(|family| selection.contains(&family.name, family.kind))
        };
        let mut encoded = EncodedSources::new();
        for source in self.sources().filter(is_selected) {
            if let Some(text) = unless_left_out(source.encode(), on_error)? {
                encoded.push((source, text));
            }
        }
        Ok(encoded)
    }
}

// === impl MetricsRegistry ===

impl MetricsRegistry {
    /// Returns the selected families of these sources. `automatic` are the other families of the page, by name.
    ///
    /// # Errors
    ///
    /// Returns the error that `on_error` returns for a family that can't be shown.
    pub(crate) fn included_families<'a, 'n>(
        &self,
        sources: &'a EncodedSources<'_>,
        automatic: impl Iterator<Item = (&'n str, &'n AutomaticMetric)>,
        selection: &Selection,
        on_error: &ErrorHandler<'_>,
    ) -> Result<IncludedFamilies<'a>, Error> {
        let mut read = ReadSources::with_capacity(sources.len());
        for (source, text) in sources {
            if let Some(families) = unless_left_out(source.read(text), on_error)? {
                self.add_late_claims(source, &families);
                read.push((*source, families));
            }
        }
        let mut names = Names::default();
        for (name, automatic) in automatic {
            let owner = Owner::Automatic(automatic.metric);
            names.add(&Claim::new(name, automatic.kind, None, owner));
        }
        checked(read, names, selection, on_error)
    }

    /// Claims families that a source began to show after it was registered, so that later registrations can't clash with
    /// them.
    fn add_late_claims(&self, source: &FamilySource, families: &[NamedFamily<'_>]) {
        let late = families.iter().filter(|(name, _)| !source.has(name));
        let late = late.map(|(name, family)| (source, Claim::included(name, family)));
        let late: Vec<_> = late.collect();
        if !late.is_empty() {
            self.write().add_late_claims(late);
        }
    }
}

/// Returns claims to what a source shows now.
///
/// # Errors
///
/// Returns an error that says why a family can't be shown.
pub(super) fn claims(source: &FamilySource) -> Result<Vec<Claim>, Error> {
    let text = source.encode()?;
    let read = vec![(source, source.read(&text)?)];
    let families = checked(read, Names::default(), &Selection::default(), &Err)?;
    let families = families.iter();
    Ok(families
        .map(|(name, family)| Claim::included(name, family))
        .collect())
}

/// Returns the selected families that can be shown beside the families in `names`. Families with the same name are one.
fn checked<'a>(
    read: ReadSources<'a>,
    mut names: Names,
    selection: &Selection,
    on_error: &ErrorHandler<'_>,
) -> Result<IncludedFamilies<'a>, Error> {
    let mut joined: BTreeMap<Cow<'_, str>, (Claim, IncludedFamily<'_>)> = BTreeMap::new();
    for (source, families) in read {
        for (name, family) in families {
            if !selection.contains(&name, family.kind) {
                continue;
            }
            let unit = family.unit.as_deref();
            let claim = Claim::new(&name, family.kind, unit, source.owner);
            match joined.entry(name) {
                Entry::Vacant(entry) => drop(entry.insert((claim, family))),
                Entry::Occupied(mut entry) => {
                    let (first, all) = entry.get_mut();
                    if unless_left_out(first.check_join(&claim), on_error)?.is_some() {
                        all.samples.extend(family.samples);
                    }
                }
            }
        }
    }
    let mut families = IncludedFamilies::new();
    for (name, (claim, mut family)) in joined {
        let checked = names.check(&claim);
        let checked = checked.and_then(|()| family.sort_and_check(&name));
        // A family that is left out takes no names.
        if unless_left_out(checked, on_error)?.is_some() {
            names.add(&claim);
            families.push((name, family));
        }
    }
    Ok(families)
}

/// Returns what can be shown, or `None` if `on_error` leaves it out.
fn unless_left_out<T>(
    result: Result<T, Error>,
    on_error: &ErrorHandler<'_>,
) -> Result<Option<T>, Error> {
    match result {
        Ok(shown) => Ok(Some(shown)),
        Err(error) => on_error(error).map(|()| None),
    }
}
