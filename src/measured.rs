//! What a layer can have a histogram of.

use crate::buckets::Buckets;
use crate::labels::Carrier;

/// What a layer can have a histogram of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measured {
    QueueWait,
    ReadyWait,
    ResponseHead,
    FirstByte,
    FirstItem,
    ItemGap,
    TimePerItem,
    HandlerPoll,
    Duration,
    StreamDuration,
    RequestSize,
    ResponseSize,
}

/// The buckets of a layer's histograms.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Histograms([Option<Buckets>; Measured::ALL.len()]);

// === impl Measured ===

impl Measured {
    pub(crate) const ALL: [Self; 12] = [
        Self::QueueWait,
        Self::ReadyWait,
        Self::ResponseHead,
        Self::FirstByte,
        Self::FirstItem,
        Self::ItemGap,
        Self::TimePerItem,
        Self::HandlerPoll,
        Self::Duration,
        Self::StreamDuration,
        Self::RequestSize,
        Self::ResponseSize,
    ];

    /// The labels of the histogram.
    pub(crate) fn carrier(self) -> Carrier {
        match self {
            Self::ReadyWait => Carrier::Ready,
            Self::QueueWait => Carrier::Begin,
            Self::ResponseHead
            | Self::FirstByte
            | Self::FirstItem
            | Self::ItemGap
            | Self::TimePerItem => Carrier::Head,
            Self::HandlerPoll
            | Self::Duration
            | Self::StreamDuration
            | Self::RequestSize
            | Self::ResponseSize => Carrier::Duration,
        }
    }

    /// Whether it is the time of a call or of a part of one, which a trace can explain. Only these have exemplars.
    pub(crate) fn has_exemplars(self) -> bool {
        !matches!(
            self,
            Self::ReadyWait | Self::RequestSize | Self::ResponseSize
        )
    }
}

// === impl Histograms ===

impl Histograms {
    pub(crate) fn get(&self, measured: Measured) -> Option<&Buckets> {
        self.0[measured as usize].as_ref()
    }

    pub(crate) fn has(&self, measured: Measured) -> bool {
        self.get(measured).is_some()
    }

    pub(crate) fn set(&mut self, measured: Measured, buckets: Option<Buckets>) {
        self.0[measured as usize] = buckets;
    }
}
