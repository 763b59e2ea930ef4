//! The metrics that layers record by themselves.

use super::family::{Kind, ends_in_unit};
use crate::labels::Carrier;
use crate::measured::Measured;
use crate::naming::Naming;
use crate::recorder::{
    CANCELLATIONS, ENDED, Optional, REQUEST_BYTES, REQUEST_MESSAGES, REQUESTS, RESPONSE_BYTES,
    RESPONSE_MESSAGES, WAITS_ENDED, WAITS_GIVEN_UP,
};
use crate::settings::Settings;

/// A metric that layers record by themselves.
#[derive(Debug)]
pub(crate) struct AutomaticMetric {
    pub(crate) metric: Metric,
    /// Without any prefix, and without the `_total` of counters.
    name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) place: Place,
    pub(crate) help: &'static str,
}

/// Where a metric has its numbers among those of a series.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// In a cell that all layers have.
    Cell(Carrier, usize),
    /// In a cell among those of the optional numbers.
    Optional(Optional, usize),
    Histogram(Measured),
    Errors,
    /// In no series. The recorder counts calls beyond its cardinality limit.
    Overflow,
}

/// Declares [`Metric`] and [`AUTOMATIC_METRICS`], in the same order. A row is `Metric = Kind "name" in place => "help"`.
macro_rules! automatic_metrics {
    ($($metric:ident = $kind:ident $name:literal in $place:expr => $help:literal)*) => {
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
                place: $place,
                help: $help,
            },)*
        ];
    };
}

automatic_metrics! {
    AbandonedWaits = Counter "abandoned_waits" in Place::Optional(Optional::Waits, WAITS_GIVEN_UP) =>
        "Waits for the service to be ready that ended without a call"
    ActiveRequests = Gauge "active_requests" in Place::Cell(Carrier::Begin, ENDED) =>
        "Calls in flight"
    CallDurationSeconds = Histogram "call_duration_seconds" in Place::Histogram(Measured::Duration) =>
        "Time from the beginning of a call to the end of its response"
    Cancellations = Counter "cancellations" in Place::Cell(Carrier::End, CANCELLATIONS) =>
        "Calls whose caller left before the end"
    ConcurrentRequests = Gauge "concurrent_requests" in Place::Cell(Carrier::Begin, ENDED) =>
        "Calls in flight"
    Errors = Counter "errors" in Place::Errors =>
        "Calls that failed, by the type of their first failure"
    FirstByteSeconds = Histogram "first_byte_seconds" in Place::Histogram(Measured::FirstByte) =>
        "Time from the beginning of a call to the first byte of its response"
    FirstItemSeconds = Histogram "first_item_seconds" in Place::Histogram(Measured::FirstItem) =>
        "Time from the beginning of a call to the first item of its response"
    HandlerPollSeconds = Histogram "handler_poll_seconds" in Place::Histogram(Measured::HandlerPoll) =>
        "Time that the polls of a call's service and response body took, all together"
    ItemGapSeconds = Histogram "item_gap_seconds" in Place::Histogram(Measured::ItemGap) =>
        "Time from one item of a response to the next"
    Items = Counter "items" in Place::Optional(Optional::Items, 0) =>
        "Items of responses that the caller has taken"
    LabelOverflow = Counter "label_overflow" in Place::Overflow =>
        "Calls beyond the cardinality limit, recorded under _OTHER"
    OldestRequestAgeSeconds = Gauge "oldest_request_age_seconds" in Place::Optional(Optional::Oldest, 0) =>
        "Age of the oldest call that has not ended, or 0"
    QueueWaitSeconds = Histogram "queue_wait_seconds" in Place::Histogram(Measured::QueueWait) =>
        "Time from the front proxy's X-Request-Start to the beginning of the call"
    ReadyWaitSeconds = Histogram "ready_wait_seconds" in Place::Histogram(Measured::ReadyWait) =>
        "Time from when the service was found not to be ready to the next call, or until the wait was given up"
    RequestBodySizeBytes = Histogram "request_body_size_bytes" in Place::Histogram(Measured::RequestSize) =>
        "Bytes that the service has read of a call's request by its end"
    RequestBytes = Counter "request_bytes" in Place::Cell(Carrier::Begin, REQUEST_BYTES) =>
        "Bytes of requests that the service has read"
    RequestDurationSeconds = Histogram "request_duration_seconds" in Place::Histogram(Measured::Duration) =>
        "Time from the beginning of a call to the end of its response"
    RequestMessages = Counter "request_messages" in Place::Cell(Carrier::Begin, REQUEST_MESSAGES) =>
        "Messages of requests that the service has read"
    Requests = Counter "requests" in Place::Cell(Carrier::End, REQUESTS) =>
        "Calls that have ended, however they ended"
    RequestsDurationSeconds = Histogram "requests_duration_seconds" in Place::Histogram(Measured::Duration) =>
        "Time from the beginning of a call to the end of its response"
    RequestsLongestSeconds = Gauge "requests_longest_seconds" in Place::Optional(Optional::Longest, 0) =>
        "Duration of the longest call that ended since the page before the last one, or 0"
    RequestsPending = Gauge "requests_pending" in Place::Cell(Carrier::Begin, ENDED) =>
        "Calls in flight"
    ResponseBodySizeBytes = Histogram "response_body_size_bytes" in Place::Histogram(Measured::ResponseSize) =>
        "Bytes that the caller has taken of a call's response by its end"
    ResponseBytes = Counter "response_bytes" in Place::Cell(Carrier::Head, RESPONSE_BYTES) =>
        "Bytes of responses that the caller has taken"
    ResponseHeadSeconds = Histogram "response_head_seconds" in Place::Histogram(Measured::ResponseHead) =>
        "Time from the beginning of a call to the head of its response"
    ResponseMessages = Counter "response_messages" in Place::Cell(Carrier::Head, RESPONSE_MESSAGES) =>
        "Messages of responses that the caller has taken"
    SlowPolls = Counter "slow_polls" in Place::Optional(Optional::SlowPolls, 0) =>
        "Polls of services and response bodies that took at least the time set for slow ones"
    StreamDurationSeconds = Histogram "stream_duration_seconds" in Place::Histogram(Measured::StreamDuration) =>
        "Time from the beginning to the end of a call that stays open by intent"
    TimePerItemSeconds = Histogram "time_per_item_seconds" in Place::Histogram(Measured::TimePerItem) =>
        "Time per item of a completed response after its first item"
    TimePerOutputTokenSeconds = Histogram "time_per_output_token_seconds" in Place::Histogram(Measured::TimePerItem) =>
        "Time per token of a completed response after its first token"
    TimeToFirstTokenSeconds = Histogram "time_to_first_token_seconds" in Place::Histogram(Measured::FirstItem) =>
        "Time from the beginning of a call to the first token of its response"
    WaitingRequests = Gauge "waiting_requests" in Place::Optional(Optional::Waits, WAITS_ENDED) =>
        "Services that were found not to be ready and have not been called since"
}

/// Whether a layer shows each of the [`AUTOMATIC_METRICS`].
pub(crate) type ShownMetrics = [bool; AUTOMATIC_METRICS.len()];

/// Returns which metrics a layer with this naming and these settings shows.
pub(super) fn shown(naming: Naming, settings: &Settings) -> ShownMetrics {
    AUTOMATIC_METRICS
        .each_ref()
        .map(|automatic| automatic.metric.is_in(naming) && automatic.place.is_recorded(settings))
}

// === impl AutomaticMetric ===

impl AutomaticMetric {
    pub(crate) fn full_name(&self, prefix: &str) -> String {
        format!("{prefix}{}", self.name)
    }

    /// Returns the unit, which is the last word of the name.
    pub(crate) fn unit(&self) -> Option<&'static str> {
        let mut units = ["seconds", "bytes"].into_iter();
        units.find(|unit| ends_in_unit(self.name, unit))
    }
}

// === impl Place ===

impl Place {
    /// Returns the carrier of the labels that the numbers have.
    pub(crate) fn carrier(self) -> Carrier {
        match self {
            Self::Cell(carrier, _) => carrier,
            Self::Optional(optional, _) => optional.carrier(),
            Self::Histogram(measured) => measured.carrier(),
            Self::Errors => Carrier::Errors,
            Self::Overflow => Carrier::Begin,
        }
    }

    /// Returns whether a recorder with these settings has the numbers.
    fn is_recorded(self, settings: &Settings) -> bool {
        match self {
            Self::Cell(_, REQUEST_MESSAGES | RESPONSE_MESSAGES) => settings.messages,
            Self::Cell(..) | Self::Histogram(Measured::Duration) => true,
            Self::Histogram(measured) => settings.histograms.has(measured),
            Self::Optional(Optional::Items, _) => settings.items,
            Self::Optional(Optional::Longest, _) => settings.longest,
            Self::Optional(Optional::Oldest, _) => settings.oldest,
            Self::Optional(Optional::SlowPolls, _) => settings.slow_polls.is_some(),
            Self::Optional(Optional::Waits, _) => settings.histograms.has(Measured::ReadyWait),
            Self::Optional(Optional::Errors, _) | Self::Errors => settings.errors,
            Self::Overflow => !settings.schema.is_empty(),
        }
    }
}

// === impl Metric ===

impl Metric {
    /// Returns whether the convention has this metric.
    fn is_in(self, naming: Naming) -> bool {
        match self {
            Self::ActiveRequests => naming.is_open_telemetry(),
            Self::CallDurationSeconds => naming.is_rpc(),
            Self::Cancellations | Self::Requests => !naming.is_open_telemetry(),
            Self::ConcurrentRequests => naming == Naming::Own,
            Self::FirstItemSeconds | Self::TimePerItemSeconds => naming != Naming::GenAiServer,
            Self::RequestBytes | Self::ResponseBytes => !naming.is_open_telemetry_http(),
            Self::RequestDurationSeconds => naming != Naming::AxumPrometheus && !naming.is_rpc(),
            Self::RequestsDurationSeconds | Self::RequestsPending => {
                naming == Naming::AxumPrometheus
            }
            Self::TimePerOutputTokenSeconds | Self::TimeToFirstTokenSeconds => {
                naming == Naming::GenAiServer
            }
            _ => true,
        }
    }
}
