//! The metrics that every layer has.

use super::family::Kind;

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

/// Declares [`Metric`] and [`AUTOMATIC_METRICS`], in the same order. A row is `Metric = Kind "name": "help"`, or
/// `Metric = Kind "name" in "unit": "help"`.
macro_rules! automatic_metrics {
    ($($metric:ident = $kind:ident $name:literal $(in $unit:literal)?: $help:literal)*) => {
        /// What an automatic metric shows, under one name. A convention with another name has a metric of its own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Metric {
            $($metric,)*
        }

        pub(crate) static AUTOMATIC_METRICS: [AutomaticMetric; [$($name),*].len()] = [
            $(AutomaticMetric {
                metric: Metric::$metric,
                name: $name,
                kind: Kind::$kind,
                // The first of none or one.
                unit: [$(Some($unit),)? None][0],
                help: $help,
            },)*
        ];
    };
}

automatic_metrics! {
    AbandonedWaits = Counter "abandoned_waits":
        "Waits for the service to be ready that ended without a call"
    ActiveRequests = Gauge "active_requests":
        "Calls in flight"
    CallDurationSeconds = Histogram "call_duration_seconds" in "seconds":
        "Time from the beginning of a call to the end of its response"
    Cancellations = Counter "cancellations":
        "Calls whose caller left before the end"
    ConcurrentRequests = Gauge "concurrent_requests":
        "Calls in flight"
    Errors = Counter "errors":
        "Calls that failed, by the type of their first failure"
    FirstByteSeconds = Histogram "first_byte_seconds" in "seconds":
        "Time from the beginning of a call to the first byte of its response"
    FirstItemSeconds = Histogram "first_item_seconds" in "seconds":
        "Time from the beginning of a call to the first item of its response"
    HandlerPollSeconds = Histogram "handler_poll_seconds" in "seconds":
        "Time that the polls of a call's service and response body took, all together"
    ItemGapSeconds = Histogram "item_gap_seconds" in "seconds":
        "Time from one item of a response to the next"
    Items = Counter "items":
        "Items of responses that the caller has taken"
    LabelOverflow = Counter "label_overflow":
        "Calls beyond the cardinality limit, recorded under _OTHER"
    OldestRequestAgeSeconds = Gauge "oldest_request_age_seconds" in "seconds":
        "Age of the oldest call that has not ended, or 0"
    QueueWaitSeconds = Histogram "queue_wait_seconds" in "seconds":
        "Time from the front proxy's X-Request-Start to the beginning of the call"
    ReadyWaitSeconds = Histogram "ready_wait_seconds" in "seconds":
        "Time from when the service was found not to be ready to the next call, or until the wait was given up"
    RequestBodySizeBytes = Histogram "request_body_size_bytes" in "bytes":
        "Bytes that the service has read of a call's request by its end"
    RequestBytes = Counter "request_bytes" in "bytes":
        "Bytes of requests that the service has read"
    RequestDurationSeconds = Histogram "request_duration_seconds" in "seconds":
        "Time from the beginning of a call to the end of its response"
    RequestMessages = Counter "request_messages":
        "Messages of requests that the service has read"
    Requests = Counter "requests":
        "Calls that have ended, however they ended"
    RequestsDurationSeconds = Histogram "requests_duration_seconds" in "seconds":
        "Time from the beginning of a call to the end of its response"
    RequestsLongestSeconds = Gauge "requests_longest_seconds" in "seconds":
        "Duration of the longest call that ended since the page before the last one, or 0"
    RequestsPending = Gauge "requests_pending":
        "Calls in flight"
    ResponseBodySizeBytes = Histogram "response_body_size_bytes" in "bytes":
        "Bytes that the caller has taken of a call's response by its end"
    ResponseBytes = Counter "response_bytes" in "bytes":
        "Bytes of responses that the caller has taken"
    ResponseHeadSeconds = Histogram "response_head_seconds" in "seconds":
        "Time from the beginning of a call to the head of its response"
    ResponseMessages = Counter "response_messages":
        "Messages of responses that the caller has taken"
    SlowPolls = Counter "slow_polls":
        "Polls of services and response bodies that took at least the time set for slow ones"
    StreamDurationSeconds = Histogram "stream_duration_seconds" in "seconds":
        "Time from the beginning to the end of a call that stays open by intent"
    TimePerItemSeconds = Histogram "time_per_item_seconds" in "seconds":
        "Time per item of a completed response after its first item"
    TimePerOutputTokenSeconds = Histogram "time_per_output_token_seconds" in "seconds":
        "Time per token of a completed response after its first token"
    TimeToFirstTokenSeconds = Histogram "time_to_first_token_seconds" in "seconds":
        "Time from the beginning of a call to the first token of its response"
    WaitingRequests = Gauge "waiting_requests":
        "Services that were found not to be ready and have not been called since"
}

/// Whether a layer shows each of the [`AUTOMATIC_METRICS`].
pub(crate) type ShownMetrics = [bool; AUTOMATIC_METRICS.len()];

/// The only family that the registry itself provides.
pub(crate) const UPTIME: &str = "uptime_seconds";
pub(crate) const UPTIME_UNIT: &str = "seconds";
pub(crate) const UPTIME_HELP: &str = "Time since the registry was created";

impl AutomaticMetric {
    pub(crate) fn full_name(&self, prefix: &str) -> String {
        format!("{prefix}{}", self.name)
    }
}
