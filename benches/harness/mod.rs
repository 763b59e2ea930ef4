//! What the benchmarks of a request's cost have in common: one inner service, one call through it,
//! and rows that take turns.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::hint::black_box;
use std::pin::pin;
use std::sync::Barrier;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Instant;
use tower::util::ServiceFn;
use tower::{Service, service_fn};

/// A name, and what makes one call.
pub(crate) type Row<'a> = (&'a str, &'a (dyn Fn() + Sync));

pub(crate) type Answer = Ready<Result<Response<Full<Bytes>>, Infallible>>;

const ROUNDS: usize = 60;
const CALLS: u32 = 20_000;
static PAYLOAD: [u8; 1024] = [7; 1024];

/// Runs all rows in turn, in short rounds of which the median counts, for machines drift; and prints
/// what each costs beyond the first, also as a multiple of what `unit` does.
pub(crate) fn compare(threads: usize, rows: &[Row<'_>], unit: usize) {
    let mut nanos: Vec<Vec<f64>> = vec![Vec::new(); rows.len()];
    for _ in 0..ROUNDS {
        for ((_, run), nanos) in rows.iter().zip(&mut nanos) {
            nanos.push(round(threads, *run));
        }
    }
    let medians: Vec<f64> = nanos.into_iter().map(median).collect();
    let beyond = |row: usize| medians[row] - medians[0];
    let on = format!("on {threads} thread(s)");
    println!(
        "\n{on:40} {:>8} {:>8} {:>8}",
        "ns/call", "beyond", "multiple"
    );
    for (row, (name, _)) in rows.iter().enumerate() {
        let multiple = beyond(row) / beyond(unit);
        println!(
            "{name:40} {:8.1} {:8.1} {multiple:8.2}",
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

/// Answers at once with 1 KiB; asks nothing of the request's body.
pub(crate) fn answering<B>() -> ServiceFn<impl Fn(Request<B>) -> Answer + Copy> {
    service_fn(|request: Request<B>| {
        drop(black_box(request));
        ready(Ok(Response::new(Full::new(Bytes::from_static(&PAYLOAD)))))
    })
}

/// One call, from the clone that a server makes of its service to the end of
/// the response's body.
pub(crate) fn call<S, R, B>(service: &S, request: R)
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

pub(crate) fn get() -> Request<Full<Bytes>> {
    Request::new(Full::default())
}

pub(crate) fn post() -> Request<Full<Bytes>> {
    Request::new(Full::new(Bytes::from_static(&PAYLOAD)))
}
