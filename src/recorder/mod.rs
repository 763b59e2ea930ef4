//! Counting without contention.
//!
//! [`Families`] is the table of a layer's numbers, in three kinds of [`series`]. Each is a
//! row of counters in [`block`]s, one per thread that writes; [`thread`] says who
//! may write which. [`report`] is the word by which a request body reaches its call.
//! Nothing here knows of HTTP, of names or of text.

mod arena;
mod block;
mod errors;
mod families;
mod histogram;
mod outcome;
mod report;
mod series;
mod thread;

pub(crate) use self::errors::MOST_ERROR_TYPES;
pub(crate) use self::families::{Families, Lease, OwnedFamilies, Settings};
pub(crate) use self::histogram::{Bounds, Distribution};
pub(crate) use self::outcome::Outcome;
pub(crate) use self::report::{Report, Reporter};
pub(crate) use self::thread::with_writer;
