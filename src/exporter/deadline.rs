use http::HeaderMap;
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::{self, Instant};

/// The time by which a scrape must have ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    timeout: Duration,
    /// `None` if it is beyond the range of the clock.
    ends: Option<Instant>,
}

/// Whether the runtime has tokio's timer, which is optional.
#[derive(Debug, Default)]
pub(super) struct Timer {
    is_disabled: AtomicBool,
}

/// The header in which Prometheus and compatible scrapers send their timeout.
const SCRAPE_TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";

// === impl Deadline ===

impl Deadline {
    /// Returns the deadline that is `own` from now, or the scraper's timeout if that is shorter.
    pub(super) fn new(own: Duration, headers: &HeaderMap) -> Self {
        let timeout = scrape_timeout(headers).map_or(own, |scraper| scraper.min(own));
        Self {
            timeout,
            ends: Instant::now().checked_add(timeout),
        }
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn has_passed(&self) -> bool {
        self.ends.is_some_and(|ends| ends <= Instant::now())
    }

    /// Returns the output of the future, or `None` if the deadline passes first.
    ///
    /// Without a timer the deadline is checked only once the future is ready.
    pub(super) async fn bound<F: Future>(self, timer: &Timer, future: F) -> Option<F::Output> {
        let output = match self.ends {
            Some(ends) if timer.is_enabled() => time::timeout_at(ends, future).await.ok()?,
            _ => future.await,
        };
        (!self.has_passed()).then_some(output)
    }
}

// === impl Timer ===

impl Timer {
    /// Returns whether the current runtime has a timer.
    ///
    /// tokio has no function that says so: a timer that is missing panics. The panic hook prints the
    /// panic, so this stops asking after the first one.
    fn is_enabled(&self) -> bool {
        if Handle::try_current().is_err() || self.is_disabled.load(Ordering::Relaxed) {
            return false;
        }
        // If panics abort the process, this can't be tried, and counts as no timer.
        let is_enabled =
            cfg!(panic = "unwind") && panic::catch_unwind(|| time::sleep(Duration::ZERO)).is_ok();
        self.is_disabled.store(!is_enabled, Ordering::Relaxed);
        is_enabled
    }
}

/// Returns the scraper's timeout, or `None` if it is not a positive number of seconds.
fn scrape_timeout(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(SCRAPE_TIMEOUT)?.to_str().ok()?;
    let timeout = Duration::try_from_secs_f64(seconds.trim().parse().ok()?).ok()?;
    (!timeout.is_zero()).then_some(timeout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn timeout(own: Duration, header: &str) -> Duration {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_bytes(header.as_bytes()).expect("a header value");
        headers.insert(SCRAPE_TIMEOUT, value);
        Deadline::new(own, &headers).timeout()
    }

    #[test]
    fn the_shorter_of_own_timeout_and_scrapers_timeout_counts() {
        let own = Duration::from_secs(10);
        for (header, expected) in [
            ("5", Duration::from_secs(5)),
            ("0.25", Duration::from_millis(250)),
            (" 5.000 ", Duration::from_secs(5)),
            ("10", own),
            ("15", own),
            ("1e300", own),
            ("inf", own),
            ("0", own),
            ("-1", own),
            ("NaN", own),
            ("soon", own),
            ("", own),
            ("é", own),
        ] {
            assert_eq!(timeout(own, header), expected, "{header:?}");
        }
        assert_eq!(Deadline::new(own, &HeaderMap::new()).timeout(), own);
    }

    #[test]
    fn a_deadline_beyond_the_clocks_range_never_passes() {
        let deadline = Deadline::new(Duration::MAX, &HeaderMap::new());
        assert!(!deadline.has_passed());
    }

    #[test]
    fn without_a_timer_the_deadline_is_checked_at_the_end() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        for (own, expected) in [(Duration::ZERO, None), (Duration::MAX, Some(1))] {
            let deadline = Deadline::new(own, &HeaderMap::new());
            let timer = Timer::default();
            let bound = || deadline.bound(&timer, async { 1 });
            assert_eq!(runtime.block_on(bound()), expected);
            assert_eq!(
                tokio_test::task::spawn(bound()).poll(),
                std::task::Poll::Ready(expected)
            );
        }
    }
}
