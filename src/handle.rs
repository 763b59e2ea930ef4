//! Handles to calls.

use crate::classify::{ErrorType, Fault};
use crate::flags::Flags;
use crate::labels::Carrier;
use crate::open_call::BodyReport;
use crate::panic_guard::OnPanic;
use crate::recorder::{Key, REQUEST_BYTES, REQUEST_MESSAGES, SetIndex, with_recorder};
use std::fmt;

/// A handle to a call. It counts what the service reads of the request, and reports faults.
///
/// The body or stream of a request has one. A service can [get one](crate::protocol::PassHandle), to report a failure after
/// it has responded. A handle may be dropped at any time, and may outlive the call. After the call has ended, the handle still
/// counts what is read of the request, and ignores faults.
#[derive(Clone)]
pub struct CallHandle {
    key: Key,
    begin: SetIndex,
    report: BodyReport,
}

// === impl CallHandle ===

impl CallHandle {
    #[inline]
    pub(crate) fn new(key: Key, begin: SetIndex, report: BodyReport) -> Self {
        Self { key, begin, report }
    }

    /// Counts bytes of the request that the service has read.
    #[inline]
    pub fn request_bytes(&self, bytes: u64) {
        self.request_messages(0, bytes);
    }

    /// Counts a message of the request that the service has read, and its bytes.
    #[inline]
    pub fn request_message(&self, bytes: u64) {
        self.request_messages(1, bytes);
    }

    /// Like [`request_message`](Self::request_message), for several at once.
    // Not inlined, so that its arguments stay in registers. (Saves 21 instructions a frame.)
    #[inline(never)]
    pub(crate) fn request_messages(&self, messages: u64, bytes: u64) {
        let Self { key, begin, report } = *self;
        with_recorder(key, move |local| {
            // If the label set can leave, another one may have its place after the call has ended.
            if local.needs().uses && !report.is_open() && !local.stays(begin) {
                return;
            }
            local.count(begin, Carrier::Begin, |block| {
                block.add(REQUEST_BYTES, bytes);
                if messages > 0 {
                    block.add(REQUEST_MESSAGES, messages);
                }
            });
            if local.needs().flags.has(Flags::SIZES) {
                report.add_request_bytes(bytes);
            }
        });
    }

    /// Reports a fault, which counts whatever the service responds. Ignored if the call already has a fault, or has ended.
    #[cold]
    pub fn fault(&self, fault: impl Into<Fault>) {
        let fault = fault.into();
        let outcome = with_recorder(self.key, |local| local.shared().error_types.outcome(fault));
        if let Some(outcome) = outcome {
            self.report.report(outcome);
        }
    }
}

impl fmt::Debug for CallHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallHandle").finish_non_exhaustive()
    }
}

impl OnPanic for Option<CallHandle> {
    #[cold]
    fn on_panic(&mut self) {
        if let Some(handle) = self.take() {
            handle.fault(ErrorType::PANIC);
        }
    }
}
