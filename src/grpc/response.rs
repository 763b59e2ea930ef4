use super::messages::Messages;
use crate::body;
use crate::call::{Call, MeasuredPoll, Passed};
use crate::classify::{Classify, ErrorType, GrpcCode, HttpStatus, Phase};
use crate::panic_guard::PanicGuard;
use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// The body of a gRPC response, which counts the messages and bytes that the caller reads and
    /// ends the call with its status.
    ///
    /// Frames, trailers, size hint and end pass through unchanged. `C` classifies
    /// codes and errors.
    pub struct ResponseBody<B, C = HttpStatus> {
        #[pin]
        body: Inner<B, C>,
    }
}

pin_project! {
    #[project = InnerProjected]
    enum Inner<B, C> {
        Grpc {
            #[pin]
            inner: B,
            call: Option<Call>,
            progress: Progress<C>,
        },
        /// A response to a request that was not gRPC.
        Http {
            #[pin]
            inner: body::ResponseBody<B, C>,
        },
    }
}

/// How much of a response has passed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress<C> {
    messages: Messages,
    has_data: bool,
    status: Option<GrpcCode>,
    classifier: C,
}

// === impl ResponseBody ===

impl<B, C> ResponseBody<B, C> {
    #[inline]
    pub(crate) fn grpc(inner: B, call: Option<Call>, progress: Progress<C>) -> Self {
        Self {
            body: Inner::Grpc {
                inner,
                call,
                progress,
            },
        }
    }

    pub(crate) fn http(inner: body::ResponseBody<B, C>) -> Self {
        Self {
            body: Inner::Http { inner },
        }
    }

    /// Returns the inner body.
    pub fn get_ref(&self) -> &B {
        match &self.body {
            Inner::Grpc { inner, .. } => inner,
            Inner::Http { inner } => inner.get_ref(),
        }
    }

    /// Returns the inner body. Data read from it directly is not counted.
    pub fn get_mut(&mut self) -> &mut B {
        match &mut self.body {
            Inner::Grpc { inner, .. } => inner,
            Inner::Http { inner } => inner.get_mut(),
        }
    }

    /// Returns the inner body and ends the call: as complete if its status has arrived, else as
    /// cancelled.
    pub fn into_inner(self) -> B {
        match self.body {
            Inner::Grpc { inner, .. } => inner,
            Inner::Http { inner } => inner.into_inner(),
        }
    }
}

impl<B, C> Body for ResponseBody<B, C>
where
    B: Body,
    B::Error: 'static,
    C: Classify,
{
    type Data = B::Data;
    type Error = B::Error;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        match self.project().body.project() {
            InnerProjected::Grpc {
                inner,
                call,
                progress,
            } => poll_grpc(inner, cx, call, progress),
            InnerProjected::Http { inner } => inner.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.get_ref().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.get_ref().size_hint()
    }
}

impl<B: fmt::Debug, C> fmt::Debug for ResponseBody<B, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody")
            .field("inner", self.get_ref())
            .finish_non_exhaustive()
    }
}

// === impl Progress ===

impl<C: Classify> Progress<C> {
    pub(crate) fn new(messages: Messages, classifier: C) -> Self {
        Self {
            messages,
            has_data: false,
            status: None,
            classifier,
        }
    }

    /// Records the status. The call is complete from now on.
    ///
    /// Does nothing for `None`. Of several statuses, the first that is not `OK` counts.
    #[inline]
    pub(crate) fn status(&mut self, call: &mut Call, code: Option<GrpcCode>) {
        let Some(code) = code else { return };
        call.owes_nothing();
        if let Some(fault) = self.classifier.grpc_status(code) {
            call.fault(fault);
        }
        if let None | Some(GrpcCode::Ok) = self.status {
            self.status = Some(code);
            call.set_code(code);
        }
    }

    /// Returns whether the body is empty, which ends the response.
    #[inline]
    pub(crate) fn start<B: Body>(&mut self, call: &mut Call, body: &B) -> bool {
        let over = body.is_end_stream();
        if over {
            self.finish(call);
        }
        over
    }

    #[inline]
    fn frame<D: Buf>(&mut self, call: &mut Call, frame: &Frame<D>) {
        if let Some(data) = frame.data_ref() {
            self.data(call, data);
        } else if let Some(trailers) = frame.trailers_ref() {
            self.status(call, GrpcCode::from_headers(trailers));
        }
    }

    #[inline]
    fn data<D: Buf>(&mut self, call: &mut Call, data: &D) {
        let bytes = data.remaining() as u64;
        if bytes > 0 {
            self.has_data = true;
            let passed = Passed::messages(self.messages.read(data), bytes);
            call.responded(passed);
            self.web_status(call);
        }
    }

    /// Records the end of the body.
    #[inline]
    fn finish(&mut self, call: &mut Call) {
        let messages = self.messages.finish();
        if messages > 0 {
            call.responded(Passed::messages(messages, 0));
        }
        self.web_status(call);
        if self.status.is_none() {
            call.fault(match self.has_data {
                true => ErrorType::PUBLISH_FINAL,
                false => ErrorType::GENERATE,
            });
        }
        call.owes_nothing();
    }

    /// Records the status of gRPC-Web, which is in the body.
    #[inline]
    fn web_status(&mut self, call: &mut Call) {
        if self.status.is_none() {
            self.status(call, self.messages.status());
        }
    }

    /// Returns the phase of an error that occurs now.
    fn phase(&self) -> Phase {
        if self.status.is_some() {
            Phase::PublishFinal
        } else if self.has_data {
            Phase::PublishResponse
        } else {
            Phase::ResponseStream
        }
    }
}

#[inline]
fn poll_grpc<B, C>(
    mut inner: Pin<&mut B>,
    cx: &mut Context<'_>,
    call: &mut Option<Call>,
    progress: &mut Progress<C>,
) -> body::Polled<B>
where
    B: Body,
    B::Error: 'static,
    C: Classify,
{
    let mut guard = PanicGuard::new(call);
    let poll = MeasuredPoll::begin(&guard);
    let polled = inner.as_mut().poll_frame(cx);
    let data = match &polled {
        Poll::Ready(Some(Ok(frame))) => frame.data_ref(),
        _ => None,
    };
    match data {
        Some(data) => poll.end_with(data),
        None => poll.end(),
    }
    if let (Poll::Ready(frame), Some(call)) = (&polled, &mut *guard) {
        let over = match frame {
            Some(Ok(frame)) => {
                progress.frame(call, frame);
                frame.is_trailers() || inner.is_end_stream()
            }
            Some(Err(error)) => {
                call.fault(progress.classifier.error(error, progress.phase()));
                true
            }
            None => true,
        };
        if over {
            progress.finish(call);
            // Dropped in place: `take` would copy it.
            *guard = None;
        }
    }
    guard.disarm();
    polled
}
