//! Calls, reached from elsewhere.

use crate::classify::{ErrorType, Fault};
use crate::recorder::{BeginSet, Leased, Reporter, with_writer};
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
    begin: Leased,
    reporter: Reporter,
}

// === impl CallHandle ===

impl CallHandle {
    /// For an open call.
    #[inline]
    pub(crate) fn new(begin: &'static BeginSet, reporter: Reporter) -> Self {
        Self {
            begin: Leased::new(begin),
            reporter,
        }
    }

    /// Counts bytes of the request that the service has read.
    #[inline]
    pub fn request_bytes(&self, bytes: u64) {
        let series = self.begin.series();
        with_writer(|writer| series.add_request_bytes(writer, bytes));
        self.measure_request(bytes);
    }

    /// Counts a message of the request, and its bytes, that the service has read.
    #[inline]
    pub fn request_message(&self, bytes: u64) {
        self.request_messages(1, bytes);
    }

    /// As [`request_message`](Self::request_message), for several at once.
    #[inline]
    pub(crate) fn request_messages(&self, messages: u64, bytes: u64) {
        let (series, settings) = (self.begin.series(), &self.begin.families.settings);
        with_writer(|writer| series.add_request_messages(writer, settings, messages, bytes));
        self.measure_request(bytes);
    }

    #[inline]
    fn measure_request(&self, bytes: u64) {
        if self.begin.families.settings.sizes.is_some() {
            self.reporter.add_request_bytes(bytes);
        }
    }

    /// Says how the call is to end, whatever the service makes of it, unless
    /// it had a fault before or has ended.
    #[cold]
    pub fn fault(&self, fault: impl Into<Fault>) {
        let outcome = self.begin.families.outcome(fault.into());
        self.reporter.report(outcome);
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
