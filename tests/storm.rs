//! Many concurrent calls: sums are exact, and every scrape is consistent.

mod support;

use self::Fate::*;
use self::support::Step::{Data, Fail, Panic};
use self::support::{
    Numbers, Page, Script, errors, now, poll_frame, take_frames, take_to_end, text_of,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body::Body;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::pending;
use std::io::{self, ErrorKind};
use std::panic::{self, AssertUnwindSafe};
use std::pin::pin;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;
use tower::{BoxError, Layer, Service, ServiceExt};
use tower_openmetrics::{Clock, Metrics, MetricsLayer, RequestBody, ResponseBody};

const TASKS: usize = 64;
const CALLS: usize = 10_000;
const THREADS: usize = 10_000;

/// How a call goes. The request tells the service in its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Complete,
    Status,
    Error,
    DroppedUnpolled,
    DroppedPolled,
    BodyDropped,
    BodyFails,
    PanicInFuture,
    PanicInBody,
    UploadBroken,
    UploadMalformed,
    UploadLeft,
    UploadNeverRead,
}

const FATES: [Fate; 13] = [
    Complete,
    Status,
    Error,
    DroppedUnpolled,
    DroppedPolled,
    BodyDropped,
    BodyFails,
    PanicInFuture,
    PanicInBody,
    UploadBroken,
    UploadMalformed,
    UploadLeft,
    UploadNeverRead,
];

/// The message of the expected panics.
const EXPECTED: &str = "a scripted panic";

/// A service that follows the request's [`Fate`].
#[derive(Clone, Copy, Debug)]
struct Fated {
    clock: Clock,
}

type Answered = Response<ResponseBody<Script>>;

// === impl Fate ===

impl Fate {
    /// Returns the request bytes, the response bytes, and the outcome.
    fn leaves(self) -> (u64, u64, Option<&'static str>) {
        const CANCELLED: Option<&str> = Some("");
        match self {
            Complete => (5, 3, None),
            Status => (5, 3, Some("generate")),
            Error => (5, 0, Some("generate")),
            DroppedUnpolled => (0, 0, CANCELLED),
            DroppedPolled => (5, 0, CANCELLED),
            BodyDropped => (5, 1, CANCELLED),
            BodyFails => (5, 1, Some("publish_response")),
            PanicInFuture => (5, 0, Some("panic")),
            PanicInBody => (5, 1, Some("panic")),
            UploadBroken => (2, 3, CANCELLED),
            UploadMalformed => (2, 3, Some("invalid_message")),
            UploadLeft => (2, 3, None),
            UploadNeverRead => (0, 3, None),
        }
    }

    fn request(self, clock: Clock) -> Request<Script> {
        let second = match self {
            UploadBroken => Fail(|| io::Error::from(ErrorKind::ConnectionReset).into()),
            UploadMalformed => Fail(|| "malformed".into()),
            _ => Data("cde"),
        };
        let body = Script::new(clock, [Data("ab"), second]);
        Request::post("/").extension(self).body(body).unwrap()
    }

    fn response(self, clock: Clock) -> Result<Response<Script>, BoxError> {
        let second = match self {
            BodyFails => Fail(|| "broken".into()),
            PanicInBody => Panic,
            Error => return Err("no answer".into()),
            _ => Data("yz"),
        };
        let status = if self == Status { 500 } else { 200 };
        let body = Script::new(clock, [Data("x"), second]);
        Ok(Response::builder().status(status).body(body).unwrap())
    }

    /// Reads a response as far as its caller does.
    fn take(self, response: Answered) {
        let mut body = pin!(response.into_body());
        match self {
            BodyDropped => take_frames(body, 1),
            _ => take_to_end(body.as_mut()),
        };
    }
}

// === impl Fated ===

impl<B> Service<Request<RequestBody<B>>> for Fated
where
    B: Body<Error: 'static> + Send + 'static,
{
    type Response = Response<Script>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Script>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody<B>>) -> Self::Future {
        let clock = self.clock;
        async move {
            let fate: Fate = *request.extensions().get().expect("a fate");
            let mut body = Box::pin(request.into_body());
            match fate {
                UploadNeverRead => {}
                UploadLeft => {
                    poll_frame(body.as_mut());
                }
                _ => {
                    take_to_end(body.as_mut());
                }
            }
            match fate {
                DroppedPolled => pending().await,
                PanicInFuture => panic!("{EXPECTED}"),
                _ => fate.response(clock),
            }
        }
        .boxed()
    }
}

fn layer_and_service() -> (MetricsLayer, Metrics<Fated>) {
    let layer = MetricsLayer::new([("endpoint", "storm")]);
    let service = layer.layer(Fated {
        clock: Clock::manual(),
    });
    (layer, service)
}

/// Begins a call and returns its response, so that it can be completed later.
fn begin(service: &Metrics<Fated>) -> Answered {
    let request = Complete.request(service.get_ref().clock);
    now(service.clone().oneshot(request)).unwrap()
}

/// Makes a call that ends on this thread.
fn live(service: &mut Metrics<Fated>, fate: Fate) {
    let clock = service.get_ref().clock;
    let mut call = || {
        let future = service.call(fate.request(clock));
        match fate {
            DroppedUnpolled => drop(future),
            DroppedPolled => assert!(future.now_or_never().is_none()),
            _ => {
                if let Ok(response) = now(future) {
                    fate.take(response);
                }
            }
        }
    };
    match fate {
        PanicInFuture | PanicInBody => {
            panic::catch_unwind(AssertUnwindSafe(call)).expect_err("it was to panic");
        }
        _ => call(),
    }
}

/// Returns the numbers of these calls together.
fn sums(fates: impl IntoIterator<Item = Fate>) -> Numbers {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut requests, mut request_bytes, mut response_bytes) = (0, 0, 0);
    for fate in fates {
        let (read, taken, failure) = fate.leaves();
        requests += 1;
        request_bytes += read;
        response_bytes += taken;
        if let Some(failure) = failure {
            *counts.entry(failure).or_default() += 1;
        }
    }
    let cancellations = counts.remove("").unwrap_or(0);
    Numbers {
        requests,
        request_bytes,
        response_bytes,
        errors: errors(counts),
        cancellations,
        durations: requests,
        duration_sum: Duration::ZERO,
        concurrent: 0,
    }
}

#[track_caller]
fn assert_sums(layer: &MetricsLayer, fates: impl IntoIterator<Item = Fate>) {
    let numbers = Numbers {
        duration_sum: Duration::ZERO, // not compared, because the clock is real
        ..Numbers::of(layer)
    };
    assert_eq!(numbers, sums(fates));
}

/// Lets one test run at a time, because memory and the panic hook belong to the whole process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hides the reports of expected panics.
fn hide_expected_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if text_of(info.payload()) != Some(EXPECTED) {
                report(info);
            }
        }));
    });
}

/// Checks that only the gauge has decreased since the last scrape.
fn assert_went_on(before: &Page, after: &Page) {
    let value = |text: &str| text.parse::<f64>().unwrap();
    let later: BTreeMap<_, _> = after.samples().collect();
    for (series, text) in before.samples() {
        if !series.starts_with("concurrent_requests") {
            let now = later.get(series).expect("a series stays");
            assert!(
                value(now) >= value(text),
                "{series} went from {text} to {now}"
            );
        }
    }
}

/// Scrapes until it is told to stop, and then once more. Returns the number of scrapes.
async fn scrape(layer: MetricsLayer, done: Arc<AtomicBool>) -> usize {
    let mut last = Page::read(layer.exporter());
    for scrapes in 1.. {
        let stop = done.load(Ordering::Acquire);
        let page = Page::read(layer.exporter());
        let open = page.numbers().concurrent;
        // The gauge may exceed the number of tasks, because ends are read before beginnings.
        assert!(open >= 0, "{open} calls are open");
        assert_went_on(&last, &page);
        if stop {
            return scrapes;
        }
        last = page;
        tokio::task::yield_now().await;
    }
    unreachable!()
}

#[test]
fn sums_are_exact_and_scrapes_are_consistent() {
    let _alone = alone();
    hide_expected_panics();
    let (layer, service) = layer_and_service();
    // Some calls wait with an open response, and may end on another thread.
    let moves = |call: usize| call.is_multiple_of(16);
    let fate = move |task: usize, call: usize| match moves(call) {
        true => Complete,
        false => FATES[(task + call) % FATES.len()],
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .build()
        .unwrap();
    runtime.block_on(async {
        let done = Arc::new(AtomicBool::new(false));
        let scraper = tokio::spawn(scrape(layer.clone(), done.clone()));
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let service = service.clone();
                tokio::spawn(async move {
                    for call in 0..CALLS {
                        if moves(call) {
                            let response = begin(&service);
                            tokio::task::yield_now().await;
                            Complete.take(response);
                        } else {
                            live(&mut service.clone(), fate(task, call));
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        done.store(true, Ordering::Release);
        assert!(scraper.await.unwrap() > 1);
    });
    let all = (0..TASKS).flat_map(|task| (0..CALLS).map(move |call| fate(task, call)));
    assert_sums(&layer, all);
}

/// Returns the resident memory of this process in bytes.
#[cfg(target_os = "linux")]
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages = statm.split(' ').nth(1).unwrap();
    pages.parse::<u64>().unwrap() * 4096
}

#[cfg(not(target_os = "linux"))]
fn resident() -> u64 {
    0
}

/// More threads run at once than there are blocks, so some threads share one.
#[test]
fn short_lived_threads_are_counted_and_leak_no_memory() {
    let _alone = alone();
    const AT_ONCE: usize = 50;
    const WARM_UP: usize = THREADS / 10;
    /// Leaking the memory of each thread would cost 18 MB.
    const MOST_GROWTH: u64 = 6 << 20;

    hide_expected_panics();
    let (layer, service) = layer_and_service();
    let fate = |thread: usize| FATES[thread % FATES.len()];
    let run = |threads: std::ops::Range<usize>| {
        for first in threads.step_by(AT_ONCE) {
            let handles: Vec<_> = (first..first + AT_ONCE)
                .map(|thread| {
                    let mut service = service.clone();
                    thread::spawn(move || live(&mut service, fate(thread)))
                })
                .collect();
            for handle in handles {
                handle.join().unwrap();
            }
        }
    };
    run(0..WARM_UP);
    let before = resident();
    run(WARM_UP..THREADS);
    let growth = resident().saturating_sub(before);
    assert!(growth < MOST_GROWTH, "{growth} bytes for {THREADS} threads");
    assert_sums(&layer, (0..THREADS).map(fate));
}

#[test]
fn calls_may_begin_on_one_thread_and_end_on_another() {
    let _alone = alone();
    let (layer, service) = layer_and_service();
    let (sender, receiver) = mpsc::channel::<Answered>();
    let ender = thread::spawn(move || {
        for response in receiver {
            Complete.take(response);
        }
    });
    let beginners: Vec<_> = (0..4)
        .map(|_| {
            let (service, sender) = (service.clone(), sender.clone());
            thread::spawn(move || {
                for _ in 0..1_000 {
                    sender.send(begin(&service)).unwrap();
                }
            })
        })
        .collect();
    drop(sender);
    for thread in beginners.into_iter().chain([ender]) {
        thread.join().unwrap();
    }
    assert_sums(&layer, [Complete; 4_000]);
}

/// A destructor of a thread local ends a call and makes another one, before or after the destructor of the layer's own
/// thread local.
#[test]
fn calls_may_end_in_destructors_of_their_thread() {
    let _alone = alone();
    struct AtTheEnd {
        open: RefCell<Option<(Answered, Metrics<Fated>)>>,
    }
    impl Drop for AtTheEnd {
        fn drop(&mut self) {
            if let Some((response, mut service)) = self.open.take() {
                Complete.take(response);
                for fate in [Complete, UploadBroken, DroppedPolled, Error] {
                    live(&mut service, fate);
                }
            }
        }
    }
    thread_local! {
        static FIRST: AtTheEnd = const { AtTheEnd { open: RefCell::new(None) } };
        static LAST: AtTheEnd = const { AtTheEnd { open: RefCell::new(None) } };
    }

    let (layer, service) = layer_and_service();
    let threads = [(); 100].map(|()| {
        let service = service.clone();
        thread::spawn(move || {
            let open = || Some((begin(&service), service.clone()));
            // Destructors run in the order of first use, or in reverse. One of these two runs after the layer's own.
            FIRST.with(|first| first.open.replace(None));
            let at_first = open();
            LAST.with(|last| last.open.replace(open()));
            FIRST.with(|first| first.open.replace(at_first));
        })
    });
    for thread in threads {
        thread.join().unwrap();
    }
    let in_one = [Complete, Complete, UploadBroken, DroppedPolled, Error];
    assert_sums(&layer, [in_one; 200].concat());
}
