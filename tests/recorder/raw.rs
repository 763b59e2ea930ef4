//! Calls that a test holds and ends itself.

use crate::support::{Page, now};
use http::{Request, Response};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::LazyLock;
use std::task::{Context, Poll};
use tower::{Layer, Service};
use tower_openmetrics::classify::Head;
use tower_openmetrics::labels::{Code, Label, RequestHead};
use tower_openmetrics::protocol::{Answer, Protocol};
use tower_openmetrics::{Call, Clock, Metrics, MetricsLayer, MetricsLayerBuilder};

/// A protocol whose responses are the calls themselves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw;

/// A service that does nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done;

/// A leaked service, which can be copied. A test has few of them.
pub(crate) type Measured = &'static Metrics<Done, Raw>;

// === impl Raw ===

impl Protocol<Request<()>> for Raw {
    type Request = ();

    fn head<'a>(&self, request: &'a Request<()>) -> Option<RequestHead<'a>> {
        Some(RequestHead::of(request))
    }

    fn open(&mut self, _: &mut Call, _: Request<()>) {}
}

impl Answer<(), Infallible> for Raw {
    type Response = Call;

    fn answer(&self, call: Call, (): ()) -> Call {
        call
    }

    fn failed(&self, _: Call, error: &Infallible) {
        match *error {}
    }
}

// === impl Done ===

impl Service<()> for Done {
    type Response = ();
    type Error = Infallible;
    type Future = Ready<Result<(), Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(()))
    }
}

// === layers ===

/// Returns a builder with a clock that stands still, so that Miri can run the tests.
pub(crate) fn builder() -> MetricsLayerBuilder<Raw> {
    static CLOCK: LazyLock<Clock> = LazyLock::new(Clock::manual);
    MetricsLayer::protocol_builder(Raw).clock(*CLOCK)
}

/// Returns a label with the last segment of the path.
pub(crate) fn name() -> Label {
    Label::from_request("name", |head| head.uri.path().rsplit('/').next())
}

/// Returns a label with the segments before that.
pub(crate) fn group() -> Label {
    Label::from_request("group", |head| head.uri.path().split('/').nth(1))
}

pub(crate) fn built(builder: MetricsLayerBuilder<Raw>) -> (MetricsLayer<Raw>, Measured) {
    let layer = builder.build(()).expect("valid settings");
    let service = Box::leak(Box::new(layer.layer(Done)));
    (layer, service)
}

// === calls ===

/// Begins a call to this path.
pub(crate) fn begin(service: &Metrics<Done, Raw>, path: &str) -> Call {
    let request = Request::get(path).body(()).expect("a path");
    let Ok(call) = now(service.clone().call(request));
    call
}

/// Gives the call a response head.
pub(crate) fn answer(call: &mut Call, status: u16) {
    let mut response = Response::new(());
    *response.status_mut() = status.try_into().expect("a status");
    call.response_head(&Head::of(&response));
}

/// Returns the code at this index in the names of a label.
pub(crate) fn code_at(index: usize) -> Code {
    Code::new(&[""; 100], index).expect("no more codes than that")
}

/// Makes a call to this path and completes it.
pub(crate) fn call(service: &Metrics<Done, Raw>, path: &str) {
    begin(service, path).complete();
}

// === pages ===

/// Returns the values of a metric by its labels.
pub(crate) fn all<P>(layer: &MetricsLayer<P>, metric: &str) -> BTreeMap<String, i64> {
    all_of(&Page::read(layer.exporter()), metric)
}

pub(crate) fn all_of(page: &Page, metric: &str) -> BTreeMap<String, i64> {
    let all = page.all(metric);
    all.map(|(labels, value)| (labels.to_owned(), value.parse().expect("an integer")))
        .collect()
}

/// Returns the sum of a metric over all labels.
pub(crate) fn sum<P>(layer: &MetricsLayer<P>, metric: &str) -> i64 {
    all(layer, metric).values().sum()
}

/// Checks the values of a metric, by the text between the braces.
#[track_caller]
pub(crate) fn assert_all<P>(layer: &MetricsLayer<P>, metric: &str, expected: &[(&str, i64)]) {
    let expected = expected.iter().map(|(labels, value)| {
        let labels = match *labels {
            "" => String::new(),
            labels => format!("{{{labels}}}"),
        };
        (labels, *value)
    });
    let expected: BTreeMap<_, _> = expected.collect();
    assert_eq!(all(layer, metric), expected, "{metric}");
}
