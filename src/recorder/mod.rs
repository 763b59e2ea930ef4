//! Counting without contention.
//!
//! ```text
//! MetricsRegistry, MetricsLayer ── Arc ──► Recorder
//!   Recorder    its key, its settings, its label sets
//!   LabelSet    the labels of calls, as far as they are known at one moment; the series of each group of metrics
//!   Series      the numbers of one label set: a block for each thread that writes, the rest of threads that have ended
//! Metrics, Call, CallHandle ── a Key, which is copied ──► nothing, or by way of the thread:
//!   thread's own, by key     blocks and label sets that this thread has met
//!   Block       one thread's numbers of one series; nobody else writes them
//! ```
//!
//! Without a registry and a layer nobody can see the numbers, so nothing else keeps them alive. A thread that ends leaves what
//! it has counted to the series. A recorder that goes takes its series along; threads let go of their blocks the next time that
//! they meet something new, or when they end. Calls whose recorder has gone end in blocks that nobody reads.
//!
//! An ordinary call comes here three times: it begins, its request's body brings a frame, and it ends, together with the last
//! frame of its response. Each time it borrows what the thread holds ([`thread`]), looks up the recorder by the slot of the key, and
//! the block by the place of the label set. Where requests bring labels, a label set is found in the thread's own hash
//! table, and with the recorder's lock once for each thread. No user's function runs while anything here is borrowed or locked.
//!
//! | file | says |
//! |---|---|
//! | [`recorder`] | who owns what, and how a key leads to a recorder |
//! | [`thread`] | what a thread holds of each recorder, and its end |
//! | [`label_sets`] | how labels lead to series; the cardinality limit, overflow, declared and idle sets |
//! | [`series`] | who writes the numbers of a label set, and how a page reads them |
//! | [`layout`] | which numbers there are, and where in a block |
//! | [`block`] | what one thread has counted of one series |
//! | [`histogram`] | buckets, classic and native |
//! | [`exemplars`] | the latest traced call of each bucket |
//! | [`settings`] | what a layer is set to record |
//! | [`error_types`] | how a call ended, and a number for each error type |
//! | [`call_slot`] | what is known of an open call, and what its request's body tells it |

mod block;
mod call_slot;
mod error_types;
mod exemplars;
mod histogram;
mod label_sets;
mod layout;
#[expect(clippy::module_inception, reason = "it holds the `Recorder`")]
mod recorder;
mod series;
mod settings;
mod thread;

pub(crate) use self::call_slot::{CallSlot, FreeSlots, Reporter};
pub(crate) use self::error_types::{DeclaredTypes, MOST_ERROR_TYPES, Outcome, Place};
pub(crate) use self::exemplars::Exemplar;
pub(crate) use self::histogram::{Bounds, Histogram};
#[cfg(feature = "protobuf")]
pub(crate) use self::histogram::{SCHEMA, ZERO_THRESHOLD};
pub(crate) use self::label_sets::{ROOT, SetIndex};
pub(crate) use self::layout::{
    CANCELLATIONS, ENDED, Layout, Measured, REQUEST_BYTES, REQUEST_MESSAGES, REQUESTS,
    RESPONSE_BYTES, RESPONSE_MESSAGES,
};
pub(crate) use self::recorder::{Common, Key, Recorder};
pub(crate) use self::series::{Rare, Series};
pub(crate) use self::settings::{
    CARDINALITY_LIMIT, Filter, IsStream, MessageFilter, Settings, Streams, Traces,
};
pub(crate) use self::thread::{Own, with, with_free_slots, with_slots};
