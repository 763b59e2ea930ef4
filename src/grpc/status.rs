use super::messages::Messages;
use crate::body::{Content, Event, Length, Progress};
use crate::call::Call;
use crate::classify::{Classify, ErrorType, GrpcCode, Phase};
use bytes::Buf;

/// The progress of a gRPC response, which is complete once its status has arrived.
#[derive(Clone, Copy, Debug)]
pub struct Status {
    messages: Messages,
    has_data: bool,
    code: Option<GrpcCode>,
}

/// The progress of a response to a request that may not have been gRPC.
#[derive(Clone, Copy, Debug)]
pub enum StatusOrLength {
    Status(Status),
    Length(Length),
}

// === impl Status ===

impl Status {
    pub(crate) fn new(messages: Messages) -> Self {
        Self {
            messages,
            has_data: false,
            code: None,
        }
    }

    /// Records the status. The call is complete from now on.
    ///
    /// Does nothing for `None`. Of several statuses, the first that is not `OK` counts.
    #[inline]
    pub(crate) fn set(
        &mut self,
        call: &mut Call,
        classifier: &impl Classify,
        code: Option<GrpcCode>,
    ) {
        let Some(code) = code else { return };
        call.owes_nothing();
        if let Some(fault) = classifier.grpc_status(code) {
            call.fault(fault);
        }
        if let None | Some(GrpcCode::Ok) = self.code {
            self.code = Some(code);
            call.set_code(code);
        }
    }
}

impl Progress for Status {
    #[inline]
    fn record<D: Buf>(
        &mut self,
        call: &mut Call,
        classifier: &impl Classify,
        event: Event<'_, D>,
    ) -> u64 {
        let messages = match event {
            Event::Data(data) => {
                self.has_data |= data.has_remaining();
                self.messages.read(data)
            }
            Event::Trailers(trailers) => {
                self.set(call, classifier, GrpcCode::from_headers(trailers));
                return 0;
            }
            Event::End => self.messages.finish(),
        };
        // The status of gRPC-Web is in the body.
        if self.code.is_none() {
            self.set(call, classifier, self.messages.status());
        }
        if let Event::End = event
            && self.code.is_none()
        {
            call.fault(match self.has_data {
                true => ErrorType::PUBLISH_FINAL,
                false => ErrorType::GENERATE,
            });
        }
        messages
    }

    fn phase(&self) -> Phase {
        match self.code {
            Some(_) => Phase::PublishFinal,
            None if self.has_data => Phase::PublishResponse,
            None => Phase::ResponseStream,
        }
    }
}

// === impl StatusOrLength ===

impl Progress for StatusOrLength {
    #[inline]
    fn record<D: Buf>(
        &mut self,
        call: &mut Call,
        classifier: &impl Classify,
        event: Event<'_, D>,
    ) -> u64 {
        match self {
            Self::Status(status) => status.record(call, classifier, event),
            Self::Length(length) => length.record(call, classifier, event),
        }
    }

    fn phase(&self) -> Phase {
        match self {
            Self::Status(status) => status.phase(),
            Self::Length(length) => length.phase(),
        }
    }
}
