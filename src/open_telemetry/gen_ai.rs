//! OpenTelemetry's conventions for model servers (generative AI).
//!
//! The preset is `gen_ai()` of [`streaming_builder`](crate::MetricsLayer::streaming_builder),
//! [`builder`](crate::MetricsLayer::builder) (HTTP), [`grpc_builder`](crate::MetricsLayer::grpc_builder) and
//! [`unary_builder`](crate::MetricsLayer::unary_builder). You say what a token is, and which labels there are:
//!
//! ```
//! use futures_util::{StreamExt, stream};
//! use std::convert::Infallible;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_openmetrics::labels::Label;
//! use tower_openmetrics::message::{self, Own};
//! use tower_openmetrics::{Format, Message, MetricsLayer};
//!
//! struct Chat {
//!     model: &'static str,
//! }
//!
//! impl Message for Chat {
//!     fn size(&self) -> u64 {
//!         0
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let metrics = MetricsLayer::streaming_builder()
//!     .gen_ai()
//!     // A chunk holds any number of tokens. Without this, each message is one token.
//!     .measure_items(message::items(Own, |chunk: &&str| chunk.split_whitespace().count() as u64))
//!     .label(Label::from_message("gen_ai_request_model", |chat: &Chat| Some(chat.model.into())))
//!     .build([("gen_ai_operation_name", "chat"), ("gen_ai_provider_name", "shop")])?;
//! let engine = ServiceBuilder::new()
//!     .layer(metrics.clone())
//!     .service(service_fn(async |_: Chat| {
//!         Ok::<_, Infallible>(stream::iter(["to be", "or not to be"]))
//!     }));
//!
//! engine.oneshot(Chat { model: "bard-1" }).await?.collect::<Vec<_>>().await;
//!
//! let page = metrics.registry().encode(Format::Prometheus)?;
//! let labels = r#"gen_ai_operation_name="chat",gen_ai_provider_name="shop",gen_ai_request_model="bard-1""#;
//! for line in [
//!     format!(r#"gen_ai_server_request_duration_seconds_count{{error_type="",{labels}}} 1"#),
//!     format!(r#"gen_ai_server_time_to_first_token_seconds_count{{{labels}}} 1"#),
//!     format!(r#"gen_ai_server_time_per_output_token_seconds_count{{{labels}}} 1"#),
//! ] {
//!     assert!(page.lines().any(|l| l == line), "{line}\n{page}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Over HTTP, a function finds the tokens in the frames of the body. This one is for server-sent events, one token each:
//!
//! ```
//! use tower_openmetrics::MetricsLayer;
//!
//! # fn main() -> Result<(), tower_openmetrics::Error> {
//! let layer = MetricsLayer::builder()
//!     .gen_ai()
//!     .items_in_frames(|frame| {
//!         let is_token = frame.starts_with(b"data: ") && !frame.starts_with(b"data: [DONE]");
//!         u64::from(is_token)
//!     })
//!     .build([("gen_ai_operation_name", "chat"), ("gen_ai_provider_name", "shop")])?;
//! # Ok(())
//! # }
//! ```
//!
//! # Metrics
//!
//! | metric | type | instead of |
//! |---|---|---|
//! | `gen_ai_server_request_duration_seconds` | histogram | `requests_total` (its count), `errors_total`, `cancellations_total`, `request_duration_seconds` |
//! | `gen_ai_server_time_to_first_token_seconds` | histogram | [`first_item_seconds`](crate::MetricsLayerBuilder::first_item_seconds) |
//! | `gen_ai_server_time_per_output_token_seconds` | histogram | [`time_per_item_seconds`](crate::MetricsLayerBuilder::time_per_item_seconds) |
//! | `gen_ai_server_active_requests` | gauge | `concurrent_requests`; not of the conventions |
//!
//! Other metrics of the builder keep their names, with the prefix `gen_ai_server_`: for example,
//! [`items_total`](crate::MetricsLayerBuilder::items_total) counts tokens as `gen_ai_server_items_total`.
//!
//! The two times of tokens are on from the start, except on [`unary_builder`](crate::MetricsLayer::unary_builder): if all
//! tokens come at once, they say nothing. For the same reason, `items_in_frames` should return 0 for a response that is not a
//! stream. An HTTP service without streams turns both off by `first_item_seconds(false)` and `time_per_item_seconds(false)`.
//!
//! The settings of the two times set their buckets:
//! [`first_item_buckets`](crate::MetricsLayerBuilder::first_item_buckets) and
//! [`time_per_item_buckets`](crate::MetricsLayerBuilder::time_per_item_buckets). The defaults are the constants below.
//!
//! # Labels
//!
//! The preset adds one label: `error_type`, on what is recorded at a call's end. It is the [type](crate::ErrorType) of the
//! failure, `cancelled` if the caller left, or empty if the call completed, which to Prometheus is the same as no label. You
//! give the others:
//!
//! | label | the conventions | how |
//! |---|---|---|
//! | `gen_ai_operation_name` | require it: `chat`, `embeddings`, `text_completion`, … | constant, or by [`Label::from_request`] |
//! | `gen_ai_provider_name` | require it: the provider, or the server's kind | constant |
//! | `gen_ai_request_model` | require it if it is known | constant, [`Label::from_message`], or `Label::from_request` for what an extractor has put into the request's extensions |
//! | `gen_ai_response_model` | recommend it | [`Label::from_response`] |
//! | `server_address`, `server_port` | recommend them | constant |
//!
//! # Differences from the conventions
//!
//! The names are those of the [semantic conventions for generative AI metrics][conventions], version 0.1.0, and the same as in
//! [version 1.41](https://github.com/open-telemetry/semantic-conventions/blob/v1.41.0/docs/gen-ai/gen-ai-metrics.md#generative-ai-model-server-metrics)
//! of the common conventions. They are in development and may change. Differences:
//!
//! - *Time to first token* counts successful responses in the conventions. Here it is recorded when the token comes, so that it
//!   shows while a stream runs, and whatever comes after it. *Time per output token* is recorded for completed calls with at
//!   least two tokens, as in the conventions: the time from the first token to the end of the call, divided by the number of the
//!   other tokens.
//! - Times are those at which the *caller takes* a token. A slow reader makes them longer.
//! - The names of failures are this crate's error types, `generate` or `timeout` rather than an exception's name. Which calls
//!   fail is decided by the [classifier](crate::MetricsLayerBuilder::classifier). Over HTTP, that includes 400 and 422.
//! - The conventions' metrics of clients, `gen_ai.client.…`, and of token usage are missing.
//!
//! [conventions]: https://github.com/open-telemetry/semantic-conventions-genai/blob/v0.1.0/docs/gen-ai/gen-ai-metrics.md
//! [`Label::from_message`]: crate::labels::Label::from_message
//! [`Label::from_request`]: crate::labels::Label::from_request
//! [`Label::from_response`]: crate::labels::Label::from_response

/// Bucket bounds for `gen_ai_server_request_duration_seconds`, as the conventions advise.
pub const REQUEST_DURATION_BUCKETS: [f64; 14] = [
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];

/// Bucket bounds for `gen_ai_server_time_to_first_token_seconds`, as the conventions advise.
pub const TIME_TO_FIRST_TOKEN_BUCKETS: [f64; 16] = [
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// Bucket bounds for `gen_ai_server_time_per_output_token_seconds`, as the conventions advise.
pub const TIME_PER_OUTPUT_TOKEN_BUCKETS: [f64; 13] = [
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5,
];
