use crate::registry::MetricsRegistry;
use crate::totals;
use std::future::{Future, poll_fn};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

/// How often the registry is looked at.
const PAUSE: Duration = Duration::from_millis(1);

/// Waits until no call of the registry's layers is in flight. All calls are counted then.
///
/// A call may end a moment after its caller has read the response: when the server drops the body. So wait before you
/// compare numbers.
///
/// Works in any runtime. In one of tokio's whose clock is paused, time goes on while it waits, but `timeout` is real time.
///
/// # Panics
///
/// Panics if calls are still in flight after `timeout`, and says how many.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_openmetrics::MetricsLayer;
/// use tower_openmetrics::testing::wait_until_idle;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let metrics = MetricsLayer::new([("endpoint", "shop")]);
/// // … serve it, and send a request …
/// wait_until_idle(metrics.registry(), Duration::from_secs(5)).await;
/// # }
/// ```
pub fn wait_until_idle(
    registry: &MetricsRegistry,
    timeout: Duration,
) -> impl Future<Output = ()> + Send + use<> {
    let registry = registry.clone();
    let mut since = None;
    poll_fn(move |cx| {
        let calls = in_flight(&registry);
        if calls == 0 {
            return Poll::Ready(());
        }
        assert!(
            since.get_or_insert_with(Instant::now).elapsed() < timeout,
            "{calls} calls are still in flight after {timeout:?}"
        );
        // A thread instead of a timer: there may be no runtime, and a paused clock goes on meanwhile.
        let waker = cx.waker().clone();
        thread::spawn(move || {
            thread::sleep(PAUSE);
            waker.wake();
        });
        Poll::Pending
    })
}

fn in_flight(registry: &MetricsRegistry) -> u64 {
    let table = registry.table();
    let layers = table.layers.values();
    let endpoints = layers.flat_map(|layers| layers.endpoints.values());
    endpoints
        .map(|endpoint| totals::in_flight(&endpoint.recorder))
        .sum()
}
