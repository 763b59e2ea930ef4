//! Endpoints whose health follows the calls of a layer, and a canary.
//!
//! Time is paused, except in tests with connections. It goes on when all tasks wait for it.

use crate::client::{Client, within};
use crate::{HOUR, patient, start_empty};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};
use tower::{Layer, ServiceExt, service_fn};
use tower_openmetrics::classify::Classify;
use tower_openmetrics::labels::Label;
use tower_openmetrics::protocol::Http;
use tower_openmetrics::server::HealthStatus::{self, NotReady, Ready};
use tower_openmetrics::server::{Canary, Health, StatusServer};
use tower_openmetrics::{ErrorType, MetricsLayer};

const IDLE: Duration = Duration::from_secs(10);
const MOMENT: Duration = Duration::from_millis(1);

/// What probes do. Clones are handles to the same probes.
#[derive(Clone, Default)]
struct Probes(Arc<Counts>);

#[derive(Default)]
struct Counts {
    sent: AtomicUsize,
    /// How many of the next probes fail.
    failing: AtomicUsize,
}

/// How a call ends.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Completed,
    Failed,
    FailedOtherwise,
    Cancelled,
}

// === impl Probes ===

impl Probes {
    fn failing(count: usize) -> Self {
        let probes = Self::default();
        probes.fail(count);
        probes
    }

    fn fail(&self, count: usize) {
        self.0.failing.store(count, Ordering::Relaxed);
    }

    fn canary(&self) -> Canary {
        let probes = self.clone();
        Canary::new(move || {
            let result = probes.probe();
            async move { result }
        })
        .idle(IDLE)
    }

    fn probe(&self) -> Result<(), &'static str> {
        let Counts { sent, failing } = &*self.0;
        sent.fetch_add(1, Ordering::Relaxed);
        let one_less = |count: usize| count.checked_sub(1);
        match failing.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less) {
            Ok(_) => Err("no answer"),
            Err(_) => Ok(()),
        }
    }

    fn sent(&self) -> usize {
        self.0.sent.load(Ordering::Relaxed)
    }

    /// Whether a watch has them.
    fn are_watched(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

fn health() -> Health {
    StatusServer::new().health()
}

fn layer() -> MetricsLayer {
    MetricsLayer::new([("endpoint", "a")])
}

async fn call<C: Classify>(layer: &MetricsLayer<Http<C>>, ending: Ending) {
    let service = layer.layer(service_fn(async |_: Request<_>| {
        let mut response = Response::new(Full::<Bytes>::from("hello"));
        match ending {
            Ending::Completed | Ending::Cancelled => {}
            Ending::Failed => *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR,
            Ending::FailedOtherwise => {
                let undeclared = ErrorType::from_static("otherwise");
                response.extensions_mut().insert(undeclared);
            }
        }
        Ok::<_, Infallible>(response)
    }));
    let Ok(response) = service
        .oneshot(Request::new(Full::<Bytes>::default()))
        .await;
    match ending {
        Ending::Cancelled => drop(response),
        _ => drop(response.into_body().collect().await),
    }
}

// === what proves an endpoint healthy ===

#[tokio::test(start_paused = true)]
async fn an_endpoint_is_not_ready_until_it_is_proven() {
    let (health, probes) = (health(), Probes::default());
    health.watch("a", &layer(), probes.canary());
    assert_eq!(health.get("a"), Some(NotReady));
    sleep(MOMENT).await;
    assert_eq!(health.get("a"), Some(Ready));
    assert_eq!(probes.sent(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_idle_endpoint_is_probed() {
    let (health, probes) = (health(), Probes::default());
    health.watch("a", &layer(), probes.canary());
    sleep(MOMENT + 3 * IDLE).await;
    assert_eq!(probes.sent(), 4);
    assert_eq!(health.status(), Ready);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_completes_spares_a_probe() {
    let (health, layer, probes) = (health(), layer(), Probes::default());
    health.watch("a", &layer, probes.canary());
    sleep(MOMENT).await;
    for _ in 0..3 {
        call(&layer, Ending::Completed).await;
        sleep(IDLE).await;
    }
    assert_eq!(probes.sent(), 1);
    sleep(IDLE).await;
    assert_eq!(probes.sent(), 2);
}

/// With one series for all numbers, with several, and where a label tells how a call ended.
#[tokio::test(start_paused = true)]
async fn failures_and_cancellations_prove_nothing() {
    async fn check<C: Classify>(layer: MetricsLayer<Http<C>>) {
        let (health, probes) = (health(), Probes::failing(usize::MAX));
        health.watch("a", &layer, probes.canary());
        sleep(MOMENT).await;
        for ending in [Ending::Failed, Ending::FailedOtherwise, Ending::Cancelled] {
            let sent = probes.sent();
            call(&layer, ending).await;
            assert_eq!(health.status(), NotReady, "{ending:?}");
            sleep(IDLE).await;
            assert_eq!(probes.sent(), sent + 1, "{ending:?}");
            assert_eq!(health.status(), NotReady, "{ending:?}");
        }
        call(&layer, Ending::Completed).await;
        assert_eq!(health.status(), Ready);
    }

    check(layer()).await;
    let route = Label::from_request("route", |_| Some("/"));
    let labelled = MetricsLayer::builder().http_labels(route);
    check(labelled.build([("endpoint", "a")]).unwrap()).await;
    let open_telemetry = MetricsLayer::builder().open_telemetry();
    check(open_telemetry.build([("endpoint", "a")]).unwrap()).await;
}

// === failing and healing ===

#[tokio::test(start_paused = true)]
async fn a_failed_probe_makes_an_endpoint_not_ready_until_one_succeeds() {
    let (health, probes) = (health(), Probes::default());
    health.watch("a", &layer(), probes.canary());
    sleep(MOMENT).await;
    probes.fail(2);
    for expected in [NotReady, NotReady, Ready] {
        sleep(IDLE).await;
        assert_eq!(health.status(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_completes_heals_at_once() {
    let (health, layer, probes) = (health(), layer(), Probes::failing(1));
    health.watch("a", &layer, probes.canary());
    sleep(MOMENT).await;
    assert_eq!(health.status(), NotReady);
    call(&layer, Ending::Completed).await;
    assert_eq!(health.status(), Ready);
    // It spares the next probe all the same.
    sleep(IDLE).await;
    assert_eq!(probes.sent(), 1);
}

/// As the call that a probe makes itself, whose answer then is not what it should be.
#[tokio::test(start_paused = true)]
async fn a_call_that_completed_before_a_failure_does_not_heal() {
    let (health, layer) = (health(), layer());
    let probed = layer.clone();
    let canary = Canary::new(move || {
        let layer = probed.clone();
        async move {
            call(&layer, Ending::Completed).await;
            Err::<(), _>("not the right answer")
        }
    });
    health.watch("a", &layer, canary.idle(IDLE));
    sleep(MOMENT).await;
    assert_eq!(health.status(), NotReady);
    sleep(IDLE).await;
    assert_eq!(health.status(), NotReady);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_hangs_is_dropped_after_its_timeout() {
    let (health, probes) = (health(), Probes::default());
    let held = probes.clone();
    let canary = Canary::new(move || {
        let held = held.clone();
        async move {
            let _ = held.probe();
            pending::<Result<(), Infallible>>().await
        }
    });
    health.watch("a", &layer(), canary.idle(IDLE).timeout(HOUR));
    sleep(HOUR - MOMENT).await;
    let handles = Arc::strong_count(&probes.0);
    sleep(2 * MOMENT).await;
    assert_eq!(health.status(), NotReady);
    assert_eq!(Arc::strong_count(&probes.0), handles - 1);
    assert_eq!(probes.sent(), 1);
    sleep(IDLE).await;
    assert_eq!(probes.sent(), 2);
}

// === beginning and ending a watch ===

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_set_not_ready_stays_so() {
    let (health, probes) = (health(), Probes::default());
    health.watch("a", &layer(), probes.canary());
    sleep(MOMENT).await;
    health.set("a", NotReady);
    sleep(IDLE).await;
    assert_eq!(health.status(), NotReady);
    health.set("a", Ready);
    assert_eq!(health.status(), Ready);
    probes.fail(1);
    sleep(IDLE).await;
    assert_eq!(health.status(), NotReady);
}

#[tokio::test(start_paused = true)]
async fn the_process_is_ready_if_every_watch_has_succeeded() {
    let (health, probes) = (health(), Probes::failing(1));
    let layer = layer();
    health.watch("a", &layer, Probes::default().canary());
    sleep(MOMENT).await;
    health.watch("b", &layer, probes.canary());
    sleep(MOMENT).await;
    let statuses = || [health.get("a"), health.get("b")].map(Option::unwrap);
    assert_eq!((statuses(), health.status()), ([Ready, NotReady], NotReady));
    sleep(IDLE).await;
    assert_eq!((statuses(), health.status()), ([Ready, Ready], Ready));
}

#[tokio::test(start_paused = true)]
async fn a_second_watch_of_an_endpoint_replaces_the_first() {
    let (health, first, second) = (health(), Probes::failing(usize::MAX), Probes::default());
    health.watch("a", &layer(), first.canary());
    sleep(MOMENT).await;
    health.watch("a", &layer(), second.canary());
    sleep(MOMENT).await;
    assert_eq!(health.status(), Ready);
    assert!(!first.are_watched());
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_with_its_endpoint() {
    let (health, probes) = (health(), Probes::default());
    health.watch("a", &layer(), probes.canary());
    sleep(MOMENT).await;
    assert_eq!(health.remove("a"), Some(Ready));
    sleep(MOMENT).await;
    assert!(!probes.are_watched());
    assert_eq!(health.get("a"), None);
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_with_the_last_handle() {
    let (health, probes) = (health(), Probes::default());
    health.watch("a", &layer(), probes.canary());
    let other = health.clone();
    drop(health);
    sleep(MOMENT + IDLE).await;
    assert_eq!(probes.sent(), 2);
    drop(other);
    sleep(MOMENT).await;
    assert!(!probes.are_watched());
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_is_dropped_is_still_watched() {
    let (health, layer) = (health(), layer());
    health.watch("a", &layer, Probes::failing(1).canary());
    let service = layer.layer(service_fn(async |_: Request<_>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    }));
    drop(layer);
    sleep(MOMENT).await;
    assert_eq!(health.status(), NotReady);
    let Ok(response) = service
        .oneshot(Request::new(Full::<Bytes>::default()))
        .await;
    response.into_body().collect().await.unwrap();
    assert_eq!(health.status(), Ready);
}

// === draining ===

#[tokio::test(start_paused = true)]
async fn a_process_that_drains_is_not_ready_for_good() {
    let (health, layer, probes) = (health(), layer(), Probes::default());
    health.watch("a", &layer, probes.canary());
    health.set("b", Ready);
    sleep(MOMENT).await;
    assert_eq!(health.status(), Ready);
    // Never polled.
    drop(health.drain(HOUR));
    assert_eq!(health.status(), NotReady);
    health.set("a", Ready);
    health.watch("a", &layer, probes.canary());
    call(&layer, Ending::Completed).await;
    sleep(IDLE).await;
    assert_eq!(health.status(), NotReady);
    assert_eq!(probes.sent(), 1);
    assert!(!probes.are_watched());
}

#[tokio::test(start_paused = true)]
async fn draining_takes_as_long_as_the_pause() {
    let health = health();
    assert!(timeout(HOUR - MOMENT, health.drain(HOUR)).await.is_err());
    assert!(timeout(HOUR + MOMENT, health.drain(HOUR)).await.is_ok());
}

// === what clients see ===

/// Asks for the health until it has this status.
async fn wait_for(client: &mut Client, status: HealthStatus) -> Value {
    let answered = async {
        loop {
            let answer = client.get("/health").await;
            let json = answer.json();
            if json["status"] == status.as_str() {
                assert_eq!(answer.status == 200, status == Ready);
                return json;
            }
            yield_now().await;
        }
    };
    within(answered).await
}

#[tokio::test]
async fn health_says_why_an_endpoint_is_not_ready() {
    let (layer, probes) = (layer(), Probes::failing(1));
    let server = start_empty(patient()).await;
    let health = server.health();
    health.set("b", Ready);
    health.watch("a", &layer, probes.canary().idle(HOUR));
    let mut client = Client::connect(server.local_addr()).await;

    // The probe was spawned before the client's connection.
    let json = wait_for(&mut client, NotReady).await;
    assert_eq!(json["endpoints"], json!({"a": "notready", "b": "ready"}));
    assert_eq!(json["reasons"], json!({"a": "the probe failed: no answer"}));

    call(&layer, Ending::Completed).await;
    let json = wait_for(&mut client, Ready).await;
    assert_eq!(json["endpoints"], json!({"a": "ready", "b": "ready"}));
    assert_eq!(json.get("reasons"), None);
}

/// Calls fail on other threads while it is asked, some of them between the two sums that make up what has completed.
#[test]
fn no_failure_is_taken_for_a_success() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let layer = MetricsLayer::unary(());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let stop = AtomicBool::new(false);
    let fail = || {
        let service = tower::service_fn(async |()| Err::<u8, _>("no"));
        let service = tower::Layer::layer(&layer, service);
        while !stop.load(Ordering::Relaxed) {
            let call = tower::ServiceExt::oneshot(service.clone(), ());
            call.now_or_never().unwrap().unwrap_err();
        }
    };
    let asked = runtime.block_on(async {
        let health = health();
        let canary = Canary::new(|| async { Err::<(), _>("down") });
        let canary = canary.idle(Duration::from_millis(1));
        health.watch("model", &layer, canary);
        std::thread::scope(|scope| {
            let threads = [(); 2].map(|()| scope.spawn(fail));
            let asked: Vec<_> = (0..2_000).map(|_| health.status()).collect();
            stop.store(true, Ordering::Relaxed);
            let _ = threads.map(|thread| thread.join().unwrap());
            asked
        })
    });
    let ready = asked
        .iter()
        .filter(|status| **status == HealthStatus::Ready);
    assert_eq!(ready.count(), 0);
}
