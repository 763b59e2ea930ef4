//! Hostile input, by the ways that are open to everyone, and what foreign parsers say of the page.
//!
//! Each target takes bytes and panics if the crate does what it should not. They are driven by
//! libFuzzer, which looks at the coverage of what it makes up:
//!
//! ```text
//! bash tests/fuzz/run 600                      each for ten minutes
//! bash tests/fuzz/run 600 transform            this one only
//! cargo run -p fuzz --bin fuzz_transform FILE  one input again, without libFuzzer
//! ```
//!
//! What was found is kept in two places: as an ordinary test of the crate, and in `seeds`, which
//! every run begins with.

pub mod escaping;
pub mod negotiation;
mod oracle;
mod pages;
pub mod transform;

/// Runs a target on the files that are named.
///
/// # Errors
///
/// If one can't be read.
pub fn replay(run: fn(&[u8])) -> std::io::Result<()> {
    for path in std::env::args_os().skip(1) {
        run(&std::fs::read(path)?);
    }
    Ok(())
}
