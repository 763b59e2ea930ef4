//! Which metrics a layer shows.

use crate::measured::Measured;
use crate::naming::Naming;
use crate::settings::Settings;

/// What an automatic metric shows, under one name. A convention with another name has a metric of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    AbandonedWaits,
    ActiveRequests,
    CallDurationSeconds,
    Cancellations,
    ConcurrentRequests,
    Errors,
    FirstByteSeconds,
    FirstItemSeconds,
    HandlerPollSeconds,
    ItemGapSeconds,
    Items,
    LabelOverflow,
    OldestRequestAgeSeconds,
    QueueWaitSeconds,
    ReadyWaitSeconds,
    RequestBodySizeBytes,
    RequestBytes,
    RequestDurationSeconds,
    RequestMessages,
    Requests,
    RequestsDurationSeconds,
    RequestsLongestSeconds,
    RequestsPending,
    ResponseBodySizeBytes,
    ResponseBytes,
    ResponseHeadSeconds,
    ResponseMessages,
    SlowPolls,
    StreamDurationSeconds,
    TimePerItemSeconds,
    TimePerOutputTokenSeconds,
    TimeToFirstTokenSeconds,
    WaitingRequests,
}

impl Metric {
    /// Whether a layer with this naming and these settings shows this metric.
    pub(super) fn is_shown(self, naming: Naming, settings: &Settings) -> bool {
        self.is_in(naming) && self.is_measured(settings)
    }

    /// Whether the convention has this metric.
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

    /// Whether these settings ask for its numbers.
    fn is_measured(self, settings: &Settings) -> bool {
        let histograms = &settings.histograms;
        match self {
            Self::FirstByteSeconds => histograms.has(Measured::FirstByte),
            Self::FirstItemSeconds | Self::TimeToFirstTokenSeconds => {
                histograms.has(Measured::FirstItem)
            }
            Self::HandlerPollSeconds => histograms.has(Measured::HandlerPoll),
            Self::ItemGapSeconds => histograms.has(Measured::ItemGap),
            Self::QueueWaitSeconds => histograms.has(Measured::QueueWait),
            Self::ReadyWaitSeconds | Self::WaitingRequests | Self::AbandonedWaits => {
                histograms.has(Measured::ReadyWait)
            }
            Self::ResponseHeadSeconds => histograms.has(Measured::ResponseHead),
            Self::StreamDurationSeconds => histograms.has(Measured::StreamDuration),
            Self::TimePerItemSeconds | Self::TimePerOutputTokenSeconds => {
                histograms.has(Measured::TimePerItem)
            }
            Self::RequestBodySizeBytes => histograms.has(Measured::RequestSize),
            Self::ResponseBodySizeBytes => histograms.has(Measured::ResponseSize),
            Self::Errors => settings.errors,
            Self::Items => settings.items,
            Self::OldestRequestAgeSeconds => settings.oldest,
            Self::RequestsLongestSeconds => settings.longest,
            Self::SlowPolls => settings.slow_polls.is_some(),
            Self::LabelOverflow => !settings.schema.is_empty(),
            Self::RequestMessages | Self::ResponseMessages => settings.messages,
            Self::ActiveRequests
            | Self::CallDurationSeconds
            | Self::Cancellations
            | Self::ConcurrentRequests
            | Self::RequestBytes
            | Self::RequestDurationSeconds
            | Self::Requests
            | Self::RequestsDurationSeconds
            | Self::RequestsPending
            | Self::ResponseBytes => true,
        }
    }
}
