//! The preset for model servers.

use super::all;
use crate::support::Step::{self, Bytes as Message, Data, Field};
use crate::support::{Page, SECOND, Script, now, page_of, take_to_end};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{Request, Response};
use http_body_util::Full;
use std::convert::Infallible;
use std::future::ready;
use std::pin::pin;
use tower::{Layer, ServiceExt, service_fn};
use tower_openmetrics::labels::Label;
use tower_openmetrics::message::{self, Measure, Own};
use tower_openmetrics::protocol::{One, Streaming};
use tower_openmetrics::{Clock, MetricsLayer, MetricsLayerBuilder};

/// What an engine answers at once.
type Chunk = Result<&'static str, &'static str>;

const DURATION: &str = "gen_ai_server_request_duration_seconds";
const FIRST: &str = "gen_ai_server_time_to_first_token_seconds";
const PER_TOKEN: &str = "gen_ai_server_time_per_output_token_seconds";

/// A call of an engine that answers these chunks, each of which takes a second.
fn generate<A>(
    layer: &MetricsLayer<Streaming<One, A>>,
    clock: Clock,
    chunks: &'static [Chunk],
) -> impl Stream<Item = Chunk> + use<A>
where
    A: Measure<Chunk> + Clone,
{
    let engine = service_fn(move |_: &str| {
        let chunks = stream::iter(chunks.iter().copied());
        ready(Ok::<_, Infallible>(
            chunks.inspect(move |_| clock.advance(SECOND)),
        ))
    });
    let Ok(answer) = now(layer.layer(engine).oneshot("a prompt"));
    answer
}

/// Checks the counts and the sums of these histograms. Each has one series.
#[track_caller]
fn expect<P>(layer: &MetricsLayer<P>, expected: &[(&str, u64, &str)]) {
    let page = Page::read(layer.exporter());
    for (name, count, sum) in expected {
        let seen = ["count", "sum"].map(|suffix| page.one(&format!("{name}_{suffix}")).to_owned());
        assert_eq!(seen, [count.to_string(), (*sum).to_owned()], "{name}");
    }
}

/// Returns the label `error_type` of the only call.
#[track_caller]
fn error_type<P>(layer: &MetricsLayer<P>) -> String {
    let all = all(layer, &format!("{DURATION}_count"));
    let [(labels, _)] = &all[..] else {
        panic!("expected one label set: {all:?}");
    };
    let value = labels.strip_prefix(r#"{error_type=""#).unwrap();
    value.strip_suffix(r#""}"#).unwrap().to_owned()
}

fn has<P>(layer: &MetricsLayer<P>, name: &str) -> bool {
    Page::read(layer.exporter())
        .all(&format!("{name}_count"))
        .count()
        > 0
}

const PAGE: &str = r#"# HELP gen_ai_server_active_requests Calls in flight
# TYPE gen_ai_server_active_requests gauge
gen_ai_server_active_requests{gen_ai_operation_name="chat",gen_ai_request_model="bard"} 0
# HELP gen_ai_server_label_overflow Calls beyond the cardinality limit, recorded under _OTHER
# TYPE gen_ai_server_label_overflow counter
gen_ai_server_label_overflow_total{gen_ai_operation_name="chat"} 0
# HELP gen_ai_server_request_bytes Bytes of requests that the service has read
# TYPE gen_ai_server_request_bytes counter
# UNIT gen_ai_server_request_bytes bytes
gen_ai_server_request_bytes_total{gen_ai_operation_name="chat",gen_ai_request_model="bard"} 8
# HELP gen_ai_server_request_duration_seconds Time from the beginning of a call to the end of its response
# TYPE gen_ai_server_request_duration_seconds histogram
# UNIT gen_ai_server_request_duration_seconds seconds
gen_ai_server_request_duration_seconds_bucket{error_type="",gen_ai_operation_name="chat",gen_ai_request_model="bard",le="2.5"} 0
gen_ai_server_request_duration_seconds_bucket{error_type="",gen_ai_operation_name="chat",gen_ai_request_model="bard",le="+Inf"} 1
gen_ai_server_request_duration_seconds_sum{error_type="",gen_ai_operation_name="chat",gen_ai_request_model="bard"} 3.0
gen_ai_server_request_duration_seconds_count{error_type="",gen_ai_operation_name="chat",gen_ai_request_model="bard"} 1
# HELP gen_ai_server_response_bytes Bytes of responses that the caller has taken
# TYPE gen_ai_server_response_bytes counter
# UNIT gen_ai_server_response_bytes bytes
gen_ai_server_response_bytes_total{gen_ai_operation_name="chat",gen_ai_request_model="bard"} 16
# HELP gen_ai_server_time_per_output_token_seconds Time per token of a completed response after its first token
# TYPE gen_ai_server_time_per_output_token_seconds histogram
# UNIT gen_ai_server_time_per_output_token_seconds seconds
gen_ai_server_time_per_output_token_seconds_bucket{gen_ai_operation_name="chat",gen_ai_request_model="bard",le="0.25"} 0
gen_ai_server_time_per_output_token_seconds_bucket{gen_ai_operation_name="chat",gen_ai_request_model="bard",le="+Inf"} 1
gen_ai_server_time_per_output_token_seconds_sum{gen_ai_operation_name="chat",gen_ai_request_model="bard"} 0.4
gen_ai_server_time_per_output_token_seconds_count{gen_ai_operation_name="chat",gen_ai_request_model="bard"} 1
# HELP gen_ai_server_time_to_first_token_seconds Time from the beginning of a call to the first token of its response
# TYPE gen_ai_server_time_to_first_token_seconds histogram
# UNIT gen_ai_server_time_to_first_token_seconds seconds
gen_ai_server_time_to_first_token_seconds_bucket{gen_ai_operation_name="chat",gen_ai_request_model="bard",le="1.0"} 1
gen_ai_server_time_to_first_token_seconds_bucket{gen_ai_operation_name="chat",gen_ai_request_model="bard",le="+Inf"} 1
gen_ai_server_time_to_first_token_seconds_sum{gen_ai_operation_name="chat",gen_ai_request_model="bard"} 1.0
gen_ai_server_time_to_first_token_seconds_count{gen_ai_operation_name="chat",gen_ai_request_model="bard"} 1
# HELP uptime_seconds Time since the registry was created
# TYPE uptime_seconds gauge
# UNIT uptime_seconds seconds
uptime_seconds 3.0
# EOF
"#;

/// Six tokens in three seconds. The first one comes in the first second, and the other five take two seconds.
#[test]
fn a_streams_page() {
    let clock = Clock::manual();
    let layer = MetricsLayer::streaming_builder()
        .gen_ai()
        .measure_items(message::items(Own, |chunk: &Chunk| {
            chunk.map_or(0, |chunk| chunk.split(' ').count() as u64)
        }))
        .label(Label::from_message("gen_ai_request_model", |_: &&str| {
            Some("bard".into())
        }))
        .clock(clock)
        .buckets([2.5])
        .first_item_buckets([1.0])
        .time_per_item_buckets([0.25])
        .build([("gen_ai_operation_name", "chat")])
        .unwrap();
    let chunks = generate(&layer, clock, &[Ok("to be"), Ok("or not"), Ok("to be")]);
    now(pin!(chunks).collect::<Vec<_>>());
    assert_eq!(
        page_of(layer.exporter(), "application/openmetrics-text"),
        PAGE
    );
}

/// Time per token is that of successful responses. The time to the first token is known before. Both are without the error type.
#[test]
fn only_completed_calls_have_a_time_per_token() {
    let clock = Clock::manual();
    let layer = || {
        let builder = MetricsLayer::streaming_builder().gen_ai().clock(clock);
        builder.build(()).unwrap()
    };
    let all = layer();
    let call = |layer: &MetricsLayer<Streaming>, chunks, taken| {
        now(pin!(generate(layer, clock, chunks).take(taken)).collect::<Vec<_>>());
    };
    // The answer, how much of it is taken, the outcome, the duration, and how many times are recorded to the first token and
    // per token. Each is a second.
    let cases: [(&[Chunk], usize, _, _, _, _); 5] = [
        (&[Ok("to"), Ok("be"), Ok("or")], 4, "", "3.0", 1, 1),
        (
            &[Ok("to"), Ok("be"), Err("or")],
            4,
            "publish_response",
            "3.0",
            1,
            0,
        ),
        (&[Ok("to"), Ok("be"), Ok("or")], 2, "cancelled", "2.0", 1, 0),
        (&[Ok("to")], 2, "", "1.0", 1, 0),
        (&[], 1, "", "0.0", 0, 0),
    ];
    for (chunks, taken, outcome, duration, firsts, per_token) in cases {
        let layer = layer();
        call(&layer, chunks, taken);
        assert_eq!(error_type(&layer), outcome, "{chunks:?}");
        let seconds = |times: u64| format!("{times}.0");
        expect(
            &layer,
            &[
                (DURATION, 1, duration),
                (FIRST, firsts, &seconds(firsts)),
                (PER_TOKEN, per_token, &seconds(per_token)),
            ],
        );
        call(&all, chunks, taken);
    }
    expect(&all, &[(FIRST, 4, "4.0"), (PER_TOKEN, 1, "1.0")]);
}

/// A call over HTTP or gRPC that is read to its end.
macro_rules! read_body {
    ($layer:expr, $clock:expr, $content_type:literal, $steps:expr) => {{
        let body = Script::new($clock, $steps);
        let response = Response::builder().header("content-type", $content_type);
        let mut response = Some(response.body(body).unwrap());
        let service = service_fn(|_| ready(Ok::<_, Infallible>(response.take().unwrap())));
        let request = Request::post("/chat.Bard/Say").header("content-type", $content_type);
        let request = request.body(Full::<Bytes>::default()).unwrap();
        let Ok(response) = now($layer.layer(service).oneshot(request));
        take_to_end(pin!(response.into_body()))
    }};
}

/// The keep-alive and the last event are no tokens, but the response lasts to its end.
#[test]
fn a_function_finds_tokens_in_the_frames_of_http() {
    let clock = Clock::manual();
    let layer = MetricsLayer::builder()
        .gen_ai()
        .items_in_frames(|frame| u64::from(frame.starts_with(b"data: {")))
        .clock(clock)
        .build(())
        .unwrap();
    let steps: [Step; 5] = [
        Data(": keep-alive"),
        Data("data: {to}"),
        Data("data: {be}"),
        Data("data: {or}"),
        Data("data: [DONE]"),
    ];
    read_body!(layer, clock, "text/event-stream", steps);
    expect(
        &layer,
        &[
            (DURATION, 1, "5.0"),
            (FIRST, 1, "2.0"),
            (PER_TOKEN, 1, "1.5"),
        ],
    );
}

#[test]
fn a_message_of_grpc_is_a_token() {
    let clock = Clock::manual();
    let layer = MetricsLayer::protocol_builder(tower_openmetrics::protocol::Grpc::new())
        .gen_ai()
        .clock(clock)
        .build(())
        .unwrap();
    let message = || Message(b"\0\0\0\0\x02to".to_vec());
    let steps: [Step; 4] = [message(), message(), message(), Field("grpc-status", "0")];
    read_body!(layer, clock, "application/grpc", steps);
    expect(
        &layer,
        &[
            (DURATION, 1, "4.0"),
            (FIRST, 1, "1.0"),
            (PER_TOKEN, 1, "1.5"),
        ],
    );
}

/// They come all at once.
#[test]
fn tokens_of_unary_services_are_not_timed() {
    let clock = Clock::manual();
    let layer = MetricsLayer::unary_builder()
        .gen_ai()
        .clock(clock)
        .build(())
        .unwrap();
    let engine = service_fn(async |prompt: &'static str| {
        clock.advance(SECOND);
        Ok::<_, &str>(prompt)
    });
    now(layer.layer(engine).oneshot("to be")).unwrap();
    expect(&layer, &[(DURATION, 1, "1.0")]);
    assert!(!has(&layer, FIRST) && !has(&layer, PER_TOKEN));
}

#[test]
fn failures_are_labelled() {
    let layer = MetricsLayer::unary_builder().gen_ai().build(()).unwrap();
    let engine = service_fn(async |_: &str| Err::<&str, _>("out of memory"));
    now(layer.layer(engine).oneshot("to be")).unwrap_err();
    assert_eq!(error_type(&layer), "generate");
}

/// The bounds that the conventions advise, unless others are given, before the preset or after it.
#[test]
fn the_buckets_are_those_of_the_conventions() {
    type Builder = MetricsLayerBuilder<Streaming>;
    type SetBuckets = fn(Builder) -> Builder;
    let bounds = |builder: Builder, name: &str| -> Vec<f64> {
        let clock = Clock::manual();
        let layer = builder.clock(clock).build(()).unwrap();
        now(pin!(generate(&layer, clock, &[Ok("to"), Ok("be")])).collect::<Vec<_>>());
        let page = Page::read(layer.exporter());
        page.buckets(name)
            .into_iter()
            .map(|(bound, _)| bound)
            .collect()
    };
    let builder = MetricsLayer::streaming_builder;
    let own = [7.0, f64::INFINITY];
    let cases: [(_, _, SetBuckets); 3] = [
        (
            DURATION,
            &[
                0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96,
                81.92,
            ][..],
            |builder| builder.buckets([7.0]),
        ),
        (
            FIRST,
            &[
                0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0,
                7.5, 10.0,
            ],
            |builder| builder.first_item_buckets([7.0]),
        ),
        (
            PER_TOKEN,
            &[
                0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5,
            ],
            |builder| builder.time_per_item_buckets([7.0]),
        ),
    ];
    for (name, advised, set) in cases {
        let advised: Vec<f64> = advised.iter().copied().chain([f64::INFINITY]).collect();
        assert_eq!(bounds(builder().gen_ai(), name), advised, "{name}");
        assert_eq!(bounds(set(builder().gen_ai()), name), own, "{name}");
        assert_eq!(bounds(set(builder()).gen_ai(), name), own, "{name}");
    }
}

/// A unary service measures no times of tokens unless they are turned on. Their buckets are those of the conventions, too.
#[test]
fn times_that_are_turned_on_have_the_buckets_of_the_conventions() {
    let builder = MetricsLayer::unary_builder().gen_ai();
    let layer = builder.first_item_seconds(true).build(()).unwrap();
    now(layer
        .layer(service_fn(async |prompt: &'static str| {
            Ok::<_, &str>(prompt)
        }))
        .oneshot("to"))
    .unwrap();
    let bounds = Page::read(layer.exporter()).buckets(FIRST);
    let bounds: Vec<f64> = bounds.into_iter().map(|(bound, _)| bound).collect();
    assert_eq!(bounds[..2], [0.001, 0.005]);
    assert_eq!(bounds.len(), 17, "16 and `+Inf`");
}

/// A service without streams has no tokens to time.
#[test]
fn http_has_to_find_tokens_or_leaves_their_times_out() {
    let builder = || MetricsLayer::builder().gen_ai();
    let error = builder().build(()).unwrap_err().to_string();
    assert!(error.contains("`gen_ai` would do nothing"), "{error}");
    assert!(error.contains("`items_in_frames`"), "{error}");

    let layer = builder()
        .first_item_seconds(false)
        .time_per_item_seconds(false)
        .build(())
        .unwrap();
    let clock = Clock::manual();
    let steps: [Step; 1] = [Data("a vector")];
    read_body!(layer, clock, "application/json", steps);
    assert!(has(&layer, DURATION) && !has(&layer, FIRST) && !has(&layer, PER_TOKEN));
}

#[test]
fn a_model_server_has_one_preset() {
    let error = MetricsLayer::builder()
        .gen_ai()
        .open_telemetry()
        .build(())
        .unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("`gen_ai` would do nothing: `open_telemetry` after it"),
        "{error}"
    );
}
