//! What is known of an open call.
//!
//! It lies in a slot of memory, and the call is a reference to that. A call moves from the service to the future and on to
//! the response: what is written in pieces and copied right after stalls a processor. (Carried along, 40 bytes cost a
//! call 400 instructions and 80 ns more: `cargo bench --bench overhead`.)
//!
//! The body of the request moves into the handler and may outlive the call. Its [`BodyReport`] has the generation of the
//! slot. The end of a call begins the next generation, so that late reports are dropped.
//!
//! A call allocates nothing: free slots stay with a thread, or with the process.

mod body_report;
mod free_slots;
mod slot;

pub(crate) use self::body_report::BodyReport;
pub(crate) use self::free_slots::{FreeSlots, OpenCalls};
pub(crate) use self::slot::OpenCall;
