//! Runs the encoders of users. Nothing else in the crate calls them.

use super::names::{Claim, Names};
use super::{CustomFamily, FamilySource, IncludedFamily, MemberText};
use crate::Error;
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};

/// How many encoders may run inside each other. An encoder that registers a metric runs that metric's encoder.
const MAX_NESTED: usize = 16;

thread_local! {
    /// How many encoders run on this thread.
    static NESTED: Cell<usize> = const { Cell::new(0) };
}

/// Returns the claim to what a custom family shows now.
///
/// # Errors
///
/// Returns an error that says why the family can't be shown.
pub(super) fn custom_claim(name: &str, family: &CustomFamily) -> Result<Claim, Error> {
    let texts = encode(family)?;
    let mut family = family.read(name, &texts)?;
    family.arrange(name)?;
    Ok(Claim::included(name, &family))
}

/// Returns the claims to what a source shows now.
///
/// # Errors
///
/// Returns an error that says why a family can't be shown.
pub(super) fn source_claims(source: &FamilySource) -> Result<Vec<Claim>, Error> {
    let text = encode_source(source)?;
    let mut families: BTreeMap<Cow<'_, str>, IncludedFamily<'_>> = BTreeMap::new();
    for (name, family) in source.read(&text)? {
        match families.get_mut(&name) {
            Some(first) => first.join(&name, family)?,
            None => drop(families.insert(name, family)),
        }
    }
    // Families of one source may clash with each other.
    let mut names = Names::default();
    let mut claims = Vec::new();
    for (name, mut family) in families {
        family.arrange(&name)?;
        let claim = Claim::included(&name, &family);
        names.check(&claim)?;
        names.add(&claim);
        claims.push(claim);
    }
    Ok(claims)
}

/// Returns the texts of the members of a family.
///
/// # Errors
///
/// Returns an error if a member can't be encoded.
pub(crate) fn encode(family: &CustomFamily) -> Result<Vec<MemberText>, Error> {
    let texts = family.members().map(|member| {
        Ok(MemberText {
            text: encode_source(member)?,
            created: member.created,
        })
    });
    texts.collect()
}

/// Runs an encoder, and turns a failure or a panic into an error that names it.
///
/// `AssertUnwindSafe` is right because the next scrape reads the encoder's state after a panic, whether it is
/// caught here or not.
pub(crate) fn encode_source(source: &FamilySource) -> Result<String, Error> {
    let FamilySource { name, encode, .. } = source;
    let nested = NESTED.get();
    if nested == MAX_NESTED {
        return Err(Error::new(format!(
            "{name} can't be encoded inside {MAX_NESTED} other encoders: one of them registers something with the same encoder each time it is called; register it once"
        )));
    }
    NESTED.set(nested + 1);
    let mut text = String::new();
    let encoded = panic::catch_unwind(AssertUnwindSafe(|| encode(&mut text)));
    NESTED.set(nested);
    match encoded {
        Ok(Ok(())) => Ok(text),
        Ok(Err(error)) => Err(Error::new(format!("{name} can't be encoded")).with_source(error)),
        Err(_reported) => Err(Error::new(format!(
            "{name} can't be encoded: its encoder panicked; the panic hook has reported where, by default on standard error"
        ))),
    }
}
