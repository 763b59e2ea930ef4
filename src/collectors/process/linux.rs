//! `/proc/self`, as [proc(5)][proc] describes it.
//!
//! [proc]: https://man7.org/linux/man-pages/man5/proc.5.html

use super::{Limit, Readings};
use procfs::process::{LimitValue, Process, Stat};
use procfs::{boot_time_secs, page_size, ticks_per_second};
use std::{fs, io};

/// Each file by itself: one that is refused takes none of the others with it.
pub(super) fn read() -> Readings {
    // Before the others are opened, which would be counted too.
    let open_fds = open_fds().ok();
    let process = Process::myself().ok();
    let stat = process.as_ref().and_then(|process| process.stat().ok());
    let limits = process.as_ref().and_then(|process| process.limits().ok());
    Readings {
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

/// In seconds since 1970.
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

/// Since Linux 6.2 the directory's size is their number; before, and where the size is still 0, they are
/// listed.
fn open_fds() -> io::Result<u64> {
    const FDS: &str = "/proc/self/fd";
    match fs::metadata(FDS)?.len() {
        // Without the descriptor by which the list itself is read.
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
            LimitValue::Value(limit) => Self::At(limit),
            LimitValue::Unlimited => Self::Unlimited,
        }
    }
}
