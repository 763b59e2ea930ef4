//! Collects the families of a page.

use super::Selection;
use super::automatic;
use super::included::is_selected;
use crate::Error;
use crate::escaping::Escaping;
use crate::labels::Labels;
use crate::registry::{
    CustomFamily, FamilySource, IncludedFamily, Kind, LateClaims, MemberText, Table, encode,
    encode_source,
};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Decides about a family that can't be shown: an error fails the page, `Ok` leaves the family out.
pub(super) type ErrorHandler<'a> = dyn Fn(Error) -> Result<(), Error> + 'a;

/// The families of a page, by name.
pub(super) type Families<'a> = BTreeMap<String, PageFamily<'a>>;

/// The name of the family that describes the target.
const TARGET: &str = "target";

/// A family of a page.
pub(super) enum PageFamily<'a> {
    Automatic(automatic::AutomaticFamily<'a>),
    Included(IncludedFamily<'a>),
    /// With the labels that all of the registry have.
    Uptime(&'a Labels),
}

/// Returns all selected families that can be shown together. Adds to `late` the names that sources
/// began to show after they were registered.
pub(super) fn families<'a>(
    table: &'a Table,
    texts: &'a [Encoded<'a>],
    selection: &Selection,
    escaping: Escaping,
    on_error: &ErrorHandler<'_>,
    late: &mut Vec<LateClaims>,
) -> Result<Families<'a>, Error> {
    let mut families: Families<'_> = automatic::families(table, escaping)
        .into_iter()
        .filter(|(name, (metric, _))| selection.contains(name, metric.kind))
        .map(|(name, family)| (name, PageFamily::Automatic(family)))
        .collect();
    if selection.contains(&table.uptime, Kind::Gauge) {
        families.insert(table.uptime.to_string(), PageFamily::Uptime(&table.labels));
    }
    for encoded in texts {
        let included = match encoded {
            Encoded::Custom(name, family, texts) => {
                let family = family.read(name, texts);
                family.map(|family| vec![((*name).into(), family)])
            }
            Encoded::Source(source, text) => {
                let families = source.read(text);
                families.inspect(|families| late.extend(source.late_claims(families)))
            }
        };
        match included {
            Ok(included) => {
                let selected = included
                    .into_iter()
                    .filter(|(name, family)| is_selected(selection, name, family));
                for (name, family) in selected {
                    insert(&mut families, &name, family).or_else(on_error)?;
                }
            }
            Err(error) => on_error(error)?,
        }
    }
    remove_clashing(&mut families, on_error)?;
    remove_invalid(&mut families, on_error)?;
    Ok(families)
}

/// Returns the families in the order of the page. The info about the target comes first (OpenMetrics 1.0, "Supporting
/// target metadata").
pub(super) fn in_order<'f, 'a>(
    families: &'f Families<'a>,
) -> impl Iterator<Item = (&'f String, &'f PageFamily<'a>)> {
    let is_target = |(name, family): &(&String, &PageFamily<'_>)| {
        *name == TARGET && family.kind() == Kind::Info
    };
    let target = families.get_key_value(TARGET).filter(is_target);
    let others = families.iter().filter(move |family| !is_target(family));
    target.into_iter().chain(others)
}

/// Removes included families that show the same name as another family. The names of an included
/// family are only known once it is encoded. Automatic families stay and never clash with each other.
fn remove_clashing(families: &mut Families<'_>, on_error: &ErrorHandler<'_>) -> Result<(), Error> {
    let mut shown: BTreeMap<String, String> = BTreeMap::new();
    let mut clashing = Vec::new();
    let (included, own): (Vec<_>, Vec<_>) = families
        .iter()
        .partition(|(_, family)| matches!(family, PageFamily::Included(_)));
    for (name, family) in own.into_iter().chain(included) {
        let names: Vec<String> = family.kind().names(name).collect();
        match names
            .iter()
            .find_map(|clash| Some((clash, shown.get(clash)?)))
        {
            None => shown.extend(names.into_iter().map(|shown| (shown, name.clone()))),
            Some((clash, other)) => {
                on_error(Error::new(format!(
                    "metrics `{other}` and `{name}` both show `{clash}`: rename one or remove it"
                )))?;
                clashing.push(name.clone());
            }
        }
    }
    for name in clashing {
        families.remove(&name);
    }
    Ok(())
}

/// Removes included families that break a rule of the format.
fn remove_invalid(families: &mut Families<'_>, on_error: &ErrorHandler<'_>) -> Result<(), Error> {
    let mut result = Ok(());
    families.retain(|name, family| {
        let PageFamily::Included(family) = family else {
            return true;
        };
        match family.arrange(name) {
            Ok(()) => true,
            Err(error) => {
                if result.is_ok() {
                    result = on_error(error);
                }
                false
            }
        }
    });
    result
}

impl PageFamily<'_> {
    fn kind(&self) -> Kind {
        match self {
            Self::Automatic((metric, _)) => metric.kind,
            Self::Included(family) => family.kind,
            Self::Uptime(_) => Kind::Gauge,
        }
    }
}

/// What was encoded, and its text: one registered family, or a source of any number of families.
pub(super) enum Encoded<'a> {
    Custom(&'a str, &'a CustomFamily, Vec<MemberText>),
    Source(&'a FamilySource, String),
}

/// Encodes registered families and sources as text. Skips registered families that are not selected. What a source shows
/// is not known before it is encoded.
pub(super) fn included_texts<'a>(
    table: &'a Table,
    selection: &Selection,
    on_error: &ErrorHandler<'_>,
) -> Result<Vec<Encoded<'a>>, Error> {
    let mut texts = Vec::new();
    let custom = table.custom.iter();
    for (name, family) in custom.filter(|(name, family)| selection.contains(name, family.kind)) {
        match encode(family) {
            Ok(text) => texts.push(Encoded::Custom(name, family, text)),
            Err(error) => on_error(error)?,
        }
    }
    for source in table.sources() {
        match encode_source(source) {
            Ok(text) => texts.push(Encoded::Source(source, text)),
            Err(error) => on_error(error)?,
        }
    }
    Ok(texts)
}

fn insert<'a>(
    families: &mut BTreeMap<String, PageFamily<'a>>,
    name: &str,
    family: IncludedFamily<'a>,
) -> Result<(), Error> {
    match families.entry(name.to_owned()) {
        Entry::Vacant(entry) => {
            entry.insert(PageFamily::Included(family));
            Ok(())
        }
        Entry::Occupied(mut entry) => match entry.get_mut() {
            PageFamily::Included(first) => first.join(name, family),
            PageFamily::Automatic(_) | PageFamily::Uptime(_) => Err(Error::new(format!(
                "a family has the name `{name}` of an automatic metric: rename it, or give the registry a prefix"
            ))),
        },
    }
}
