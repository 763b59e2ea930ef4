//! What a request costs: the same ready service with and without the layer, its body of 1 KiB
//! drained to the end, beside the least that shared counters would cost.
//!
//! ```text
//! cargo bench --bench overhead
//! ```
//!
//! All rows take turns in short rounds and the median round counts, for
//! machines drift: compare rows of one run, never two runs.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::hint::black_box;
use std::pin::pin;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Instant;
use tower::util::ServiceFn;
use tower::{Layer, Service, service_fn};
use tower_openmetrics::MetricsLayer;

const ROUNDS: usize = 60;
const CALLS: u32 = 20_000;
static PAYLOAD: [u8; 1024] = [7; 1024];

type Answer = Ready<Result<Response<Full<Bytes>>, Infallible>>;

fn main() {
    let layer = MetricsLayer::new([("endpoint", "a")]);
    let measured = layer.layer(answering());
    let measured_upload = layer.layer(answering());
    let rows: [(&str, &(dyn Fn() + Sync)); 4] = [
        ("without the layer", &|| call(&answering(), get())),
        ("two clocks, 8 shared atomics", &|| by_hand(&answering())),
        ("with the layer", &|| call(&measured, get())),
        ("with the layer, uploading", &|| {
            call(&measured_upload, post());
        }),
    ];
    for threads in [1, 2] {
        print(threads, &rows);
    }
}

/// Runs all rows in turn and prints what each costs beyond the first, also as
/// a multiple of what the second does.
fn print(threads: usize, rows: &[(&str, &(dyn Fn() + Sync))]) {
    let mut nanos: Vec<Vec<f64>> = vec![Vec::new(); rows.len()];
    for _ in 0..ROUNDS {
        for ((_, run), nanos) in rows.iter().zip(&mut nanos) {
            nanos.push(round(threads, *run));
        }
    }
    let medians: Vec<f64> = nanos.into_iter().map(median).collect();
    let beyond = |row: usize| medians[row] - medians[0];
    println!("\n{threads} thread(s)                      ns/call  beyond  × shared");
    for (row, (name, _)) in rows.iter().enumerate() {
        let multiple = beyond(row) / beyond(1);
        println!(
            "{name:30} {:8.1} {:7.1} {multiple:9.2}",
            medians[row],
            beyond(row)
        );
    }
}

/// Nanoseconds per call, with every thread making calls of its own.
fn round(threads: usize, run: &(dyn Fn() + Sync)) -> f64 {
    let start = Barrier::new(threads);
    let slowest = thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    let began = Instant::now();
                    for _ in 0..CALLS {
                        run();
                    }
                    began.elapsed()
                })
            })
            .collect();
        let times = handles.into_iter().filter_map(|handle| handle.join().ok());
        times.max().unwrap_or_default()
    });
    slowest.as_nanos() as f64 / f64::from(CALLS)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Answers at once; asks nothing of the request's body.
fn answering<B>() -> ServiceFn<impl Fn(Request<B>) -> Answer + Copy> {
    service_fn(|request: Request<B>| {
        drop(black_box(request));
        ready(Ok(Response::new(Full::new(Bytes::from_static(&PAYLOAD)))))
    })
}

/// One call, from the clone that a server makes of its service to the end of
/// the response's body.
fn call<S, R, B>(service: &S, request: R)
where
    S: Service<R, Response = Response<B>> + Clone,
    B: http_body::Body,
{
    let mut cx = Context::from_waker(Waker::noop());
    let mut service = service.clone();
    let mut future = pin!(service.call(request));
    let Poll::Ready(Ok(response)) = future.as_mut().poll(&mut cx) else {
        unreachable!("the service answers at once");
    };
    let mut body = pin!(response.into_body());
    while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut cx) {
        let _ = black_box(frame);
    }
}

/// The floor of all that counts in shared numbers: nothing but two readings of
/// the clock and eight of them.
fn by_hand<S, B>(service: &S)
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
    B: http_body::Body,
{
    static SHARED: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];
    let began = Instant::now();
    for counter in &SHARED[..4] {
        counter.fetch_add(1, Ordering::Relaxed);
    }
    call(service, get());
    let nanos = began.elapsed().as_nanos() as u64;
    for counter in &SHARED[4..] {
        counter.fetch_add(nanos, Ordering::Relaxed);
    }
}

fn get() -> Request<Full<Bytes>> {
    Request::new(Full::default())
}

fn post() -> Request<Full<Bytes>> {
    Request::new(Full::new(Bytes::from_static(&PAYLOAD)))
}
