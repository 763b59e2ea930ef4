//! Hostile input through the public API. Independent parsers check the page.
//!
//! Each target takes bytes and panics if the crate misbehaves. libFuzzer drives the targets, guided by coverage:
//!
//! ```text
//! bash tests/fuzz/run 600                      each target for ten minutes
//! bash tests/fuzz/run 600 transform            only this target
//! cargo run -p fuzz --bin fuzz_transform FILE  one input, without libFuzzer
//! ```
//!
//! Each finding is kept as an ordinary test of the crate, and in `seeds`, where every run begins.

pub mod escaping;
pub mod negotiation;
mod oracle;
mod pages;
pub mod transform;

/// Runs a target on the files in the arguments.
///
/// # Errors
///
/// Returns an error if a file can't be read.
pub fn replay(run: fn(&[u8])) -> std::io::Result<()> {
    for path in std::env::args_os().skip(1) {
        run(&std::fs::read(path)?);
    }
    Ok(())
}
