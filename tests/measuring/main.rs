//! The metrics that a layer only has if it is told to: each with all endings of a call, by a clock that the test moves.

mod items;
mod on_end;
mod open;
mod polls;
#[path = "../support/mod.rs"]
mod support;
mod waits;

use self::support::{Script, Step, now};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use std::time::Duration;
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_openmetrics::protocol::Http;
use tower_openmetrics::testing::Snapshot;
use tower_openmetrics::{Clock, MetricsLayer, MetricsLayerBuilder, ResponseBody};

type Body = ResponseBody<Script>;

/// A layer with a manual clock, whose handler takes a second and answers with a scripted body.
struct Stage {
    clock: Clock,
    layer: MetricsLayer<Http>,
}

impl Stage {
    fn new(set: impl FnOnce(MetricsLayerBuilder) -> MetricsLayerBuilder) -> Self {
        let clock = Clock::manual();
        let layer = set(MetricsLayer::builder().clock(clock)).build(()).unwrap();
        Self { clock, layer }
    }

    fn request() -> Request<Empty<Bytes>> {
        Request::new(Empty::new())
    }

    /// Makes a call that answers with this script.
    fn call(&self, steps: impl IntoIterator<Item = Step>) -> Body {
        let body = Script::new(self.clock, steps);
        let mut body = Some(body);
        let clock = self.clock;
        let service = service_fn(move |_| {
            clock.advance(support::SECOND);
            let body = body.take().expect("one call");
            async { Ok::<_, BoxError>(Response::new(body)) }
        });
        let response = now(self.layer.layer(service).oneshot(Self::request()));
        response.unwrap().into_body()
    }

    fn numbers(&self) -> Snapshot {
        Snapshot::of(self.layer.registry())
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
