//! Writing a registry down as a page.
//!
//! Families come in the order of their names, series in the order of their labels, so that
//! equal states give equal bytes. [`automatic`] writes the families of layers, [`custom`] those that
//! users registered, and [`text`] knows how a line looks in either format.

mod automatic;
mod collector;
mod foreign;
mod number;
#[cfg(feature = "protobuf")]
mod protobuf;
#[cfg(not(feature = "protobuf"))]
#[path = "no_protobuf.rs"]
mod protobuf;
mod rules;
mod selection;
mod snapshot;
mod sources;
mod text;

pub(crate) use self::protobuf::Protobuf;
pub(crate) use self::selection::Selection;

use self::foreign::ForeignFamily;
use self::text::TextWriter;
use crate::Error;
use crate::recorder::Detail;
use crate::registry::{
    self, CustomFamily, Kind, MetricsRegistry, Table, UPTIME, UPTIME_HELP, UPTIME_UNIT,
};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;

/// The text formats that a page can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The Prometheus text format 0.0.4.
    Prometheus,
}

/// How a page is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Text(Format),
    Protobuf(Protobuf),
}

/// What is to become of a page that lacks something: none, if an error comes back, or one without it.
pub(crate) type OnError<'a> = dyn Fn(Error) -> Result<(), Error> + 'a;

/// The families of a page, by name.
type Families<'a> = BTreeMap<String, Source<'a>>;

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
    /// What `on_error` makes of an error that names what a user registered and can't be shown.
    pub(crate) fn render(
        &self,
        encoding: Encoding,
        selection: &Selection,
        on_error: &OnError<'_>,
    ) -> Result<Bytes, Error> {
        render(&self.table(), self.uptime(), encoding, selection, on_error)
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

/// The names and types of what a source shows now; nothing, if that can't be shown.
pub(crate) fn families_of(source: &registry::Source) -> Vec<(String, Kind)> {
    let text = encode_source(source).unwrap_or_default();
    let families = foreign::parse(&text).unwrap_or_default().into_iter();
    families
        .map(|(name, family)| (name.to_owned(), family.kind))
        .collect()
}

/// The page of what stands in `table` and is selected.
///
/// # Errors
///
/// As those of [`MetricsRegistry::render`].
fn render(
    table: &Table,
    uptime: Duration,
    encoding: Encoding,
    selection: &Selection,
    on_error: &OnError<'_>,
) -> Result<Bytes, Error> {
    let texts = foreign_texts(table, selection, on_error)?;
    let detail = match encoding {
        Encoding::Text(_) => Detail::Classic,
        Encoding::Protobuf(_) => Detail::Native,
    };
    let families = families((table, detail), &texts, selection, on_error)?;
    Ok(match encoding {
        Encoding::Text(format) => text_page(&families, uptime, format).into(),
        Encoding::Protobuf(protobuf) => protobuf.page(&families, uptime),
    })
}

fn text_page(families: &Families<'_>, uptime: Duration, format: Format) -> String {
    let sizes = families.iter().map(|(name, source)| match source {
        Source::Automatic(family) => automatic::size(name, family),
        Source::Foreign(_) | Source::Uptime => 0,
    });
    let mut text = TextWriter::with_capacity(sizes.sum(), format);
    for (name, source) in families {
        match source {
            Source::Automatic(family) => automatic::write(&mut text, name, family),
            Source::Foreign(family) => family.write(&mut text, name),
            Source::Uptime => {
                text.family(name, Kind::Gauge, Some(UPTIME_UNIT), UPTIME_HELP);
                text.sample("", "", |value| value.seconds(uptime.as_nanos()));
            }
        }
    }
    text.finish()
}

/// All that can be shown together.
fn families<'a>(
    (table, detail): (&'a Table, Detail),
    texts: &'a [(Described<'a>, String)],
    selection: &Selection,
    on_error: &OnError<'_>,
) -> Result<Families<'a>, Error> {
    let mut families: Families<'_> = automatic::families(table, detail)
        .into_iter()
        .filter(|(name, (metric, _))| selection.has(name, metric.kind))
        .map(|(name, family)| (name, Source::Automatic(family)))
        .collect();
    if selection.has(UPTIME, Kind::Gauge) {
        families.insert(UPTIME.to_owned(), Source::Uptime);
    }
    for (described, text) in texts {
        let foreign = match described {
            Some((name, family)) => {
                described_family(family, text).map(|family| vec![(*name, family)])
            }
            None => foreign::parse(text),
        };
        match foreign {
            Ok(foreign) => {
                let selected = foreign
                    .into_iter()
                    .filter(|(name, family)| family.is_in(selection, name));
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
    on_error: &OnError<'_>,
) -> Result<Vec<(Described<'a>, String)>, Error> {
    let mut texts = Vec::new();
    let custom = table.custom.iter();
    for (name, family) in custom.filter(|(name, family)| selection.has(name, family.kind)) {
        match encode(name, family) {
            Ok(text) => texts.push((Some((&**name, &**family)), text)),
            Err(error) => on_error(error)?,
        }
    }
    for source in table.sources() {
        match encode_source(source) {
            Ok(text) => texts.push((None, text)),
            Err(error) => on_error(error)?,
        }
    }
    Ok(texts)
}

fn encode(name: &str, family: &CustomFamily) -> Result<String, Error> {
    caught(|| format!("metric `{name}`"), || family.encode())
}

fn encode_source(source: &registry::Source) -> Result<String, Error> {
    let what = || format!("the collector `{}`", source.name());
    caught(what, || source.encode())
}

/// Unwind safety is the encoder's business: what it leaves behind when it panics is read by the
/// next scrape, whether or not the panic is caught here.
fn caught(
    what: impl Fn() -> String,
    encode: impl FnOnce() -> Result<String, fmt::Error>,
) -> Result<String, Error> {
    match panic::catch_unwind(AssertUnwindSafe(encode)) {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(error)) => {
            Err(Error::new(format!("{} can't be encoded", what())).with_source(error))
        }
        Err(_reported) => Err(Error::new(format!(
            "{} can't be encoded: its encoder panicked, as the process has reported with the place in the code, on standard error unless it sets its own panic hook",
            what()
        ))),
    }
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
