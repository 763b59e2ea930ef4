//! Which metrics a layer shows.

use super::automatic::{AUTOMATIC_METRICS, Metric, ShownMetrics};
use crate::measured::Measured;
use crate::naming::Naming;
use crate::settings::Settings;

/// Decides which metrics a layer with this naming and these settings shows.
pub(super) fn shown(naming: Naming, settings: &Settings) -> ShownMetrics {
    AUTOMATIC_METRICS
        .each_ref()
        .map(|automatic| automatic.metric.is_shown(naming, settings))
}

impl Metric {
    /// Whether a layer with this naming and these settings shows this metric.
    fn is_shown(self, naming: Naming, settings: &Settings) -> bool {
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
        let has = |measured| settings.histograms.has(measured);
        match self {
            Self::FirstByteSeconds => has(Measured::FirstByte),
            Self::FirstItemSeconds | Self::TimeToFirstTokenSeconds => has(Measured::FirstItem),
            Self::HandlerPollSeconds => has(Measured::HandlerPoll),
            Self::ItemGapSeconds => has(Measured::ItemGap),
            Self::QueueWaitSeconds => has(Measured::QueueWait),
            Self::ReadyWaitSeconds | Self::WaitingRequests | Self::AbandonedWaits => {
                has(Measured::ReadyWait)
            }
            Self::ResponseHeadSeconds => has(Measured::ResponseHead),
            Self::StreamDurationSeconds => has(Measured::StreamDuration),
            Self::TimePerItemSeconds | Self::TimePerOutputTokenSeconds => {
                has(Measured::TimePerItem)
            }
            Self::RequestBodySizeBytes => has(Measured::RequestSize),
            Self::ResponseBodySizeBytes => has(Measured::ResponseSize),
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
