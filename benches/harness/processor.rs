//! Pins threads to processors, and reads their processor time. Only Linux supports both; elsewhere threads are not pinned,
//! and wall time counts.

use std::time::Duration;

/// Returns the numbers of the processors that this process may use.
pub(crate) fn all() -> Vec<usize> {
    system::all()
}

/// Pins the current thread to one processor, if possible.
pub(crate) fn pin(processor: usize) {
    system::pin(processor);
}

/// Returns the current thread's processor time, so that other work on the machine matters less.
pub(crate) fn time() -> Duration {
    system::time()
}

#[cfg(target_os = "linux")]
mod system {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    use rustix::time::{ClockId, clock_gettime};
    use std::time::Duration;

    pub(super) fn all() -> Vec<usize> {
        let usable = sched_getaffinity(None).expect("a process may ask for its own");
        let all = 0..CpuSet::MAX_CPU;
        all.filter(|processor| usable.is_set(*processor)).collect()
    }

    pub(super) fn pin(processor: usize) {
        let mut only = CpuSet::new();
        only.set(processor);
        let _ = sched_setaffinity(None, &only);
    }

    pub(super) fn time() -> Duration {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.try_into().expect("it does not begin before 0")
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::sync::LazyLock;
    use std::time::{Duration, Instant};

    pub(super) fn all() -> Vec<usize> {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        (0..count).collect()
    }

    pub(super) fn pin(_: usize) {}

    pub(super) fn time() -> Duration {
        static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
        ORIGIN.elapsed()
    }
}
