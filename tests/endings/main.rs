//! Every outcome of a call, with the real types: one row each, with all numbers of the layer.

mod answers;
mod futures;
mod heads;
mod panics;
#[path = "../support/mod.rs"]
mod support;
mod uploads;

use self::Ending::{Cancelled, Completed, Failed};
use self::support::{Numbers, SECOND, Script, errors, now};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Empty;
use std::pin::pin;
use std::time::Duration;
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
use tower_openmetrics::classify::{Classify, HttpStatus};
use tower_openmetrics::protocol::Http;
use tower_openmetrics::{Clock, MetricsLayer, RequestBody, ResponseBody};

/// The three outcomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Completed,
    Cancelled,
    Failed(&'static str),
}

/// A layer with a manual clock.
struct Stage<C = HttpStatus> {
    clock: Clock,
    layer: MetricsLayer<Http<C>>,
}

/// The expected numbers of one call.
#[derive(Clone, Copy, Debug)]
struct Expected {
    ending: Ending,
    request_bytes: u64,
    response_bytes: u64,
    seconds: u32,
    is_timed: bool,
}

type Answered<C = HttpStatus> = Result<Response<ResponseBody<Script, C>>, BoxError>;

// === impl Stage ===

impl Stage {
    fn new() -> Self {
        Self::classified_by(HttpStatus)
    }
}

impl<C: Classify> Stage<C> {
    fn classified_by(classifier: C) -> Self {
        let clock = Clock::manual();
        let layer = MetricsLayer::builder().clock(clock).classifier(classifier);
        let layer = layer.build([("endpoint", "stage")]).unwrap();
        Self { clock, layer }
    }

    fn empty(&self) -> Script {
        Script::new(self.clock, []).knows_its_end(true)
    }

    /// Makes one call, to which `handler` responds after a [`SECOND`].
    fn call<B>(
        &self,
        request: Request<B>,
        handler: impl FnOnce(Request<RequestBody<B>>) -> Result<Response<Script>, BoxError>,
    ) -> Answered<C>
    where
        B: Body,
        B::Error: 'static,
    {
        support::call(&self.layer, self.clock, request, handler)
    }

    #[track_caller]
    fn expect(&self, row: &str, expected: Expected) {
        expected.check(row, &Numbers::of(&self.layer));
    }
}

// === impl Expected ===

impl Ending {
    /// This outcome without bytes, after `seconds`.
    fn after(self, seconds: u32) -> Expected {
        Expected {
            ending: self,
            request_bytes: 0,
            response_bytes: 0,
            seconds,
            is_timed: true,
        }
    }
}

impl Expected {
    fn request_bytes(self, request_bytes: u64) -> Self {
        Self {
            request_bytes,
            ..self
        }
    }

    fn response_bytes(self, response_bytes: u64) -> Self {
        Self {
            response_bytes,
            ..self
        }
    }

    /// Without a duration, for an upgrade without a guard.
    fn upgrades(self, is_upgrade: bool) -> Self {
        Self {
            is_timed: !is_upgrade,
            ..self
        }
    }

    /// Checks that this call was counted, and no other.
    #[track_caller]
    fn check(self, row: &str, numbers: &Numbers) {
        let Self {
            ending,
            request_bytes,
            response_bytes,
            seconds,
            is_timed,
        } = self;
        let expected = Numbers {
            requests: 1,
            request_bytes,
            response_bytes,
            errors: match ending {
                Failed(error_type) => errors([(error_type, 1)]),
                Completed | Cancelled => errors([]),
            },
            cancellations: u64::from(ending == Cancelled),
            durations: u64::from(is_timed),
            duration_sum: if is_timed {
                SECOND * seconds
            } else {
                Duration::ZERO
            },
            concurrent: 0,
        };
        assert_eq!(*numbers, expected, "{row}");

        let completed = u64::from(ending == Completed);
        let ended = completed + numbers.failed() + numbers.cancellations;
        assert_eq!(numbers.requests, ended);
    }
}

fn get() -> Request<Empty<Bytes>> {
    Request::new(Empty::new())
}

#[test]
fn a_call_counts_at_its_end_and_bytes_count_at_once() {
    use support::Step::Data;
    let stage = Stage::new();
    let upload = Script::<BoxError>::new(stage.clock, [Data("abc")]);
    let response = stage.call(Request::new(upload), |request| {
        support::take_to_end(pin!(request.into_body()));
        let body = Script::new(stage.clock, [Data("de"), Data("f")]);
        Ok(Response::new(body))
    });
    let mut body = Box::pin(response.unwrap().into_body());
    support::take_frames(body.as_mut(), 1);

    let open = Numbers {
        requests: 0,
        request_bytes: 3,
        response_bytes: 2,
        errors: errors([]),
        cancellations: 0,
        durations: 0,
        duration_sum: Duration::ZERO,
        concurrent: 1,
    };
    assert_eq!(Numbers::of(&stage.layer), open);

    support::take_to_end(body.as_mut());
    let ended = Completed.after(4).request_bytes(3).response_bytes(3);
    stage.expect("before the body is dropped", ended);
    drop(body);
    stage.expect("after it", ended);
}

#[test]
fn nested_layers_count_separately() {
    use support::Step::Data;
    let (outer, inner) = (Stage::new(), Stage::new());
    let service = ServiceBuilder::new()
        .layer(outer.layer.clone())
        .layer(inner.layer.clone())
        .service(service_fn(async |request: Request<_>| {
            support::take_to_end(pin!(request.into_body()));
            let body = Script::<BoxError>::new(outer.clock, [Data("ab"), Data("c")]);
            Ok::<_, BoxError>(Response::new(body))
        }));
    let upload = Script::<BoxError>::new(Clock::manual(), [Data("wxyz")]);
    let response = now(service.oneshot(Request::new(upload))).unwrap();
    let mut body = Box::pin(response.into_body());
    support::take_frames(body.as_mut(), 1);
    drop(body);

    let expected = Cancelled.after(0).request_bytes(4).response_bytes(2);
    inner.expect("inner", expected);
    outer.expect(
        "outer",
        Expected {
            seconds: 1,
            ..expected
        },
    );
}
