//! The metrics that every layer has.

use super::family::Kind;
use super::metric::Metric;
use crate::naming::Naming;
use crate::settings::Settings;

/// A metric family that every layer records by itself.
#[derive(Debug)]
pub(crate) struct AutomaticMetric {
    pub(crate) metric: Metric,
    /// Without any prefix, and without the `_total` of counters.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) unit: Option<&'static str>,
    pub(crate) help: &'static str,
}

/// Whether a layer shows each of the [`AUTOMATIC_METRICS`].
pub(crate) type ShownMetrics = [bool; AUTOMATIC_METRICS.len()];

/// In the order of [`Metric`].
pub(crate) static AUTOMATIC_METRICS: [AutomaticMetric; 33] = [
    AutomaticMetric {
        metric: Metric::AbandonedWaits,
        name: "abandoned_waits",
        kind: Kind::Counter,
        unit: None,
        help: "Waits for the service to be ready that ended without a call",
    },
    AutomaticMetric {
        metric: Metric::ActiveRequests,
        name: "active_requests",
        kind: Kind::Gauge,
        unit: None,
        help: "Calls in flight",
    },
    AutomaticMetric {
        metric: Metric::CallDurationSeconds,
        name: "call_duration_seconds",
        kind: Kind::Histogram,
        unit: Some("seconds"),
        help: "Time from the beginning of a call to the end of its response",
    },
    AutomaticMetric {
        metric: Metric::Cancellations,
        name: "cancellations",
        kind: Kind::Counter,
        unit: None,
        help: "Calls whose caller left before the end",
    },
    AutomaticMetric {
        metric: Metric::ConcurrentRequests,
        name: "concurrent_requests",
        kind: Kind::Gauge,
        unit: None,
        help: "Calls in flight",
    },
    AutomaticMetric {
        metric: Metric::Errors,
        name: "errors",
        kind: Kind::Counter,
        unit: None,
        help: "Calls that failed, by the type of their first failure",
    },
    AutomaticMetric {
        metric: Metric::FirstByteSeconds,
        name: "first_byte_seconds",
        kind: Kind::Histogram,
        unit: Some("seconds"),
        help: "Time from the beginning of a call to the first byte of its response",
    },
    AutomaticMetric {
        metric: Metric::FirstItemSeconds,
        name: "first_item_seconds",
        kind: Kind::Histogram,
        unit: Some("seconds"),
        help: "Time from the beginning of a call to the first item of its response",
    },
    AutomaticMetric {
        metric: Metric::HandlerPollSeconds,
        name: "handler_poll_seconds",
        kind: Kind::Histogram,
        unit: Some("seconds"),
        help: "Time that the polls of a call's service and response body took, all together",
    },
    AutomaticMetric {
        metric: Metric::ItemGapSeconds,
        name: "item_gap_seconds",
        kind: Kind::Histogram,
        unit: Some("seconds"),
        help: "Time from one item of a response to the next",
    },
    AutomaticMetric {
        metric: Metric::Items,
        name: "items",
        kind: Kind::Counter,
        unit: None,
        help: "Items of responses that the caller has taken",
    },
    AutomaticMetric {
        metric: Metric::LabelOverflow,
        name: "label_overflow",
        kind: Kind::Counter,
        unit: None,
        help: "Calls beyond the cardinality limit, recorded under _OTHER",
    },
    AutomaticMetric {
        metric: Metric::OldestRequestAgeSeconds,
        name: "oldest_request_age_seconds",
        kind: Kind::Gauge,
        unit: Some("seconds"),
        help: "Age of the oldest call that has not ended, or 0",
    },
    AutomaticMetric {
        metric: Metric::QueueWaitSeconds,
        name: "queue_wait_seconds",
        kind: Kind::Histogram,
        unit: Some("seconds"),
        help: "Time from the front proxy's X-Request-Start to the beginning of the call",
    },
    AutomaticMetric {
        metric: Metric::ReadyWaitSeconds,
        name: "ready_wait_seconds",
        kind: Kind::Histogram,
        unit: Some("seconds"),
        help: "Time from when the service was found not to be ready to the next call, or until the wait was given up",
    },
    AutomaticMetric {
        metric: Metric::RequestBodySizeBytes,
        name: "request_body_size_bytes",
        kind: Kind::Histogram,
        unit: Some("bytes"),
        help: "Bytes that the service has read of a call's request by its end",
    },
    AutomaticMetric {
        metric: Metric::RequestBytes,
        name: "request_bytes",
        kind: Kind::Counter,
        unit: Some("bytes"),
        help: "Bytes of requests that the service has read",
    },
    AutomaticMetric {
        metric: Metric::RequestDurationSeconds,
        name: "request_duration_seconds",
        kind: Kind::Histogram,
        unit: Some("seconds"),
        help: "Time from the beginning of a call to the end of its response",
    },
    AutomaticMetric {
        metric: Metric::RequestMessages,
        name: "request_messages",
        kind: Kind::Counter,
        unit: None,
        help: "Messages of requests that the service has read",
    },
    AutomaticMetric {
        metric: Metric::Requests,
        name: "requests",
        kind: Kind::Counter,
        unit: None,
        help: "Calls that have ended, however they ended",
    },
    AutomaticMetric {
        metric: Metric::RequestsDurationSeconds,
        name: "requests_duration_seconds",
        kind: Kind::Histogram,
        unit: Some("seconds"),
        help: "Time from the beginning of a call to the end of its response",
    },
    AutomaticMetric {
        metric: Metric::RequestsLongestSeconds,
        name: "requests_longest_seconds",
        kind: Kind::Gauge,
        unit: Some("seconds"),
        help: "Duration of the longest call that ended since the page before the last one, or 0",
    },
    AutomaticMetric {
        metric: Metric::RequestsPending,
        name: "requests_pending",
        kind: Kind::Gauge,
        unit: None,
        help: "Calls in flight",
    },
    AutomaticMetric {
        metric: Metric::ResponseBodySizeBytes,
        name: "response_body_size_bytes",
        kind: Kind::Histogram,
        unit: Some("bytes"),
        help: "Bytes that the caller has taken of a call's response by its end",
    },
    AutomaticMetric {
        metric: Metric::ResponseBytes,
        name: "response_bytes",
        kind: Kind::Counter,
        unit: Some("bytes"),
        help: "Bytes of responses that the caller has taken",
    },
    AutomaticMetric {
        metric: Metric::ResponseHeadSeconds,
        name: "response_head_seconds",
        kind: Kind::Histogram,
        unit: Some("seconds"),
        help: "Time from the beginning of a call to the head of its response",
    },
    AutomaticMetric {
        metric: Metric::ResponseMessages,
        name: "response_messages",
        kind: Kind::Counter,
        unit: None,
        help: "Messages of responses that the caller has taken",
    },
    AutomaticMetric {
        metric: Metric::SlowPolls,
        name: "slow_polls",
        kind: Kind::Counter,
        unit: None,
        help: "Polls of services and response bodies that took at least the time set for slow ones",
    },
    AutomaticMetric {
        metric: Metric::StreamDurationSeconds,
        name: "stream_duration_seconds",
        kind: Kind::Histogram,
        unit: Some("seconds"),
        help: "Time from the beginning to the end of a call that stays open by intent",
    },
    AutomaticMetric {
        metric: Metric::TimePerItemSeconds,
        name: "time_per_item_seconds",
        kind: Kind::Histogram,
        unit: Some("seconds"),
        help: "Time per item of a completed response after its first item",
    },
    AutomaticMetric {
        metric: Metric::TimePerOutputTokenSeconds,
        name: "time_per_output_token_seconds",
        kind: Kind::Histogram,
        unit: Some("seconds"),
        help: "Time per token of a completed response after its first token",
    },
    AutomaticMetric {
        metric: Metric::TimeToFirstTokenSeconds,
        name: "time_to_first_token_seconds",
        kind: Kind::Histogram,
        unit: Some("seconds"),
        help: "Time from the beginning of a call to the first token of its response",
    },
    AutomaticMetric {
        metric: Metric::WaitingRequests,
        name: "waiting_requests",
        kind: Kind::Gauge,
        unit: None,
        help: "Services that were found not to be ready and have not been called since",
    },
];

/// The only family that the registry itself provides.
pub(crate) const UPTIME: &str = "uptime_seconds";
pub(crate) const UPTIME_UNIT: &str = "seconds";
pub(crate) const UPTIME_HELP: &str = "Time since the registry was created";

impl AutomaticMetric {
    pub(crate) fn full_name(&self, prefix: &str) -> String {
        format!("{prefix}{}", self.name)
    }
}

/// Decides which metrics a layer with this naming and these settings shows.
pub(super) fn shown(naming: Naming, settings: &Settings) -> ShownMetrics {
    AUTOMATIC_METRICS
        .each_ref()
        .map(|automatic| automatic.metric.is_shown(naming, settings))
}
