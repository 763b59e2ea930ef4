//! OpenTelemetry's names, labels and buckets.
//!
//! Use them for dashboards and alerts that expect OpenTelemetry's names. There is a preset for each kind of traffic:
//!
//! | traffic | preset | the main metric |
//! |---|---|---|
//! | [HTTP server](http) | [`builder`]`().open_telemetry()` | `http_server_request_duration_seconds` |
//! | [HTTP client](http) | [`client_builder`]`().open_telemetry()` | `http_client_request_duration_seconds` |
//! | [gRPC server](rpc) | [`grpc_builder`]`().open_telemetry()` | `rpc_server_call_duration_seconds` |
//! | [gRPC client](rpc) | [`grpc_client_builder`]`().open_telemetry()` | `rpc_client_call_duration_seconds` |
//! | [model server](gen_ai) over HTTP | [`builder`]`().gen_ai().items_in_frames(…)` | `gen_ai_server_request_duration_seconds` |
//! | [model server](gen_ai) over gRPC | [`grpc_builder`]`().gen_ai()` | the same |
//! | [model server](gen_ai) as a work handler | [`streaming_builder`]`().gen_ai()` | the same |
//! | [model server](gen_ai) that answers all at once | [`unary_builder`]`().gen_ai()` | the same |
//!
//! Other unary and streaming services have no preset, and clients of model servers have none.
//!
//! In all presets the duration's label `error_type` replaces `requests_total`, `errors_total` and `cancellations_total`, and
//! `…_active_requests` replaces `concurrent_requests`. The conventions have such a gauge for HTTP only. Other metrics of the
//! builder keep their names, with the prefix of the preset. Two presets never share a name. All of them, and the crate's own
//! names, can therefore be on one page with the same constant labels. An app that migrates can have both for a while.
//!
//! [`builder`]: crate::MetricsLayer::builder
//! [`client_builder`]: crate::MetricsLayer::client_builder
//! [`grpc_builder`]: crate::MetricsLayer::grpc_builder
//! [`grpc_client_builder`]: crate::MetricsLayer::grpc_client_builder
//! [`streaming_builder`]: crate::MetricsLayer::streaming_builder
//! [`unary_builder`]: crate::MetricsLayer::unary_builder

pub mod gen_ai;
pub mod http;
pub mod rpc;

pub(crate) use self::http::conventional;

use crate::labels::Label;
use crate::measured::Measured;
use crate::naming::Naming;

/// Bucket bounds for durations, in seconds, as the conventions for HTTP and RPC advise.
pub const DURATION_BUCKETS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// Bucket bounds for the sizes of bodies of HTTP, in bytes: 0, for calls without a body, and 64 B to 16 MiB in
/// steps of factor four.
///
/// The conventions advise none. The SDKs' default bounds, from 0 to 10,000, put all but small bodies into one bucket.
pub const BODY_SIZE_BUCKETS: [u64; 11] = [
    0, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216,
];

/// Returns the labels that all calls have, by a convention for HTTP or RPC.
pub(crate) fn labels(naming: Naming) -> Vec<Label> {
    match naming.is_rpc() {
        true => rpc::labels().into(),
        false => http::labels(naming).into(),
    }
}

/// Returns the bucket bounds that the convention advises for a time, in seconds.
pub(crate) fn buckets(naming: Naming, measured: Measured) -> Option<&'static [f64]> {
    match (naming, measured) {
        (Naming::Own | Naming::AxumPrometheus, _) => None,
        (Naming::GenAiServer, Measured::Duration) => Some(&gen_ai::REQUEST_DURATION_BUCKETS),
        (Naming::GenAiServer, Measured::FirstItem) => Some(&gen_ai::TIME_TO_FIRST_TOKEN_BUCKETS),
        (Naming::GenAiServer, Measured::TimePerItem) => {
            Some(&gen_ai::TIME_PER_OUTPUT_TOKEN_BUCKETS)
        }
        (_, Measured::Duration) => Some(&DURATION_BUCKETS),
        _ => None,
    }
}

/// Returns the constant label that the convention requires, if it does.
pub(crate) fn constant_label(naming: Naming) -> Option<(&'static str, &'static str)> {
    naming.is_rpc().then_some(("rpc_system_name", "grpc"))
}
