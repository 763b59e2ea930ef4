//! What users registered, as prometheus-client writes it.

use super::{CustomFamily, ForeignFamily, Kind, Source, parse};
use crate::Error;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};

/// That a family which a user registers can be shown, as it is now.
///
/// # Errors
///
/// Says why not.
pub(super) fn check(name: &str, family: &CustomFamily) -> Result<(), Error> {
    let text = encode(name, family)?;
    described_family(family, &text)?.arrange(name)
}

/// The names and types of what a source shows now; nothing, if that can't be shown.
pub(super) fn families_of(source: &Source) -> Vec<(String, Kind)> {
    let text = encode_source(source).unwrap_or_default();
    let families = parse(&text).unwrap_or_default().into_iter();
    families
        .map(|(name, family)| (name.to_owned(), family.kind))
        .collect()
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
