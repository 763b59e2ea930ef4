//! Collects the families of a page.

use super::Selection;
use super::automatic::{self, AutomaticFamily};
use super::number::Number;
use crate::Error;
use crate::escaping::Escaping;
use crate::labels::LabelText;
use crate::registry::{
    CustomFamily, FamilySource, IncludedFamily, Kind, MemberText, MetricsRegistry, Sample, Table,
    UPTIME_HELP, UPTIME_UNIT, encode, encode_source,
};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

/// Decides about a family that can't be shown: an error fails the page, `Ok` leaves the family out.
pub(super) type ErrorHandler<'a> = dyn Fn(Error) -> Result<(), Error> + 'a;

/// The families of a page, by name.
pub(super) type Families<'a> = BTreeMap<String, PageFamily<'a>>;

/// The name of the family that describes the target.
const TARGET: &str = "target";

/// A family of a page.
pub(super) enum PageFamily<'a> {
    Automatic(AutomaticFamily<'a>),
    Included(IncludedFamily<'a>),
}

/// What was encoded as text.
pub(super) struct Texts<'a> {
    /// The sample of the registry's uptime.
    uptime: String,
    custom: Vec<(&'a str, &'a CustomFamily, Vec<MemberText>)>,
    sources: Vec<(&'a FamilySource, String)>,
}

/// Returns all selected families that can be shown together.
pub(super) fn families<'a>(
    registry: &MetricsRegistry,
    table: &'a Table,
    texts: &'a Texts<'_>,
    selection: &Selection,
    escaping: Escaping,
    on_error: &ErrorHandler<'_>,
) -> Result<Families<'a>, Error> {
    let mut families: Families<'_> = automatic::families(table, escaping)
        .into_iter()
        .filter(|(name, (metric, _))| selection.contains(name, metric.kind))
        .map(|(name, family)| (name, PageFamily::Automatic(family)))
        .collect();
    if selection.contains(&table.uptime, Kind::Gauge) {
        let uptime = IncludedFamily {
            kind: Kind::Gauge,
            unit: Some(UPTIME_UNIT.to_owned()),
            help: UPTIME_HELP.to_owned(),
            samples: Sample::parse(&texts.uptime).into_iter().collect(),
        };
        families.insert(table.uptime.to_string(), PageFamily::Included(uptime));
    }
    let included = included_families(registry, &families, texts, selection, on_error)?;
    // The names of an included family are only known once it is encoded. Automatic families and the uptime never clash.
    let mut shown: HashMap<String, String> = HashMap::new();
    for (name, family) in &families {
        let names = family.kind().names(name);
        shown.extend(names.map(|shown| (shown, name.clone())));
    }
    for (name, mut family) in included {
        let names: Vec<String> = family.kind.names(&name).collect();
        let mut clashes = names.iter().filter_map(|name| shown.get_key_value(name));
        let checked = match clashes.next() {
            None => family.arrange(&name),
            Some((clash, other)) => Err(Error::new(format!(
                "metrics `{other}` and `{name}` both show `{clash}`: rename one or remove it"
            ))),
        };
        match checked {
            Ok(()) => {
                shown.extend(names.into_iter().map(|shown| (shown, name.to_string())));
                families.insert(name.into_owned(), PageFamily::Included(family));
            }
            Err(error) => on_error(error)?,
        }
    }
    Ok(families)
}

/// Returns the selected included families. Those with the same name are one.
fn included_families<'a>(
    registry: &MetricsRegistry,
    own: &Families<'_>,
    texts: &'a Texts<'_>,
    selection: &Selection,
    on_error: &ErrorHandler<'_>,
) -> Result<BTreeMap<Cow<'a, str>, IncludedFamily<'a>>, Error> {
    let custom = texts.custom.iter().map(|(name, family, texts)| {
        let family = family.read(name, texts)?;
        Ok(vec![(Cow::Borrowed(*name), family)])
    });
    let of_sources = texts.sources.iter().map(|(source, text)| {
        let families = source.read(text)?;
        registry.add_late_claims(source.late_claims(&families).as_slice());
        Ok(families)
    });
    let mut included: BTreeMap<Cow<'_, str>, IncludedFamily<'_>> = BTreeMap::new();
    for read in custom.chain(of_sources) {
        let families = read.or_else(|error| on_error(error).map(|()| Vec::new()))?;
        for (name, family) in families {
            if !selection.contains(&name, family.kind) {
                continue;
            }
            if own.contains_key(&*name) {
                on_error(Error::new(format!(
                    "a family has the name `{name}` of an automatic metric: rename it, or give the registry a prefix"
                )))?;
            } else if let Some(first) = included.get_mut(&name) {
                first.join(&name, family).or_else(on_error)?;
            } else {
                included.insert(name, family);
            }
        }
    }
    Ok(included)
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

// === impl PageFamily ===

impl PageFamily<'_> {
    fn kind(&self) -> Kind {
        match self {
            Self::Automatic((metric, _)) => metric.kind,
            Self::Included(family) => family.kind,
        }
    }
}

// === impl Texts ===

impl<'a> Texts<'a> {
    /// Encodes registered families and sources as text. Skips registered families that are not selected. What a source shows
    /// is not known before it is encoded.
    pub(super) fn encode(
        registry: &MetricsRegistry,
        table: &'a Table,
        selection: &Selection,
        on_error: &ErrorHandler<'_>,
    ) -> Result<Self, Error> {
        let (mut custom, mut sources) = (Vec::new(), Vec::new());
        for (name, family) in &*table.custom {
            if selection.contains(name, family.kind) {
                match encode(family) {
                    Ok(texts) => custom.push((&**name, &**family, texts)),
                    Err(error) => on_error(error)?,
                }
            }
        }
        for source in table.sources() {
            match encode_source(source) {
                Ok(text) => sources.push((source, text)),
                Err(error) => on_error(error)?,
            }
        }
        let labels = Escaping::AllowUtf8.labels_in_text(table.labels.iter());
        let labels = LabelText::new(labels);
        let mut uptime = format!("{}{{{}}} ", table.uptime, labels.as_str());
        Number::Nanos(registry.uptime().as_nanos()).push(&mut uptime);
        Ok(Self {
            uptime,
            custom,
            sources,
        })
    }
}
