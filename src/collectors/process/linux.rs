//! Reads `/proc/self`, see [proc(5)][proc].
//!
//! [proc]: https://man7.org/linux/man-pages/man5/proc.5.html

use super::ProcessSnapshot;
use procfs::process::{Limit, LimitValue, Process};
use procfs::{boot_time_secs, page_size, ticks_per_second};
use std::{fs, io};

/// Reads each file on its own: if one can't be read, the others still are.
pub(super) fn read() -> ProcessSnapshot {
    // Counted first, because the other files would be counted while they are open.
    let open_fds = open_fds().ok();
    let process = Process::myself().ok();
    let stat = process.as_ref().and_then(|process| process.stat().ok());
    let limits = process.as_ref().and_then(|process| process.limits().ok());
    let (stat, limits) = (stat.as_ref(), limits.as_ref());
    ProcessSnapshot {
        cpu_seconds: stat.map(|stat| seconds(stat.utime.saturating_add(stat.stime))),
        resident_memory_bytes: stat.map(|stat| stat.rss.saturating_mul(page_size()) as f64),
        virtual_memory_bytes: stat.map(|stat| stat.vsize as f64),
        virtual_memory_max_bytes: limits.map(|limits| soft(limits.max_address_space)),
        open_fds,
        max_fds: limits.map(|limits| soft(limits.max_open_files)),
        threads: stat.map(|stat| stat.num_threads as f64),
    }
}

/// Returns the start time of the process, in seconds since 1970.
pub(super) fn start_time_seconds() -> Option<f64> {
    let stat = Process::myself().ok()?.stat().ok()?;
    Some(boot_time_secs().ok()? as f64 + seconds(stat.starttime))
}

/// Returns the number of open file descriptors.
///
/// Since Linux 6.2 it is the directory's size. If the size is 0, as it is before, the entries are
/// counted.
fn open_fds() -> io::Result<f64> {
    const FDS: &str = "/proc/self/fd";
    match fs::metadata(FDS)?.len() {
        // One descriptor is that of the directory itself.
        0 => Ok(fs::read_dir(FDS)?.count().saturating_sub(1) as f64),
        count => Ok(count as f64),
    }
}

fn seconds(ticks: u64) -> f64 {
    ticks as f64 / ticks_per_second() as f64
}

/// Returns the limit that applies.
fn soft(limit: Limit) -> f64 {
    match limit.soft_limit {
        LimitValue::Value(limit) => limit as f64,
        LimitValue::Unlimited => f64::INFINITY,
    }
}
