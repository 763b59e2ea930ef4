//! Calls that a test holds in its hands, and ends where it wants to.

use crate::support::{Page, now};
use http::{Request, Response};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::LazyLock;
use std::task::{Context, Poll};
use tower::{Layer, Service};
use tower_openmetrics::classify::Head;
use tower_openmetrics::labels::{Label, RequestHead};
use tower_openmetrics::protocol::{Answer, Protocol};
use tower_openmetrics::{Call, Clock, Metrics, MetricsLayer, MetricsLayerBuilder};

/// A protocol whose answers are the calls themselves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw;

/// A service that has nothing to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done;

/// For all of the process, as a test has few of them: copied freely.
pub(crate) type Measured = &'static Metrics<Done, Raw>;

// === impl Raw ===

impl Protocol<Request<()>> for Raw {
    type Request = ();

    fn head<'a>(&self, request: &'a Request<()>) -> Option<RequestHead<'a>> {
        Some(RequestHead::of(request))
    }

    fn open(&self, _: &mut Call, _: Request<()>) {}
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

/// One that tells calls' times by a clock that stands still: so that Miri can run it, too.
pub(crate) fn builder() -> MetricsLayerBuilder<Raw> {
    static CLOCK: LazyLock<Clock> = LazyLock::new(Clock::manual);
    MetricsLayer::protocol_builder(Raw).clock(*CLOCK)
}

/// The last segment of the path.
pub(crate) fn name() -> Label {
    Label::from_request("name", |head| head.uri.path().rsplit('/').next())
}

/// What comes before that.
pub(crate) fn group() -> Label {
    Label::from_request("group", |head| head.uri.path().split('/').nth(1))
}

pub(crate) fn built(builder: MetricsLayerBuilder<Raw>) -> (MetricsLayer<Raw>, Measured) {
    let layer = builder.build(()).expect("valid settings");
    let service = Box::leak(Box::new(layer.layer(Done)));
    (layer, service)
}

// === calls ===

/// A call to this path.
pub(crate) fn begin(service: &Metrics<Done, Raw>, path: &str) -> Call {
    let request = Request::get(path).body(()).expect("a path");
    let Ok(call) = now(service.clone().call(request));
    call
}

/// Its response has come.
pub(crate) fn answer(call: &mut Call, status: u16) {
    let mut response = Response::new(());
    *response.status_mut() = status.try_into().expect("a status");
    call.response_head(&Head::of(&response));
}

/// A call to this path that is over.
pub(crate) fn call(service: &Metrics<Done, Raw>, path: &str) {
    begin(service, path).complete();
}

// === pages ===

/// A metric's values by its labels.
pub(crate) fn all<P>(layer: &MetricsLayer<P>, metric: &str) -> BTreeMap<String, i64> {
    all_of(&Page::read(layer.exporter()), metric)
}

pub(crate) fn all_of(page: &Page, metric: &str) -> BTreeMap<String, i64> {
    let all = page.all(metric);
    all.map(|(labels, value)| (labels.to_owned(), value.parse().expect("an integer")))
        .collect()
}

/// The sum of a metric over its labels.
pub(crate) fn sum<P>(layer: &MetricsLayer<P>, metric: &str) -> i64 {
    all(layer, metric).values().sum()
}

/// A metric's values by what stands between the braces.
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
