//! What a layer can have a histogram of.

use crate::labels::Carrier;
use std::ops::{Index, IndexMut};

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

/// A value for each [`Measured`].
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ByMeasured<T>([T; Measured::ALL.len()]);

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

    /// Whether it is a size in bytes. All others are times.
    pub(crate) fn is_size(self) -> bool {
        matches!(self, Self::RequestSize | Self::ResponseSize)
    }

    /// Whether it is the time of a call or of a part of one, which a trace can explain. Only these have exemplars.
    pub(crate) fn has_exemplars(self) -> bool {
        self != Self::ReadyWait && !self.is_size()
    }
}

// === impl ByMeasured ===

impl<T> ByMeasured<Option<T>> {
    pub(crate) fn has(&self, measured: Measured) -> bool {
        self[measured].is_some()
    }
}

impl<T> Index<Measured> for ByMeasured<T> {
    type Output = T;

    fn index(&self, measured: Measured) -> &T {
        &self.0[measured as usize]
    }
}

impl<T> IndexMut<Measured> for ByMeasured<T> {
    fn index_mut(&mut self, measured: Measured) -> &mut T {
        &mut self.0[measured as usize]
    }
}
