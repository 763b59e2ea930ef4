//! Systems without the `/proc` of Linux.

use super::ProcessSnapshot;

pub(super) fn read() -> ProcessSnapshot {
    ProcessSnapshot::default()
}

pub(super) fn start_time_seconds() -> Option<f64> {
    None
}
