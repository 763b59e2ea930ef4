//! Reads `/proc/self`, see [proc(5)][proc].
//!
//! [proc]: https://man7.org/linux/man-pages/man5/proc.5.html

use super::{Limit, ProcessSnapshot};
use procfs::process::{LimitValue, Process, Stat};
use procfs::{boot_time_secs, page_size, ticks_per_second};
use std::{fs, io};

/// Reads each file on its own: if one can't be read, the others still are.
pub(super) fn read() -> ProcessSnapshot {
    // Counted first, because the other files would be counted while they are open.
    let open_fds = open_fds().ok();
    let process = Process::myself().ok();
    let stat = process.as_ref().and_then(|process| process.stat().ok());
    let limits = process.as_ref().and_then(|process| process.limits().ok());
    ProcessSnapshot {
        cpu_seconds: stat.as_ref().map(cpu_seconds),
        resident_memory_bytes: stat.as_ref().map(resident_memory_bytes),
        virtual_memory_bytes: stat.as_ref().map(|stat| stat.vsize),
        virtual_memory_max_bytes: limits
            .as_ref()
            .map(|limits| limits.max_address_space.soft_limit.into()),
        open_fds,
        max_fds: limits
            .as_ref()
            .map(|limits| limits.max_open_files.soft_limit.into()),
        threads: stat.as_ref().map(|stat| stat.num_threads),
    }
}

/// Returns the start time of the process, in seconds since 1970.
pub(super) fn start_time_seconds() -> Option<f64> {
    let stat = Process::myself().ok()?.stat().ok()?;
    Some(boot_time_secs().ok()? as f64 + seconds(stat.starttime))
}

fn cpu_seconds(stat: &Stat) -> f64 {
    seconds(stat.utime.saturating_add(stat.stime))
}

fn resident_memory_bytes(stat: &Stat) -> u64 {
    stat.rss.saturating_mul(page_size())
}

/// Returns the number of open file descriptors.
///
/// Since Linux 6.2 it is the directory's size. If the size is 0, as it is before, the entries are
/// counted.
fn open_fds() -> io::Result<u64> {
    const FDS: &str = "/proc/self/fd";
    match fs::metadata(FDS)?.len() {
        // One descriptor is that of the directory itself.
        0 => Ok((fs::read_dir(FDS)?.count() as u64).saturating_sub(1)),
        count => Ok(count),
    }
}

fn seconds(ticks: u64) -> f64 {
    ticks as f64 / ticks_per_second() as f64
}

// === impl Limit ===

impl From<LimitValue> for Limit {
    fn from(value: LimitValue) -> Self {
        match value {
            LimitValue::Value(limit) => Self::Limited(limit),
            LimitValue::Unlimited => Self::Unlimited,
        }
    }
}
