//! One call, from its beginning to its one end.
//!
//! | file | has |
//! |---|---|
//! | [`call`] | what a service, its protocol and its bodies tell a call |
//! | [`begin`] | how it begins: at once, or after users' functions have read its request |
//! | [`end`] | how it ends, and what is counted then |
//! | [`hear`] | how a user's function is told of the end |
//! | [`poll`] | what is measured of each poll, if anything is |

mod begin;
#[expect(clippy::module_inception, reason = "it has the `Call`")]
mod call;
mod end;
mod hear;
mod poll;

pub use self::call::Call;
pub(crate) use self::call::Passed;
pub(crate) use self::poll::MeasuredPoll;
