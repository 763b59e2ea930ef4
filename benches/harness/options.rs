//! Contenders for the price of each option that measures waits, items and polls. The first of each table has no option.

use super::layers::{built, measured};
use super::service::{Answering, Frames, Items, PAYLOAD};
use super::streams::{COUNT, calls, empty, streamed};
use super::{Contender, Reading, Table, call, post};
use bytes::Bytes;
use http::{HeaderValue, Request};
use http_body_util::Full;
use std::convert::Infallible;
use std::future::ready;
use std::hint::black_box;
use std::mem;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};
use tower::{Layer, Service, service_fn};
use tower_openmetrics::{EndedCall, MetricsLayer, MetricsLayerBuilder};

/// Is not ready when it is first asked, and answers as [`Reading`] does.
#[derive(Clone, Copy, Debug)]
struct Unready {
    has_been_asked: bool,
}

pub(crate) fn tables() -> Vec<Table> {
    vec![
        options_of_calls(),
        waits(),
        queue_waits(),
        frames(),
        items(),
    ]
}

fn options_of_calls() -> Table {
    let with = |name, builder| measured(name, built(builder).layer(Reading));
    let hear = |call: &EndedCall<'_>| {
        black_box(call.duration());
    };
    let contenders = vec![
        with("without", http()),
        with("ready-wait", http().ready_wait_seconds(true)),
        with("oldest", http().oldest_request_age_seconds(true)),
        with("longest", http().requests_longest_seconds(true)),
        with("polls", http().handler_poll_seconds(true)),
        with("slow-polls", http().slow_polls_total(SLOW)),
        with("on-end", http().on_end(hear)),
    ];
    ("a call", contenders)
}

fn waits() -> Table {
    let with = |name, builder, waits| {
        let unready = Unready {
            has_been_asked: false,
        };
        let layer = built(builder);
        let service = layer.layer(unready);
        Contender::new(name, move || wait_and_call(&service)).counting(
            &layer,
            "ready_wait_seconds_count",
            waits,
        )
    };
    let contenders = vec![
        with("wait-without", http(), 0),
        with("wait", http().ready_wait_seconds(true), 1),
    ];
    ("a call after a wait", contenders)
}

fn queue_waits() -> Table {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let start = format!("t={:.3}", now.unwrap_or_default().as_secs_f64());
    let start = HeaderValue::try_from(start).expect("digits are a valid value");
    let with = |name, builder, waits| {
        let (layer, start) = (built(builder), start.clone());
        let service = layer.layer(Reading);
        Contender::new(name, move || call(&service, from_proxy(start.clone()))).counting(
            &layer,
            "queue_wait_seconds_count",
            waits,
        )
    };
    let contenders = vec![
        with("queue-wait-without", http(), 0),
        with("queue-wait", http().queue_wait_seconds(true), 1),
    ];
    ("a call from a proxy", contenders)
}

fn frames() -> Table {
    let with = |name, builder, items| {
        let layer = built(builder);
        let service = layer.layer(Answering(Frames::of(&PAYLOAD, COUNT)));
        calls(name, service, empty).counting(&layer, "items_total", items)
    };
    let counting = || http().items_in_frames(|_| 1).items_total(true);
    let contenders = vec![
        with("frame", http(), 0),
        with("frame-items", counting(), COUNT),
        with("frame-gaps", counting().item_gap_seconds(true), COUNT),
        with("frame-polls", http().handler_poll_seconds(true), 0),
        with("frame-slow-polls", http().slow_polls_total(SLOW), 0),
    ];
    ("a frame", contenders)
}

fn items() -> Table {
    let with = |name, builder| {
        let answering = service_fn(|_: Bytes| ready(Ok::<_, Infallible>(Items::of(COUNT))));
        streamed(name, built(builder).layer(answering), Bytes::new)
    };
    let streaming = MetricsLayer::streaming_builder;
    let contenders = vec![
        with("item", streaming()),
        with("item-items", streaming().items_total(true)),
        with(
            "item-gaps",
            streaming().items_total(true).item_gap_seconds(true),
        ),
        with("item-polls", streaming().handler_poll_seconds(true)),
    ];
    ("an item", contenders)
}

const SLOW: Duration = Duration::from_millis(10);

fn http() -> MetricsLayerBuilder {
    MetricsLayer::builder()
}

fn from_proxy(start: HeaderValue) -> Request<Full<Bytes>> {
    let mut request = post();
    request.headers_mut().insert("x-request-start", start);
    request
}

/// Asks the service twice whether it is ready, and makes a call whose response is dropped.
fn wait_and_call<S>(service: &S)
where
    S: Service<Request<Full<Bytes>>> + Clone,
{
    let mut cx = Context::from_waker(Waker::noop());
    let mut service = service.clone();
    let _ = black_box(service.poll_ready(&mut cx));
    let _ = black_box(service.poll_ready(&mut cx));
    let mut future = pin!(service.call(post()));
    let _ = black_box(future.as_mut().poll(&mut cx));
}

// === impl Unready ===

impl<R> Service<R> for Unready
where
    Reading: Service<R>,
{
    type Response = <Reading as Service<R>>::Response;
    type Error = <Reading as Service<R>>::Error;
    type Future = <Reading as Service<R>>::Future;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        match mem::replace(&mut self.has_been_asked, true) {
            true => Reading.poll_ready(cx),
            false => Poll::Pending,
        }
    }

    #[inline]
    fn call(&mut self, request: R) -> Self::Future {
        Reading.call(request)
    }
}
