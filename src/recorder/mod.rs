//! Counting without contention.
//!
//! [`Families`] is the table of a layer's numbers: label sets, and a series of numbers under each. A call finds the series
//! of its labels, and writes into a block that only its own thread writes into. Nothing here knows of names, or
//! what labels mean.
//!
//! | file | says |
//! |---|---|
//! | [`settings`] | what a layer is set to record |
//! | [`families`] | what a table consists of, and when another layer can have it |
//! | [`arena`] | where tables come from, and go back to |
//! | [`lease`] | what keeps a table from going back |
//! | **labels** | |
//! | [`sets`] | how label sets hang together: a tree that calls only read |
//! | [`lookup`] | how a call finds its sets there |
//! | [`growth`] | how sets are made, within the layer's budget |
//! | [`aside`] | where calls go whatever their labels are: there are none, there is no room, or the call is left out |
//! | [`rows`] | which label sets the page shows |
//! | **numbers** | |
//! | [`series`] | which numbers there are under a label set |
//! | [`block`] | how a number is kept: once for each thread that writes |
//! | [`thread`] | which thread may write where |
//! | [`histogram`] | how buckets lie in blocks |
//! | [`native`] | the same for native histograms |
//! | [`exemplars`] | the latest traced call of each bucket |
//! | [`errors`] | which place an error type has |
//! | **a call** | |
//! | [`outcome`] | how it ended, as a number |
//! | [`report`] | the word by which the body of its request reaches it |
//! | [`sizes`] | what stands beside that word where bodies are measured |
//! | [`pool`] | where words are between calls |

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
