//! Counting without contention.
//!
//! [`Families`] is the table of a layer's numbers, in several kinds of [`series`], and [`settings`] say what it is to hold;
//! a [`lease`] keeps it from being used for another layer. Each is a
//! row of counters in [`block`]s, one per thread that writes; [`thread`] says who
//! may write which. The series of a call's labels are found through [`sets`], by [`lookup`]; [`rows`] are what the page
//! shows of them, and [`growth`] makes new ones within the layer's budget. Calls whose labels don't matter go [`aside`]. [`report`] is the word by which a request body
//! reaches its call, [`pool`] where such words are kept between calls, and [`sizes`] what stands beside
//! one where bodies are measured. Nothing here knows of names, or what labels mean.

mod arena;
mod aside;
mod block;
mod errors;
mod exemplars;
mod families;
mod growth;
mod histogram;
mod lease;
mod lookup;
#[cfg_attr(
    not(feature = "protobuf"),
    allow(dead_code, reason = "only protobuf shows them")
)]
mod native;
mod outcome;
mod pool;
mod report;
mod rows;
mod series;
mod sets;
mod settings;
mod sizes;
mod thread;

pub(crate) use self::errors::{DeclaredTypes, MOST_ERROR_TYPES, Place};
pub(crate) use self::exemplars::Exemplar;
pub(crate) use self::families::{Families, OwnedFamilies};
pub(crate) use self::histogram::{Bounds, Detail, Distribution};
pub(crate) use self::lease::{Lease, Leased};
#[cfg(feature = "protobuf")]
pub(crate) use self::native::{SCHEMA, ZERO_THRESHOLD};
pub(crate) use self::outcome::Outcome;
pub(crate) use self::report::{Report, Reporter};
pub(crate) use self::rows::{Row, Shelf};
pub(crate) use self::series::{BeginSeries, DurationSeries, EndSeries, HeadSeries, Series, Timed};
pub(crate) use self::sets::{BeginSet, EndSet, HeadSet};
pub(crate) use self::settings::{Filter, LABEL_SETS, Settings, Streams, Traces};
pub(crate) use self::thread::{Writer, with_writer};
