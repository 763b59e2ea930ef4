//! The metrics that every layer has.

use super::family::Kind;
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    ActiveRequests,
    Cancellations,
    ConcurrentRequests,
    Errors,
    FirstByteSeconds,
    LabelOverflow,
    RequestBodySizeBytes,
    RequestBytes,
    RequestDurationSeconds,
    RequestMessages,
    Requests,
    RequestsDurationSeconds,
    RequestsPending,
    ResponseBodySizeBytes,
    ResponseBytes,
    ResponseHeadSeconds,
    ResponseMessages,
    StreamDurationSeconds,
}

pub(crate) static AUTOMATIC_METRICS: [AutomaticMetric; 18] = [
    AutomaticMetric {
        metric: Metric::ActiveRequests,
        name: "active_requests",
        kind: Kind::Gauge,
        unit: None,
        help: "Calls begun and not yet ended",
    },
    AutomaticMetric {
        metric: Metric::Cancellations,
        name: "cancellations",
        kind: Kind::Counter,
        unit: None,
        help: "Calls whose caller went away before their end",
    },
    AutomaticMetric {
        metric: Metric::ConcurrentRequests,
        name: "concurrent_requests",
        kind: Kind::Gauge,
        unit: None,
        help: "Calls begun and not yet ended",
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
        metric: Metric::LabelOverflow,
        name: "label_overflow",
        kind: Kind::Counter,
        unit: None,
        help: "Calls recorded under _OTHER because there was no room for their labels",
    },
    AutomaticMetric {
        metric: Metric::RequestBodySizeBytes,
        name: "request_body_size_bytes",
        kind: Kind::Histogram,
        unit: Some("bytes"),
        help: "Bytes of a call's request, as the service has read them by its end",
    },
    AutomaticMetric {
        metric: Metric::RequestBytes,
        name: "request_bytes",
        kind: Kind::Counter,
        unit: Some("bytes"),
        help: "Bytes of requests, as the service has read them",
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
        help: "Messages of requests, as the service has read them",
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
        metric: Metric::RequestsPending,
        name: "requests_pending",
        kind: Kind::Gauge,
        unit: None,
        help: "Calls begun and not yet ended",
    },
    AutomaticMetric {
        metric: Metric::ResponseBodySizeBytes,
        name: "response_body_size_bytes",
        kind: Kind::Histogram,
        unit: Some("bytes"),
        help: "Bytes of a call's response, as the caller has taken them by its end",
    },
    AutomaticMetric {
        metric: Metric::ResponseBytes,
        name: "response_bytes",
        kind: Kind::Counter,
        unit: Some("bytes"),
        help: "Bytes of responses, as the caller has taken them",
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
        help: "Messages of responses, as the caller has taken them",
    },
    AutomaticMetric {
        metric: Metric::StreamDurationSeconds,
        name: "stream_duration_seconds",
        kind: Kind::Histogram,
        unit: Some("seconds"),
        help: "Time from the beginning of a call to the end of its response, where that stays open by intent",
    },
];

/// The only family that the registry itself provides.
pub(crate) const UPTIME: &str = "uptime_seconds";
pub(crate) const UPTIME_UNIT: &str = "seconds";
pub(crate) const UPTIME_HELP: &str = "Time since the registry was made";

impl AutomaticMetric {
    /// Returns whether a layer with these settings records this metric.
    pub(crate) fn is_on(&self, settings: &Settings) -> bool {
        let naming = settings.naming;
        match self.metric {
            Metric::FirstByteSeconds => settings.first_byte.is_some(),
            Metric::ResponseHeadSeconds => settings.response_head.is_some(),
            Metric::LabelOverflow => !settings.schema.is_empty(),
            Metric::RequestMessages | Metric::ResponseMessages => settings.messages,
            Metric::StreamDurationSeconds => settings.streams.is_some(),
            Metric::RequestDurationSeconds => naming != Naming::AxumPrometheus,
            Metric::ConcurrentRequests => naming == Naming::Own,
            Metric::RequestsDurationSeconds | Metric::RequestsPending => {
                naming == Naming::AxumPrometheus
            }
            Metric::ActiveRequests => naming.is_open_telemetry(),
            Metric::RequestBodySizeBytes | Metric::ResponseBodySizeBytes => {
                settings.sizes.is_some()
            }
            Metric::Cancellations
            | Metric::Errors
            | Metric::RequestBytes
            | Metric::Requests
            | Metric::ResponseBytes => !naming.is_open_telemetry(),
        }
    }

    pub(crate) fn full_name(&self, prefix: &str) -> String {
        format!("{prefix}{}", self.name)
    }
}
