//! What users registered, as its encoders write it. They are called nowhere else.

use super::names::{Claim, Names};
use super::{CustomFamily, ForeignFamily, Source, parse};
use crate::Error;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};

/// How many encoders may run inside of each other: one that registers something has that encoded.
const MOST_NESTED: usize = 16;

thread_local! {
    /// How many of them run on this thread.
    static NESTED: Cell<usize> = const { Cell::new(0) };
}

/// What a family that a user registers shows now.
///
/// # Errors
///
/// Says why that can't be shown.
pub(super) fn claim(name: &str, family: &CustomFamily) -> Result<Claim, Error> {
    let text = encode(name, family)?;
    let mut family = described_family(family, &text)?;
    family.arrange(name)?;
    Ok(Claim::included(name, &family))
}

/// What a source shows now.
///
/// # Errors
///
/// Says why that can't be shown.
pub(super) fn claims(source: &Source) -> Result<Vec<Claim>, Error> {
    let text = encode_source(source)?;
    let mut families: BTreeMap<&str, ForeignFamily<'_>> = BTreeMap::new();
    for (name, family) in parse(&text)? {
        match families.entry(name) {
            Entry::Vacant(place) => drop(place.insert(family)),
            Entry::Occupied(mut there) => there.get_mut().join(name, family)?,
        }
    }
    // Its own families may clash too.
    let mut names = Names::default();
    let mut claims = Vec::new();
    for (name, mut family) in families {
        family.arrange(name)?;
        let claim = Claim::included(name, &family);
        names.check(&claim)?;
        names.add(&claim);
        claims.push(claim);
    }
    Ok(claims)
}

pub(crate) fn encode(name: &str, family: &CustomFamily) -> Result<String, Error> {
    caught(|| format!("metric `{name}`"), || family.encode())
}

pub(crate) fn encode_source(source: &Source) -> Result<String, Error> {
    let what = || format!("the collector `{}`", source.name());
    caught(what, || source.encode())
}

/// Unwind safety is the encoder's business: what it leaves behind when it panics is read by the
/// next scrape, whether or not the panic is caught here.
fn caught(
    what: impl Fn() -> String,
    encode: impl FnOnce() -> Result<String, fmt::Error>,
) -> Result<String, Error> {
    let nested = NESTED.get();
    if nested == MOST_NESTED {
        return Err(Error::new(format!(
            "{} can't be encoded inside of {MOST_NESTED} other encoders: one of them registers, each time that it is encoded, what does the same; register it once",
            what()
        )));
    }
    NESTED.set(nested + 1);
    let encoded = panic::catch_unwind(AssertUnwindSafe(encode));
    NESTED.set(nested);
    match encoded {
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

pub(crate) fn described_family<'a>(
    custom: &CustomFamily,
    samples: &'a str,
) -> Result<ForeignFamily<'a>, Error> {
    let mut family = ForeignFamily::new(custom.kind);
    family.unit.clone_from(&custom.unit);
    family.help.clone_from(&custom.help);
    family.add_samples(samples)?;
    Ok(family)
}
