//! Which metrics a layer has.

use super::automatic::Metric;
use crate::measured::Measured;
use crate::naming::Naming;
use crate::settings::Settings;

impl Metric {
    /// Returns whether a layer with these settings records this metric.
    pub(crate) fn is_on(self, settings: &Settings) -> bool {
        self.namings().contains(&settings.naming) && self.is_measured(settings)
    }

    /// The conventions that have this metric.
    fn namings(self) -> &'static [Naming] {
        use Naming::{
            AxumPrometheus, GenAiServer, HttpClient, HttpServer, Own, RpcClient, RpcServer,
        };
        match self {
            Self::ActiveRequests => &[HttpServer, HttpClient, GenAiServer, RpcServer, RpcClient],
            Self::CallDurationSeconds => &[RpcServer, RpcClient],
            Self::Cancellations | Self::Errors | Self::Requests => &[Own, AxumPrometheus],
            Self::ConcurrentRequests => &[Own],
            Self::FirstItemSeconds | Self::TimePerItemSeconds => &[
                Own,
                AxumPrometheus,
                HttpServer,
                HttpClient,
                RpcServer,
                RpcClient,
            ],
            Self::RequestBytes | Self::ResponseBytes => {
                &[Own, AxumPrometheus, GenAiServer, RpcServer, RpcClient]
            }
            Self::RequestDurationSeconds => &[Own, HttpServer, HttpClient, GenAiServer],
            Self::RequestsDurationSeconds | Self::RequestsPending => &[AxumPrometheus],
            Self::TimePerOutputTokenSeconds | Self::TimeToFirstTokenSeconds => &[GenAiServer],
            _ => &Naming::ALL,
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
            | Self::Errors
            | Self::RequestBytes
            | Self::RequestDurationSeconds
            | Self::Requests
            | Self::RequestsDurationSeconds
            | Self::RequestsPending
            | Self::ResponseBytes => true,
        }
    }
}
