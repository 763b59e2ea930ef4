//! Calls, reached from elsewhere.

use crate::classify::{ErrorType, Fault};
use crate::flags::Flags;
use crate::labels::Carrier;
use crate::recorder::{Key, REQUEST_BYTES, REQUEST_MESSAGES, Reporter, SetIndex, with};
use crate::watch::Unwound;
use std::fmt;

/// A way to reach a call from elsewhere.
///
/// The body or stream of a request has one, to count what the service reads and to tell the call
/// if it breaks off; a handler can be [given one](crate::protocol::PassHandle), to name its failure
/// late. A handle may outlive the call, and may be dropped at any time: from the end of the call on it counts what is
/// read of the request, and what it reports is not heard.
#[derive(Clone)]
pub struct CallHandle {
    key: Key,
    begin: SetIndex,
    reporter: Reporter,
}

// === impl CallHandle ===

impl CallHandle {
    /// For an open call.
    #[inline]
    pub(crate) fn new(key: Key, begin: SetIndex, reporter: Reporter) -> Self {
        Self {
            key,
            begin,
            reporter,
        }
    }

    /// Counts bytes of the request that the service has read.
    #[inline]
    pub fn request_bytes(&self, bytes: u64) {
        self.request_messages(0, bytes);
    }

    /// Counts a message of the request, and its bytes, that the service has read.
    #[inline]
    pub fn request_message(&self, bytes: u64) {
        self.request_messages(1, bytes);
    }

    /// As [`request_message`](Self::request_message), for several at once.
    #[inline]
    pub(crate) fn request_messages(&self, messages: u64, bytes: u64) {
        let Self {
            key,
            begin,
            reporter,
        } = *self;
        with(key, move |own| {
            // Where idle label sets leave, another one may have the place after the call has ended.
            if own.asks_idle() && !own.is_to_stay(begin) && !reporter.is_open() {
                return;
            }
            let block = own.block(begin, Carrier::Begin);
            block.add(REQUEST_BYTES, bytes);
            if messages > 0 {
                block.add(REQUEST_MESSAGES, messages);
            }
            if own.asks().has(Flags::ASKS_SIZES) {
                reporter.add_request_bytes(bytes);
            }
        });
    }

    /// Says how the call is to end, whatever the service makes of it, unless
    /// it had a fault before or has ended.
    #[cold]
    pub fn fault(&self, fault: impl Into<Fault>) {
        let fault = fault.into();
        let outcome = with(self.key, |own| own.common().outcome(fault));
        if let Some(outcome) = outcome {
            self.reporter.report(outcome);
        }
    }
}

impl fmt::Debug for CallHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallHandle").finish_non_exhaustive()
    }
}

impl Unwound for Option<CallHandle> {
    #[cold]
    fn unwound(&mut self) {
        if let Some(handle) = self.take() {
            handle.fault(ErrorType::PANIC);
        }
    }
}
