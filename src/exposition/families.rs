//! The families of a page, whoever has samples in them.

use super::Selection;
use super::automatic;
use super::foreign::is_in;
use crate::Error;
use crate::labels::Labels;
use crate::registry::{
    self, CustomFamily, ForeignFamily, Kind, Late, Table, described_family, encode, encode_source,
    parse,
};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// What is to become of a page that lacks something: none, if an error comes back, or one without it.
pub(super) type OnError<'a> = dyn Fn(Error) -> Result<(), Error> + 'a;

/// The families of a page, by name.
pub(super) type Families<'a> = BTreeMap<String, Source<'a>>;

/// Whose samples a family has.
pub(super) enum Source<'a> {
    Automatic(automatic::Family<'a>),
    Foreign(ForeignFamily<'a>),
    /// With the labels that all of the registry have.
    Uptime(&'a Labels),
}

/// All that can be shown together. Of what sources have come to show, `late` is told.
pub(super) fn families<'a>(
    table: &'a Table,
    texts: &'a [(Encoded<'a>, String)],
    selection: &Selection,
    on_error: &OnError<'_>,
    late: &mut Vec<Late>,
) -> Result<Families<'a>, Error> {
    let mut families: Families<'_> = automatic::families(table)
        .into_iter()
        .filter(|(name, (metric, _))| selection.has(name, metric.kind))
        .map(|(name, family)| (name, Source::Automatic(family)))
        .collect();
    if selection.has(&table.uptime, Kind::Gauge) {
        families.insert(table.uptime.to_string(), Source::Uptime(&table.labels));
    }
    for (encoded, text) in texts {
        let foreign = match encoded {
            Encoded::Custom(name, family) => {
                described_family(family, text).map(|family| vec![(*name, family)])
            }
            Encoded::Source(source) => {
                parse(text).inspect(|families| late.extend(source.late(families)))
            }
        };
        match foreign {
            Ok(foreign) => {
                let selected = foreign
                    .into_iter()
                    .filter(|(name, family)| is_in(selection, name, family));
                for (name, family) in selected {
                    enter(&mut families, name, family).or_else(on_error)?;
                }
            }
            Err(error) => on_error(error)?,
        }
    }
    leave_out_clashing(&mut families, on_error)?;
    leave_out_broken(&mut families, on_error)?;
    Ok(families)
}

/// Leaves out what shows a name that another family shows too: what comes from elsewhere
/// is not known before it is encoded. Those of layers stay; they don't clash with each other.
fn leave_out_clashing(families: &mut Families<'_>, on_error: &OnError<'_>) -> Result<(), Error> {
    let mut shown: BTreeMap<String, String> = BTreeMap::new();
    let mut clashing = Vec::new();
    let (foreign, own): (Vec<_>, Vec<_>) = families
        .iter()
        .partition(|(_, source)| matches!(source, Source::Foreign(_)));
    for (family, source) in own.into_iter().chain(foreign) {
        let names: Vec<String> = source.kind().names(family).collect();
        match names.iter().find_map(|name| Some((name, shown.get(name)?))) {
            None => shown.extend(names.into_iter().map(|name| (name, family.clone()))),
            Some((name, other)) => {
                on_error(Error::new(format!(
                    "metrics `{other}` and `{family}` both show `{name}`: rename one, or leave it out"
                )))?;
                clashing.push(family.clone());
            }
        }
    }
    for family in clashing {
        families.remove(&family);
    }
    Ok(())
}

/// Leaves out what breaks the rules.
fn leave_out_broken(families: &mut Families<'_>, on_error: &OnError<'_>) -> Result<(), Error> {
    let mut result = Ok(());
    families.retain(|name, source| {
        let Source::Foreign(family) = source else {
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

impl Source<'_> {
    fn kind(&self) -> Kind {
        match self {
            Self::Automatic((metric, _)) => metric.kind,
            Self::Foreign(family) => family.kind,
            Self::Uptime(_) => Kind::Gauge,
        }
    }
}

/// What somebody has encoded: a family that the registry knows, or more than that.
pub(super) enum Encoded<'a> {
    Custom(&'a str, &'a CustomFamily),
    Source(&'a registry::Source),
}

/// What prometheus-client writes of all that users registered. It can leave out only what the registry knows not to be
/// selected.
pub(super) fn foreign_texts<'a>(
    table: &'a Table,
    selection: &Selection,
    on_error: &OnError<'_>,
) -> Result<Vec<(Encoded<'a>, String)>, Error> {
    let mut texts = Vec::new();
    let custom = table.custom.iter();
    for (name, family) in custom.filter(|(name, family)| selection.has(name, family.kind)) {
        match encode(name, family) {
            Ok(text) => texts.push((Encoded::Custom(name, family), text)),
            Err(error) => on_error(error)?,
        }
    }
    for source in table.sources() {
        match encode_source(source) {
            Ok(text) => texts.push((Encoded::Source(source), text)),
            Err(error) => on_error(error)?,
        }
    }
    Ok(texts)
}

fn enter<'a>(
    families: &mut BTreeMap<String, Source<'a>>,
    name: &str,
    family: ForeignFamily<'a>,
) -> Result<(), Error> {
    match families.entry(name.to_owned()) {
        Entry::Vacant(place) => {
            place.insert(Source::Foreign(family));
            Ok(())
        }
        Entry::Occupied(mut there) => match there.get_mut() {
            Source::Foreign(first) => first.join(name, family),
            Source::Automatic(_) | Source::Uptime(_) => Err(Error::new(format!(
                "a family is called `{name}`, as an automatic metric is: rename it, or give the registry a prefix"
            ))),
        },
    }
}
