use super::messages::Messages;
use crate::body;
use crate::call::Call;
use crate::classify::{Classify, ErrorType, GrpcCode, HttpStatus, Phase};
use crate::panic_guard::PanicGuard;
use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// The body of a gRPC response: counts the messages and bytes that the caller takes, and ends
    /// the call by the status that comes last.
    ///
    /// Frames, trailers, size hint and end pass through untouched. `C` classifies
    /// codes and errors.
    pub struct ResponseBody<B, C = HttpStatus> {
        #[pin]
        kind: Kind<B, C>,
    }
}

pin_project! {
    #[project = Projected]
    enum Kind<B, C> {
        Grpc {
            #[pin]
            inner: B,
            call: Option<Call>,
            progress: Progress<C>,
        },
        /// An answer to a request that was none of gRPC's.
        Http {
            #[pin]
            inner: body::ResponseBody<B, C>,
        },
    }
}

/// How far an answer has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress<C> {
    messages: Messages,
    something_came: bool,
    status: Option<GrpcCode>,
    classifier: C,
}

// === impl ResponseBody ===

impl<B, C> ResponseBody<B, C> {
    #[inline]
    pub(crate) fn grpc(inner: B, call: Option<Call>, progress: Progress<C>) -> Self {
        Self {
            kind: Kind::Grpc {
                inner,
                call,
                progress,
            },
        }
    }

    pub(crate) fn http(inner: body::ResponseBody<B, C>) -> Self {
        Self {
            kind: Kind::Http { inner },
        }
    }

    /// The body that is wrapped.
    pub fn get_ref(&self) -> &B {
        match &self.kind {
            Kind::Grpc { inner, .. } => inner,
            Kind::Http { inner } => inner.get_ref(),
        }
    }

    /// The body that is wrapped. What is read from it directly is not counted.
    pub fn get_mut(&mut self) -> &mut B {
        match &mut self.kind {
            Kind::Grpc { inner, .. } => inner,
            Kind::Http { inner } => inner.get_mut(),
        }
    }

    /// Unwraps the body, which ends the call here: as complete if its status has
    /// come, else as cancelled.
    pub fn into_inner(self) -> B {
        match self.kind {
            Kind::Grpc { inner, .. } => inner,
            Kind::Http { inner } => inner.into_inner(),
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
        match self.project().kind.project() {
            Projected::Grpc {
                inner,
                call,
                progress,
            } => poll_grpc(inner, cx, call, progress),
            Projected::Http { inner } => inner.poll_frame(cx),
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
            something_came: false,
            status: None,
            classifier,
        }
    }

    /// The status has come, if it has: the call may end. Should more than one come, the first that is
    /// not `OK` counts.
    #[inline]
    pub(crate) fn status(&mut self, call: &mut Call, code: Option<GrpcCode>) {
        let Some(code) = code else { return };
        call.owes_nothing();
        if let Some(fault) = self.classifier.grpc_status(code) {
            call.fault(fault);
        }
        if let None | Some(GrpcCode::Ok) = self.status {
            self.status = Some(code);
            call.set_code(code as u8);
        }
    }

    /// Whether the body is over before it begins; the call may end if it is.
    #[inline]
    pub(crate) fn meet<B: Body>(&mut self, call: &mut Call, body: &B) -> bool {
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
            self.something_came = true;
            call.response_messages(self.messages.read(data), bytes);
            self.status_within(call);
        }
    }

    /// The body is over.
    #[inline]
    fn finish(&mut self, call: &mut Call) {
        let messages = self.messages.finish();
        if messages > 0 {
            call.response_messages(messages, 0);
        }
        self.status_within(call);
        if self.status.is_none() {
            call.fault(match self.something_came {
                true => ErrorType::PUBLISH_FINAL,
                false => ErrorType::GENERATE,
            });
        }
        call.owes_nothing();
    }

    /// That of gRPC-Web, which is not in trailers.
    #[inline]
    fn status_within(&mut self, call: &mut Call) {
        if self.status.is_none() {
            self.status(call, self.messages.status());
        }
    }

    /// Where an error finds the response.
    fn phase(&self) -> Phase {
        if self.status.is_some() {
            Phase::PublishFinal
        } else if self.something_came {
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
    let polled = inner.as_mut().poll_frame(cx);
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
            // Where it is: taken out it would be copied.
            *guard = None;
        }
    }
    guard.disarm();
    polled
}
