//! What time it is, for the length of a call.
//!
//! A call reads the clock twice, which is a good part of all it costs. The
//! processor's time stamp counter is read in 8 ns where the system's clock
//! takes 18, so it is used where the processor calls it invariant *and* the
//! kernel has not found it unreliable; elsewhere the system's monotonic clock is.

use std::fs;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Where a layer reads the time: the real clock by default, or one that a test
/// moves by hand.
///
/// ```
/// use std::time::Duration;
/// use tower_openmetrics::{Clock, MetricsLayer};
///
/// # fn main() -> Result<(), tower_openmetrics::Error> {
/// let clock = Clock::manual();
/// let layer = MetricsLayer::builder().clock(clock).build([("endpoint", "a")])?;
/// clock.advance(Duration::from_millis(250)); // every call now open is 250 ms older
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Clock(Source);

#[derive(Clone, Copy, Debug)]
enum Source {
    Real,
    Manual(&'static AtomicU64),
}

/// A clock that is ready to be read: which one the real clock is has been found out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reader {
    /// The processor's time stamp counter.
    Counter(&'static quanta::Clock),
    /// The system's clock, from this moment on.
    System(Instant),
    Manual(&'static AtomicU64),
}

/// A moment, in the units of the clock that was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moment(u64);

impl Moment {
    #[inline]
    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    #[inline]
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// Where a long time is counted from. The rate of the time stamp counter is
/// known to some 20 parts in a million: well enough for a call, but not for
/// weeks, so this one keeps to the system's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Origin {
    System(Instant),
    Manual(Reader, Moment),
}

// === impl Clock ===

impl Clock {
    /// The real clock. It never goes backwards.
    ///
    /// The first layer of a process that is built with it takes up to 200 ms to measure the rate of
    /// the time stamp counter, so that no call has to wait for it.
    pub const fn real() -> Self {
        Self(Source::Real)
    }

    /// A clock that stands still until [`advance`](Self::advance) moves it.
    ///
    /// It is meant for tests: each one takes eight bytes that the process
    /// never gets back.
    pub fn manual() -> Self {
        Self(Source::Manual(Box::leak(Box::default())))
    }

    /// Moves a manual clock and all its copies; the real clock takes no notice.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(now) = self.0 {
            now.fetch_add(saturating_nanos(by), Ordering::Relaxed);
        }
    }

    pub(crate) fn origin(self) -> Origin {
        match self.0 {
            Source::Real => Origin::System(Instant::now()),
            Source::Manual(_) => {
                let reader = self.reader();
                Origin::Manual(reader, reader.now())
            }
        }
    }

    /// The clock, ready to be read.
    pub(crate) fn reader(self) -> Reader {
        match self.0 {
            Source::Real => Reader::real(),
            Source::Manual(now) => Reader::Manual(now),
        }
    }
}

impl Default for Clock {
    /// The real clock.
    fn default() -> Self {
        Self::real()
    }
}

impl PartialEq for Clock {
    fn eq(&self, other: &Self) -> bool {
        match (self.0, other.0) {
            (Source::Real, Source::Real) => true,
            (Source::Manual(a), Source::Manual(b)) => std::ptr::eq(a, b),
            _ => false,
        }
    }
}

impl Eq for Clock {}

// === impl Origin ===

impl Origin {
    pub(crate) fn elapsed(self) -> Duration {
        match self {
            Self::System(since) => since.elapsed(),
            Self::Manual(clock, since) => Duration::from_nanos(clock.nanos_since(since)),
        }
    }
}

// === impl Reader ===

impl Reader {
    fn real() -> Self {
        static REAL: OnceLock<Reader> = OnceLock::new();
        static COUNTER: OnceLock<quanta::Clock> = OnceLock::new();
        *REAL.get_or_init(|| match kernel_trusts_the_counter() {
            true => Self::Counter(COUNTER.get_or_init(quanta::Clock::new)),
            false => Self::System(Instant::now()),
        })
    }

    #[inline]
    pub(crate) fn now(&self) -> Moment {
        Moment(match self {
            Self::Counter(clock) => clock.raw(),
            Self::System(origin) => saturating_nanos(origin.elapsed()),
            Self::Manual(now) => now.load(Ordering::Relaxed),
        })
    }

    /// Nanoseconds from `start` to now; zero if the counter of this core lags
    /// behind that of the core where the call began.
    #[inline]
    pub(crate) fn nanos_since(&self, start: Moment) -> u64 {
        let Moment(now) = self.now();
        match self {
            Self::Counter(clock) => clock.delta_as_nanos(start.0, now),
            _ => now.saturating_sub(start.0),
        }
    }
}

/// Linux takes `tsc` off this list once its watchdog has seen it drift, which
/// the processor's own word, that quanta goes by, can't say. Where there is no
/// such list, quanta's judgement stands.
fn kernel_trusts_the_counter() -> bool {
    const CLOCKS: &str = "/sys/devices/system/clocksource/clocksource0/available_clocksource";
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return true;
    }
    fs::read_to_string(CLOCKS).map_or(true, |clocks| clocks.split_whitespace().any(|c| c == "tsc"))
}

fn saturating_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_by_hand() {
        let clock = Clock::manual();
        let reader = clock.reader();
        let start = reader.now();
        assert_eq!(reader.nanos_since(start), 0);
        clock.advance(Duration::from_micros(7));
        assert_eq!(reader.nanos_since(start), 7_000);
    }

    #[test]
    fn the_real_clock_runs_forward_at_the_system_clocks_rate() {
        let clock = Clock::real().reader();
        let (start, system) = (clock.now(), Instant::now());
        while system.elapsed() < Duration::from_millis(20) {
            std::hint::spin_loop();
        }
        let within = clock.nanos_since(start);
        let outside = saturating_nanos(system.elapsed()) + 1_000_000;
        assert!((19_000_000..=outside).contains(&within), "{within} ns");
    }
}
