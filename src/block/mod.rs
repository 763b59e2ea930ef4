//! What one thread has counted of one series.
//!
//! A cache line that two cores write costs more than all else that counting a call does. So each thread has a block of its
//! own, and adds by a plain load and store instead of a locked read-modify-write. A scrape sums the blocks of all threads.
//!
//! A block is a row of cells of 64 bits. It does not know what they count: a [`Layout`](crate::recorder::Layout) says so.
//!
//! | file | has |
//! |---|---|
//! | [`block`] | counters, and sums that never wrap |
//! | [`histogram`] | buckets, classic and native |
//! | [`longest`] | the longest durations of late |
//! | [`exemplar`] | the latest traced call of each bucket |
//! | [`cells`] | which cells are what, and how a block takes in that of an ended thread |

#[expect(clippy::module_inception, reason = "it has the `Block`")]
mod block;
mod cells;
mod exemplar;
mod histogram;
mod longest;

pub(crate) use self::block::Block;
pub(crate) use self::cells::Cells;
pub(crate) use self::exemplar::{EXEMPLAR_CELLS, Exemplar};
pub(crate) use self::histogram::Histogram;
pub(crate) use self::longest::LONGEST_CELLS;
