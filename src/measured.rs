//! What a layer can have a histogram of.

use crate::labels::Carrier;
use std::ops::{Index, IndexMut};

/// Declares [`Measured`]. A row is `Measured: Carrier`, the labels of the histogram.
macro_rules! measured {
    ($($measured:ident: $carrier:ident,)*) => {
        /// What a layer can have a histogram of.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Measured {
            $($measured,)*
        }

        impl Measured {
            pub(crate) const ALL: [Self; [$(Self::$measured),*].len()] = [$(Self::$measured),*];

            /// The labels of the histogram.
            pub(crate) fn carrier(self) -> Carrier {
                [$(Carrier::$carrier),*][self as usize]
            }
        }
    };
}

measured! {
    QueueWait: Begin,
    ReadyWait: Ready,
    ResponseHead: Head,
    FirstByte: Head,
    FirstItem: Head,
    ItemGap: Head,
    TimePerItem: Head,
    HandlerPoll: Duration,
    Duration: Duration,
    StreamDuration: Duration,
    RequestSize: Duration,
    ResponseSize: Duration,
}

/// A value for each [`Measured`].
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ByMeasured<T>([T; Measured::ALL.len()]);

// === impl Measured ===

impl Measured {
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
