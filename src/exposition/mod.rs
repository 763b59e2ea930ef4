//! Writing a registry down as a page.
//!
//! Families come in the order of their names, series in the order of their labels, so that
//! equal states give equal bytes. [`automatic`] writes the families of layers, [`custom`] those that
//! users registered, and [`text`] knows how a line looks in either format.

mod automatic;
mod collector;
mod foreign;
mod number;
mod rules;
mod selection;
mod sources;
mod text;

pub(crate) use self::selection::Selection;

use self::foreign::ForeignFamily;
use self::text::TextWriter;
use crate::Error;
use crate::registry::{
    CustomFamily, Kind, MetricsRegistry, Table, UPTIME, UPTIME_HELP, UPTIME_UNIT,
};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

/// The text formats that a page can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The Prometheus text format 0.0.4.
    Prometheus,
}

/// Whose samples a family has.
enum Source<'a> {
    Automatic(automatic::Family<'a>),
    Foreign(ForeignFamily<'a>),
    Uptime,
}

impl MetricsRegistry {
    /// The page, with the families that are selected.
    ///
    /// # Errors
    ///
    /// Names the metric that a user registered and that can't be shown.
    pub(crate) fn render(&self, format: Format, selection: &Selection) -> Result<String, Error> {
        render(&self.table(), self.uptime(), format, selection)
    }
}

/// That a family which a user registers can be shown, as it is now.
///
/// # Errors
///
/// Says why not.
pub(crate) fn check(name: &str, family: &CustomFamily) -> Result<(), Error> {
    let text = encode(name, family)?;
    described_family(family, &text)?.arrange(name)
}

/// The page of what stands in `table` and is selected.
///
/// # Errors
///
/// Names the metric that a user registered and that can't be shown.
fn render(
    table: &Table,
    uptime: Duration,
    format: Format,
    selection: &Selection,
) -> Result<String, Error> {
    let texts = foreign_texts(table, selection)?;
    let mut families: BTreeMap<String, Source<'_>> = automatic::families(table)
        .into_iter()
        .filter(|(name, (metric, _))| selection.has(name, metric.kind))
        .map(|(name, family)| (name, Source::Automatic(family)))
        .collect();
    if selection.has(UPTIME, Kind::Gauge) {
        families.insert(UPTIME.to_owned(), Source::Uptime);
    }
    for (described, text) in &texts {
        match described {
            Some((name, family)) => {
                enter(&mut families, name, described_family(family, text)?)?;
            }
            None => {
                for (name, family) in foreign::parse(text)? {
                    if family.is_in(selection, name) {
                        enter(&mut families, name, family)?;
                    }
                }
            }
        }
    }

    check_names(&families)?;
    for (name, source) in &mut families {
        if let Source::Foreign(family) = source {
            family.arrange(name)?;
        }
    }

    let mut text = TextWriter::new(format);
    for (name, source) in &families {
        match source {
            Source::Automatic(family) => automatic::write(&mut text, name, family),
            Source::Foreign(family) => family.write(&mut text, name),
            Source::Uptime => {
                text.family(name, Kind::Gauge, Some(UPTIME_UNIT), UPTIME_HELP);
                text.sample("", "", |value| value.seconds(uptime.as_nanos()));
            }
        }
    }
    Ok(text.finish())
}

/// That no two families show a name that is the same: what comes from elsewhere
/// is not known before it is encoded.
fn check_names(families: &BTreeMap<String, Source<'_>>) -> Result<(), Error> {
    let mut shown: BTreeMap<String, &str> = BTreeMap::new();
    for (family, source) in families {
        for name in source.kind().names(family) {
            match shown.get(&name) {
                Some(other) if other != family => {
                    return Err(Error::new(format!(
                        "metrics `{other}` and `{family}` both show `{name}`: rename one, or leave it out"
                    )));
                }
                _ => shown.insert(name, family),
            };
        }
    }
    Ok(())
}

impl Source<'_> {
    fn kind(&self) -> Kind {
        match self {
            Self::Automatic((metric, _)) => metric.kind,
            Self::Foreign(family) => family.kind,
            Self::Uptime => Kind::Gauge,
        }
    }
}

type Described<'a> = Option<(&'a str, &'a CustomFamily)>;

/// What prometheus-client writes of all that users registered; described, where
/// the registry knows the family. It can leave out only those that are not selected.
fn foreign_texts<'a>(
    table: &'a Table,
    selection: &Selection,
) -> Result<Vec<(Described<'a>, String)>, Error> {
    let mut texts = Vec::new();
    let custom = table.custom.iter();
    for (name, family) in custom.filter(|(name, family)| selection.has(name, family.kind)) {
        let text = encode(name, family)?;
        texts.push((Some((&**name, &**family)), text));
    }
    for source in table.sources() {
        let text = source.encode().map_err(|error| {
            Error::new("a collector or an included registry can't be encoded").with_source(error)
        })?;
        texts.push((None, text));
    }
    Ok(texts)
}

fn encode(name: &str, family: &CustomFamily) -> Result<String, Error> {
    family
        .encode()
        .map_err(|error| Error::new(format!("metric `{name}` can't be encoded")).with_source(error))
}

fn described_family<'a>(
    custom: &CustomFamily,
    samples: &'a str,
) -> Result<ForeignFamily<'a>, Error> {
    let mut family = ForeignFamily::new(custom.kind);
    family.unit.clone_from(&custom.unit);
    family.help.clone_from(&custom.help);
    family.add_samples(samples)?;
    Ok(family)
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
            Source::Automatic(_) | Source::Uptime => Err(Error::new(format!(
                "a family is called `{name}`, as an automatic metric is: rename it, or give the layer a prefix"
            ))),
        },
    }
}
