use crate::classify::source::MAX_DEPTH;
use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::iter;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tower::BoxError;

type Probe = dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>> + Send + Sync;

/// A call of your own that tells whether an endpoint works. It is sent while no other call completes. See
/// [`Health::watch`].
///
/// [`Health::watch`]: super::Health::watch
#[derive(Clone)]
#[must_use = "a canary is sent only by a watch"]
pub struct Canary {
    probe: Arc<Probe>,
    idle: Duration,
    timeout: Duration,
}

// === impl Canary ===

impl Canary {
    /// Returns a canary that calls `probe`, and succeeds if that returns `Ok`.
    ///
    /// Let the probe do the work that calls do, and little of it: one token of the model, the smallest query. Send it
    /// to the service inside of the metrics layer, so that it is not counted among the calls.
    ///
    /// Each probe runs on a task of its own. One that panics has failed.
    pub fn new<F, Fut, E>(probe: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        Self {
            probe: Arc::new(move || {
                let sent = probe();
                Box::pin(async move { sent.await.map_err(Into::into) })
            }),
            idle: Duration::from_secs(10),
            timeout: Duration::from_secs(3),
        }
    }

    /// How long an endpoint may go without a call that completes. Then the probe is sent.
    ///
    /// The watch looks once in this time. So a probe comes at the latest when twice this time has passed since the last
    /// completed call, and a probe that has failed is repeated after this time.
    ///
    /// A call in flight proves nothing until it completes. If calls take longer than this time, probes are sent while the
    /// endpoint works, and one that waits behind such calls may exceed its [timeout](Self::timeout). Set both times with
    /// regard to your longest calls.
    ///
    /// Defaults to 10 seconds. Less than a millisecond counts as a millisecond.
    pub fn idle(mut self, idle: Duration) -> Self {
        self.idle = idle.max(Duration::from_millis(1));
        self
    }

    /// Maximum time of a probe. Later, it is dropped and has failed. A probe that blocks its thread can't be dropped.
    ///
    /// Defaults to 3 seconds. Less than a millisecond counts as a millisecond.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.max(Duration::from_millis(1));
        self
    }

    pub(super) fn idle_time(&self) -> Duration {
        self.idle
    }

    /// Sends the probe, and returns why it failed.
    pub(super) async fn send(&self) -> Result<(), String> {
        let probe = Arc::clone(&self.probe);
        // Its task ends alone if it panics. A dropped set aborts it.
        let mut task = JoinSet::new();
        // Its error is made a text there, too: that is the user's code.
        task.spawn(async move { probe().await.map_err(|error| chain(&*error)) });
        match timeout(self.timeout, task.join_next()).await {
            Ok(Some(Ok(Ok(())))) => Ok(()),
            Ok(Some(Ok(Err(error)))) => Err(format!("the probe failed: {error}")),
            Ok(_) => Err("the probe panicked".to_owned()),
            Err(_) => Err(format!("the probe took longer than {:?}", self.timeout)),
        }
    }
}

impl fmt::Debug for Canary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canary")
            .field("idle", &self.idle)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Returns an error and its sources, in one line.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let errors = iter::successors(Some(error), |&error| error.source());
    let texts: Vec<String> = errors.take(MAX_DEPTH).map(ToString::to_string).collect();
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::{Display, Formatter};
    use std::future::{pending, ready};

    #[derive(Debug)]
    struct Unreachable(std::io::Error);

    impl Display for Unreachable {
        fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
            f.write_str("the model is unreachable")
        }
    }

    impl StdError for Unreachable {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&self.0)
        }
    }

    async fn reason(canary: Canary) -> String {
        canary.send().await.unwrap_err()
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_says_what_the_probe_did() {
        let refused = || Unreachable(std::io::Error::other("refused"));
        let canary = Canary::new(move || ready(Err(refused())));
        let expected = "the probe failed: the model is unreachable: refused";
        assert_eq!(reason(canary).await, expected);

        let canary = Canary::new(|| async { panic!("a scripted panic") as Result<(), String> });
        assert_eq!(reason(canary).await, "the probe panicked");
        let canary = Canary::new(|| -> std::future::Ready<Result<(), String>> {
            panic!("a scripted panic")
        });
        assert_eq!(reason(canary).await, "the probe panicked");

        let canary = Canary::new(pending::<Result<(), String>>);
        let canary = canary.timeout(Duration::from_millis(1_500));
        assert_eq!(reason(canary).await, "the probe took longer than 1.5s");
    }

    /// An error that is its own source.
    #[derive(Debug)]
    struct Endless;

    impl Display for Endless {
        fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
            f.write_str("again")
        }
    }

    impl StdError for Endless {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(self)
        }
    }

    #[tokio::test]
    async fn a_failure_says_no_more_than_64_sources() {
        let reason = reason(Canary::new(|| ready(Err(Endless)))).await;
        assert_eq!(reason.matches("again").count(), 64);
    }

    #[tokio::test]
    async fn an_idle_time_of_0_is_a_millisecond() {
        let canary = Canary::new(|| ready(Ok::<_, String>(()))).idle(Duration::ZERO);
        assert_eq!(canary.idle_time(), Duration::from_millis(1));
    }
}
