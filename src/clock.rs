//! The clock that times calls.
//!
//! A call reads the clock twice, which is a large part of its cost. Reading the processor's time
//! stamp counter takes 8 ns, reading the system's monotonic clock takes 18 ns. The counter is used
//! if the processor declares it invariant *and* the kernel has not found it unreliable.

use std::fs;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// The clock of a layer: the real clock, or a manual clock for tests.
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
pub struct Clock(Kind);

#[derive(Clone, Copy, Debug)]
enum Kind {
    Real,
    Manual(&'static AtomicU64),
}

/// A clock that can be read, after the choice between counter and system clock.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reader {
    /// The processor's time stamp counter.
    Counter(&'static quanta::Clock),
    /// The system's monotonic clock, counted from this instant.
    // A reference: the tag of an enum with an `Instant` hides in it, and takes five instructions more to read, three times a call.
    System(&'static Instant),
    Manual(&'static AtomicU64),
}

/// A point in time, in the units of its [`Reader`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Time(u64);

/// Dates points in time.
///
/// It asks the system once a second, and counts on from there, which takes 90 instructions less than to ask each time. If
/// somebody sets the system's clock, the dates follow within a second.
#[derive(Debug, Default)]
pub(crate) struct Calendar {
    /// When the system was last asked, and its answer. 0 before that.
    asked: Time,
    answer: u64,
}

/// A time of day and date, in whole milliseconds since 1970. Scrapers read no more of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WallTime(u64);

impl WallTime {
    pub(crate) fn nanos(self) -> u128 {
        u128::from(self.0) * 1_000_000
    }
}

impl Time {
    #[inline]
    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    #[inline]
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// Measures a long time, such as an uptime.
///
/// It uses the system's clock. The rate of the time stamp counter is known to about 20 parts per
/// million, which is enough for a call but not for weeks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch {
    clock: Clock,
    /// The [`time`](Clock::time) when it was started.
    start: Duration,
}

/// What the system's monotonic clock is counted from.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

// === impl Clock ===

impl Clock {
    /// Returns the real clock, which never goes backwards.
    ///
    /// The first layer of a process with this clock takes up to 200 ms to build, to measure the
    /// rate of the time stamp counter. No call waits for that.
    pub const fn real() -> Self {
        Self(Kind::Real)
    }

    /// Returns a clock that only [`advance`](Self::advance) moves.
    ///
    /// Use it in tests. A copy is the same clock, so a test gives one to the layer and advances another. Each manual clock
    /// leaks eight bytes, because its copies don't own them. Its time begins in 1970, which
    /// [created timestamps](crate::MetricsExporter::created_timestamps) and exemplars show.
    pub fn manual() -> Self {
        // An `Arc` would free them. But then tests would clone the clock for each layer, body and closure that reads it.
        Self(Kind::Manual(Box::leak(Box::default())))
    }

    /// Moves a manual clock and all its copies. Has no effect on the real clock.
    pub fn advance(&self, by: Duration) {
        if let Kind::Manual(now) = self.0 {
            now.fetch_add(saturating_nanos(by), Ordering::Relaxed);
        }
    }

    /// Returns what a calendar and a clock on the wall show.
    pub(crate) fn wall_time(self) -> WallTime {
        let nanos = match self.0 {
            Kind::Real => nanos_since_1970(),
            Kind::Manual(now) => now.load(Ordering::Relaxed),
        };
        WallTime(nanos / 1_000_000)
    }

    /// Returns the time since the clock was started.
    fn time(self) -> Duration {
        match self.0 {
            Kind::Real => START.elapsed(),
            Kind::Manual(now) => Duration::from_nanos(now.load(Ordering::Relaxed)),
        }
    }

    /// Returns a stopwatch that starts now.
    pub(crate) fn stopwatch(self) -> Stopwatch {
        let start = self.time();
        Stopwatch { clock: self, start }
    }

    /// Returns a reader of this clock.
    pub(crate) fn reader(self) -> Reader {
        match self.0 {
            Kind::Real => Reader::real(),
            Kind::Manual(now) => Reader::Manual(now),
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
            (Kind::Real, Kind::Real) => true,
            (Kind::Manual(a), Kind::Manual(b)) => std::ptr::eq(a, b),
            _ => false,
        }
    }
}

impl Eq for Clock {}

// === impl Calendar ===

impl Calendar {
    /// Returns the nanoseconds since 1970 at `time`, which is about now.
    pub(crate) fn date(&mut self, clock: &Reader, time: Time) -> u64 {
        if let Reader::Manual(_) = clock {
            return time.0;
        }
        let since = clock.nanos_between(self.asked, time);
        if self.answer > 0 && since < 1_000_000_000 {
            return self.answer.saturating_add(since);
        }
        self.ask(time)
    }

    #[cold]
    fn ask(&mut self, time: Time) -> u64 {
        self.asked = time;
        self.answer = nanos_since_1970();
        self.answer
    }
}

// === impl Stopwatch ===

impl Stopwatch {
    pub(crate) fn elapsed(self) -> Duration {
        self.clock.time().saturating_sub(self.start)
    }
}

// === impl Reader ===

impl Reader {
    fn real() -> Self {
        static COUNTER: LazyLock<quanta::Clock> = LazyLock::new(quanta::Clock::new);
        static REAL: LazyLock<Reader> = LazyLock::new(|| match kernel_trusts_the_counter() {
            true => Reader::Counter(&COUNTER),
            false => Reader::System(&START),
        });
        *REAL
    }

    #[inline]
    pub(crate) fn now(&self) -> Time {
        Time(match self {
            Self::Counter(clock) => clock.raw(),
            Self::System(start) => saturating_nanos(start.elapsed()),
            Self::Manual(now) => now.load(Ordering::Relaxed),
        })
    }

    /// Returns the nanoseconds since `start`, or 0 if the counter of this core is behind that of
    /// the core where the call began.
    #[inline]
    pub(crate) fn nanos_since(&self, start: Time) -> u64 {
        self.nanos_between(start, self.now())
    }

    /// Returns the nanoseconds from `start` to `end`, or 0 as [`nanos_since`](Self::nanos_since) does.
    #[inline]
    pub(crate) fn nanos_between(&self, start: Time, end: Time) -> u64 {
        match self {
            Self::Counter(clock) => clock.delta_as_nanos(start.0, end.0),
            _ => end.0.saturating_sub(start.0),
        }
    }
}

/// Returns whether the kernel considers the time stamp counter reliable.
///
/// Linux removes `tsc` from this list once its watchdog has seen it drift. quanta only checks what
/// the processor declares. Without such a list, quanta decides.
fn kernel_trusts_the_counter() -> bool {
    const CLOCKS: &str = "/sys/devices/system/clocksource/clocksource0/available_clocksource";
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return true;
    }
    fs::read_to_string(CLOCKS).map_or(true, |clocks| clocks.split_whitespace().any(|c| c == "tsc"))
}

/// What the system's calendar says. Before 1970 it is 1970.
fn nanos_since_1970() -> u64 {
    saturating_nanos(SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default())
}

fn saturating_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_by_advance() {
        let clock = Clock::manual();
        let reader = clock.reader();
        let start = reader.now();
        assert_eq!(reader.nanos_since(start), 0);
        clock.advance(Duration::from_micros(7));
        assert_eq!(reader.nanos_since(start), 7_000);
    }

    #[test]
    fn the_real_clock_has_the_rate_of_the_system_clock() {
        let clock = Clock::real().reader();
        let (start, system) = (clock.now(), Instant::now());
        while system.elapsed() < Duration::from_millis(20) {
            std::hint::spin_loop();
        }
        let within = clock.nanos_since(start);
        let outside = saturating_nanos(system.elapsed()) + 1_000_000;
        assert!((19_000_000..=outside).contains(&within), "{within} ns");
    }

    #[test]
    fn the_system_is_asked_for_the_date_once_a_second() {
        let start = Instant::now();
        let clock = Reader::System(Box::leak(Box::new(start)));
        let (mut calendar, second) = (Calendar::default(), 1_000_000_000);
        let asked = calendar.date(&clock, Time(second));
        assert!(asked > 0);
        calendar.answer = 7;
        assert_eq!(calendar.date(&clock, Time(2 * second - 1)), 7 + second - 1);
        assert!(calendar.date(&clock, Time(2 * second)) >= asked);
        assert_eq!(calendar.asked, Time(2 * second));
    }
}
