//! Counting without contention.
//!
//! ```text
//! MetricsRegistry, MetricsLayer ── Arc ──► Recorder
//!   Recorder        its key, its settings, its label sets
//!   LabelSet        the labels of calls at one moment, and the series of each group of metrics
//!   Series          the numbers of one label set: a block for each thread, and the rest of threads that have ended
//! Metrics, Call, CallHandle ── a Key, which is copied ──► no reference; through the thread:
//!   LocalRecorder   the blocks and label sets that this thread has met
//!   Block           one thread's numbers of one series, which no other thread writes
//! ```
//!
//! Without a registry and a layer nothing shows the numbers, so nothing else keeps them. A thread that ends leaves its counts to
//! the series. A recorder that is dropped takes its series along. Threads let go of their blocks when they next meet a new
//! recorder or label set, or when they end. Until then, calls of a dropped recorder count in blocks that no page shows, or not at all.
//!
//! An ordinary call comes here three times: when it begins, with a frame of its request's body, and when it ends, together with
//! the last frame of its response. Each time it borrows what the thread holds, finds the recorder by the slot of the key, and
//! the block by the place of the label set. The thread finds a label set in a hash table of its own. Only the first time, or beyond
//! the cardinality limit, it takes the recorder's lock. No user's function runs while anything is borrowed or locked.
//!
//! | file | has |
//! |---|---|
//! | [`recorder`] | the recorder, and how a key leads to it |
//! | [`shared`] | what threads share of a recorder |
//! | [`thread`] | what a thread holds, and how a call borrows it |
//! | [`local`] | what a thread holds of one recorder |
//! | [`met_sets`] | the label sets that a thread has met, and its blocks of their series |
//! | [`label_sets`] | how labels lead to series; the cardinality limit, overflow, declared and idle label sets |
//! | [`set_table`] | label sets by place and by values, as a recorder and a thread have them |
//! | [`label_set`] | one label set, and the calls that use it |
//! | [`series`] | the numbers of one label set, and how a page reads them |
//! | [`layout`] | which numbers there are, and their cells in a block |

mod label_set;
mod label_sets;
mod layout;
mod local;
mod met_sets;
#[expect(clippy::module_inception, reason = "it has the `Recorder`")]
mod recorder;
mod series;
mod set_table;
mod shared;
mod thread;

pub(crate) use self::label_set::{ROOT, SetIndex};
pub(crate) use self::layout::{
    CANCELLATIONS, ENDED, Layout, Optional, REQUEST_BYTES, REQUEST_MESSAGES, REQUESTS,
    RESPONSE_BYTES, RESPONSE_MESSAGES, WAITS_BEGUN, WAITS_ENDED, WAITS_GIVEN_UP,
};
pub(crate) use self::local::LocalRecorder;
pub(crate) use self::recorder::{Key, Recorder};
pub(crate) use self::series::{Rare, Series, UndeclaredFailures};
pub(crate) use self::shared::{Lent, Shared};
pub(crate) use self::thread::{with_recorder, with_recorder_and_slots, with_slots};
