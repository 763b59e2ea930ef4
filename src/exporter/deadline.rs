use http::HeaderMap;
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::{self, Instant};

/// When a scrape has to be over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    length: Duration,
    /// None if that is beyond what the clock can tell.
    ends: Option<Instant>,
}

/// tokio's timer, which a runtime may have been built without.
#[derive(Debug, Default)]
pub(super) struct Timer {
    is_missing: AtomicBool,
}

/// What Prometheus and its relatives say of how long they wait.
const SCRAPE_TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";

// === impl Deadline ===

impl Deadline {
    /// So long from now, or as long as the scraper waits if that is shorter.
    pub(super) fn new(own: Duration, headers: &HeaderMap) -> Self {
        let length = scrape_timeout(headers).map_or(own, |theirs| theirs.min(own));
        Self {
            length,
            ends: Instant::now().checked_add(length),
        }
    }

    pub(super) fn length(&self) -> Duration {
        self.length
    }

    pub(super) fn has_passed(&self) -> bool {
        self.ends.is_some_and(|ends| ends <= Instant::now())
    }

    /// What the future comes to, unless it is too late by then. Without a timer it is waited for to
    /// its end.
    pub(super) async fn bound<F: Future>(self, timer: &Timer, future: F) -> Option<F::Output> {
        let output = match self.ends {
            Some(ends) if timer.is_there() => time::timeout_at(ends, future).await.ok()?,
            _ => future.await,
        };
        (!self.has_passed()).then_some(output)
    }
}

// === impl Timer ===

impl Timer {
    /// tokio has no other way to ask than to panic. That is reported on standard error, so it is
    /// done only until a runtime was found without.
    fn is_there(&self) -> bool {
        if Handle::try_current().is_err() || self.is_missing.load(Ordering::Relaxed) {
            return false;
        }
        // Where a panic ends the process there is no asking: a runtime is then taken to have none.
        let is_there =
            cfg!(panic = "unwind") && panic::catch_unwind(|| time::sleep(Duration::ZERO)).is_ok();
        self.is_missing.store(!is_there, Ordering::Relaxed);
        is_there
    }
}

/// What is no positive number of seconds counts as not said.
fn scrape_timeout(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(SCRAPE_TIMEOUT)?.to_str().ok()?;
    let timeout = Duration::try_from_secs_f64(seconds.trim().parse().ok()?).ok()?;
    (!timeout.is_zero()).then_some(timeout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn length(own: Duration, header: &str) -> Duration {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_bytes(header.as_bytes()).expect("a header value");
        headers.insert(SCRAPE_TIMEOUT, value);
        Deadline::new(own, &headers).length()
    }

    #[test]
    fn the_shorter_of_own_and_theirs_counts() {
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
            assert_eq!(length(own, header), expected, "{header:?}");
        }
        assert_eq!(Deadline::new(own, &HeaderMap::new()).length(), own);
    }

    #[test]
    fn a_deadline_may_be_beyond_all_time() {
        let deadline = Deadline::new(Duration::MAX, &HeaderMap::new());
        assert!(!deadline.has_passed());
    }

    #[test]
    fn without_a_timer_what_is_late_is_told_at_the_end() {
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
