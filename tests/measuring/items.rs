use super::support::{Step, now, take_frames, take_to_end};
use super::{Stage, seconds};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use std::convert::Infallible;
use std::pin::pin;
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_openmetrics::message::{self, Own};
use tower_openmetrics::testing::Snapshot;
use tower_openmetrics::{
    Clock, Message, MetricsLayer, MetricsLayerBuilder, assert_metrics, labels,
};

fn all<P>(builder: MetricsLayerBuilder<P>) -> MetricsLayerBuilder<P> {
    builder
        .items_total(true)
        .first_item_seconds(true)
        .first_item_buckets([1.0, 2.0, 3.0, 10.0])
        .item_gap_seconds(true)
        .item_gap_buckets([0.5, 1.0, 2.0, 10.0])
        .time_per_item_seconds(true)
        .time_per_item_buckets([0.5, 1.0, 2.0, 10.0])
}

/// Server-sent events, of which one with `t` is a token.
fn stage() -> Stage {
    Stage::new(|builder| {
        all(builder)
            .items_in_frames(|frame| frame.iter().filter(|byte| **byte == b't').count() as u64)
    })
}

#[test]
fn frames_that_are_no_items_do_not_end_the_wait_for_the_first_one() {
    let stage = stage();
    // The head at 1 s, the role at 2 s, tokens at 3, 4 and 6 s, a keep-alive at 5 s, the end at 7 s.
    let texts = ["role", "t", "t", ": keep-alive", "t", "done"];
    let body = stage.call(texts.map(Step::Data));
    take_to_end(pin!(body));
    assert_metrics!(stage.numbers(), {
        "items_total" => 3,
        "first_item_seconds" => [3.0],
        "item_gap_seconds" => [1.0, 2.0],
        // From 3 s to 7 s, for two items.
        "time_per_item_seconds" => [2.0],
        "requests_total" => 1,
    });
}

#[test]
fn items_that_come_together_make_one_gap() {
    let stage = stage();
    let body = stage.call(["ttt", "tt"].map(Step::Data));
    take_to_end(pin!(body));
    assert_metrics!(stage.numbers(), {
        "items_total" => 5,
        "first_item_seconds" => [2.0],
        "item_gap_seconds" => [1.0],
    });
}

#[test]
fn items_count_when_they_come_and_time_per_item_only_if_all_have_come() {
    let cancelled = stage();
    let body = cancelled.call(["t", "t", "t"].map(Step::Data));
    let mut body = Box::pin(body);
    take_frames(body.as_mut(), 2);
    let expect = |stage: &Stage, requests: i32| {
        assert_metrics!(stage.numbers(), {
            "items_total" => 2,
            "first_item_seconds" => [2.0],
            "item_gap_seconds" => [1.0],
            "time_per_item_seconds" => [],
            "requests_total" => requests,
        });
    };
    expect(&cancelled, 0);
    drop(body);
    expect(&cancelled, 1);

    let failed = stage();
    let steps = [
        Step::Data("t"),
        Step::Data("t"),
        Step::Fail(|| "gone".into()),
    ];
    take_to_end(pin!(failed.call(steps)));
    expect(&failed, 1);
    assert_metrics!(failed.numbers(), { "errors_total" => 1 });
}

#[test]
fn a_response_without_items_has_no_times_of_items() {
    let stage = stage();
    take_to_end(pin!(stage.call(["role", "done"].map(Step::Data))));
    take_to_end(pin!(stage.call([Step::Trailers])));
    assert_metrics!(stage.numbers(), {
        "items_total" => 0,
        "first_item_seconds" => [],
        "item_gap_seconds" => [],
        "time_per_item_seconds" => [],
        "requests_total" => 2,
    });
}

/// One item has no others to divide by.
#[test]
fn a_single_item_has_no_time_per_item() {
    let stage = stage();
    take_to_end(pin!(stage.call([Step::Data("t")])));
    assert_metrics!(stage.numbers(), {
        "items_total" => 1,
        "first_item_seconds" => [2.0],
        "time_per_item_seconds" => [],
    });
}

#[test]
fn the_last_frame_counts_before_the_call_ends() {
    let stage = stage();
    let body = stage.call(["t", "t"].map(Step::Data));
    // A caller that takes no more than the content's length.
    let mut body = Box::pin(body);
    take_frames(body.as_mut(), 2);
    drop(body);
    assert_metrics!(stage.numbers(), { "items_total" => 2, "item_gap_seconds" => [1.0] });
}

/// A counter that wrapped would go back.
#[test]
fn counts_beyond_reason_are_cut() {
    let stage = Stage::new(|builder| all(builder).items_in_frames(|_| u64::MAX));
    take_to_end(pin!(stage.call(["t", "t"].map(Step::Data))));
    assert_metrics!(stage.numbers(), { "items_total" => 2 * u64::from(u32::MAX) });
}

#[test]
fn a_panic_while_items_are_found_fails_the_call() {
    let stage = Stage::new(|builder| all(builder).items_in_frames(|_| panic!("no items")));
    let body = stage.call([Step::Data("t")]);
    super::support::panic_of(|| take_to_end(pin!(body)));
    assert_metrics!(stage.numbers(), {
        "errors_total" {error_type = "panic"} => 1,
        "concurrent_requests" => 0,
        "items_total" => 0,
    });
}

#[test]
fn a_message_of_a_stream_is_as_many_items_as_it_says() {
    struct Tokens(u64);
    impl Message for Tokens {
        fn size(&self) -> u64 {
            7
        }
        fn items(&self) -> u64 {
            self.0
        }
    }
    let clock = Clock::manual();
    let layer = all(MetricsLayer::streaming_builder()).clock(clock);
    let layer = layer.build(()).unwrap();
    let service = layer.layer(service_fn(async |_: ()| {
        let tokens = stream::iter([0, 1, 4].map(Tokens));
        Ok::<_, Infallible>(tokens.inspect(move |_| clock.advance(seconds(1))))
    }));
    let items = now(service.oneshot(())).unwrap();
    assert_eq!(now(items.count()), 3);
    assert_metrics!(Snapshot::of(layer.registry()), {
        "items_total" => 5,
        "first_item_seconds" => [2.0],
        "item_gap_seconds" => [1.0],
        "response_bytes_total" => 21,
    });
}

/// Items count when the sink has flushed them, as messages do.
#[test]
fn published_items_count_once_they_are_flushed() {
    let measure = message::items(Own, |text: &&str| u64::from(!text.is_empty()));
    let builder = MetricsLayer::streaming_builder().measure_items(measure);
    let layer = all(builder).build(()).unwrap();
    let service = layer.layer(service_fn(async |_: ()| {
        Ok::<_, Infallible>(stream::iter(["to", "", "be"]))
    }));
    let items = now(service.oneshot(())).unwrap();
    let mut taken = Vec::new();
    now(items.publish(&mut taken)).unwrap();
    assert_eq!(taken, ["to", "", "be"]);
    assert_metrics!(Snapshot::of(layer.registry()), {
        "items_total" => 2,
        // They were flushed together.
        "first_item_seconds_count" => 1,
        "item_gap_seconds" => [],
    });
}

#[test]
fn a_unary_answer_has_items_too() {
    let tokens = |tokens: &Vec<u8>| tokens.len() as u64;
    let measure = message::items(Own, tokens);
    let builder = MetricsLayer::unary_builder().measure_responses(measure);
    let layer = all(builder).build(()).unwrap();
    let service = layer.layer(service_fn(async |_: ()| {
        Ok::<_, Infallible>(vec![1u8, 2, 3])
    }));
    now(service.oneshot(())).unwrap();
    assert_metrics!(Snapshot::of(layer.registry()), { "items_total" => 3, "first_item_seconds" => [0.0] });
}

/// A message of gRPC: its prefix and two bytes.
const MESSAGE: &[u8] = b"\0\0\0\0\x02to";

fn grpc(builder: MetricsLayerBuilder<tower_openmetrics::protocol::Grpc>) -> Snapshot {
    let layer = all(builder).build(()).unwrap();
    let service = layer.layer(service_fn(async |_: Request<_>| {
        let trailers =
            HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
        let body = Full::<Bytes>::from([MESSAGE, MESSAGE].concat());
        let body = http_body_util::BodyExt::with_trailers(body, async { Some(Ok(trailers)) });
        let response = Response::builder().header("content-type", "application/grpc");
        Ok::<_, BoxError>(response.body(body).unwrap())
    }));
    let request = Request::post("/a.B/C").header("content-type", "application/grpc");
    let request = request.body(Full::<Bytes>::default()).unwrap();
    let response = now(service.oneshot(request)).unwrap();
    take_to_end(pin!(response.into_body()));
    Snapshot::of(layer.registry())
}

#[test]
fn each_message_of_grpc_is_an_item() {
    assert_metrics!(grpc(MetricsLayer::grpc_builder()), {
        "items_total" => 2,
        "response_messages_total" => 2,
        "first_item_seconds_count" => 1,
        "requests_total" => 1,
    });
}

#[test]
fn items_found_in_frames_replace_messages() {
    let builder = MetricsLayer::grpc_builder().items_in_frames(|frame| frame.len() as u64);
    assert_metrics!(grpc(builder), { "items_total" => 14, "response_messages_total" => 2 });
}

#[test]
fn items_carry_the_labels_of_the_response() {
    let stage = Stage::new(|builder| {
        let builder = builder.label(labels::Label::method());
        all(builder.label(labels::Label::status())).items_in_frames(|frame| frame.len() as u64)
    });
    take_to_end(pin!(stage.call([Step::Data("abc")])));
    assert_metrics!(stage.numbers(), {
        "items_total" {method = "GET", status = "200"} => 3,
        "first_item_seconds_count" {method = "GET", status = "200"} => 1,
    });
}
