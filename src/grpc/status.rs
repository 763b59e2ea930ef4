use super::messages::Messages;
use crate::body::{Content, Length, Progress};
use crate::call::{Call, Passed};
use crate::classify::{Classify, ErrorType, GrpcCode, Phase};
use bytes::Buf;
use http::HeaderMap;

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

    /// Records the status of gRPC-Web, which is in the body.
    #[inline]
    fn set_from_body(&mut self, call: &mut Call, classifier: &impl Classify) {
        if self.code.is_none() {
            self.set(call, classifier, self.messages.status());
        }
    }
}

impl Progress for Status {
    #[inline]
    fn data(&mut self, call: &mut Call, classifier: &impl Classify, data: &impl Buf) -> u64 {
        self.has_data |= data.has_remaining();
        let messages = self.messages.read(data);
        self.set_from_body(call, classifier);
        messages
    }

    #[inline]
    fn trailers(&mut self, call: &mut Call, classifier: &impl Classify, trailers: &HeaderMap) {
        self.set(call, classifier, GrpcCode::from_headers(trailers));
    }

    #[inline]
    fn end(&mut self, call: &mut Call, classifier: &impl Classify) {
        let messages = self.messages.finish();
        if messages > 0 {
            call.responded(Passed::messages(messages, 0));
        }
        self.set_from_body(call, classifier);
        if self.code.is_none() {
            call.fault(match self.has_data {
                true => ErrorType::PUBLISH_FINAL,
                false => ErrorType::GENERATE,
            });
        }
        call.owes_nothing();
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
    fn data(&mut self, call: &mut Call, classifier: &impl Classify, data: &impl Buf) -> u64 {
        match self {
            Self::Status(status) => status.data(call, classifier, data),
            Self::Length(length) => length.data(call, classifier, data),
        }
    }

    #[inline]
    fn trailers(&mut self, call: &mut Call, classifier: &impl Classify, trailers: &HeaderMap) {
        match self {
            Self::Status(status) => status.trailers(call, classifier, trailers),
            Self::Length(length) => length.trailers(call, classifier, trailers),
        }
    }

    #[inline]
    fn end(&mut self, call: &mut Call, classifier: &impl Classify) {
        match self {
            Self::Status(status) => status.end(call, classifier),
            Self::Length(length) => length.end(call, classifier),
        }
    }

    fn phase(&self) -> Phase {
        match self {
            Self::Status(status) => status.phase(),
            Self::Length(length) => length.phase(),
        }
    }
}
