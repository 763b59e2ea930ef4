use super::length::Length;
use super::progress::Progress;
use crate::call::{Call, MeasuredPoll, Passed};
use crate::classify::{Classify, HttpStatus};
use crate::panic_guard::PanicGuard;
use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// The body of a response. Counts the bytes that the caller takes, and ends the call when it ends.
    ///
    /// Frames, the size hint and the end pass through unchanged. `C` classifies errors. `P` is what the response lacks until it
    /// is complete: bytes, or the status of [gRPC](crate::grpc::ResponseBody).
    #[derive(Default)]
    pub struct ResponseBody<B, C = HttpStatus, P = Length> {
        #[pin]
        inner: B,
        call: Option<Call>,
        progress: P,
        classifier: C,
    }
}

// === impl ResponseBody ===

impl<B, C, P> ResponseBody<B, C, P> {
    // Can't panic. If it could, the response would be copied once more while it is split into parts.
    #[inline]
    pub(crate) fn new(inner: B, call: Option<Call>, progress: P, classifier: C) -> Self {
        Self {
            inner,
            call,
            progress,
            classifier,
        }
    }

    /// Returns a reference to the inner body.
    pub fn get_ref(&self) -> &B {
        &self.inner
    }

    /// Returns a mutable reference to the inner body. Data that is read from it directly is not counted.
    pub fn get_mut(&mut self) -> &mut B {
        &mut self.inner
    }

    /// Returns the inner body and ends the call. The call is complete if the response owes nothing more, else it is cancelled.
    pub fn into_inner(self) -> B {
        self.inner
    }
}

impl<B, C, P> Body for ResponseBody<B, C, P>
where
    B: Body,
    B::Error: 'static,
    C: Classify,
    P: Progress,
{
    type Data = B::Data;
    type Error = B::Error;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let (progress, classifier) = (this.progress, &*this.classifier);
        let mut guard = PanicGuard::new(this.call);
        let poll = MeasuredPoll::begin(&guard);
        let polled = this.inner.as_mut().poll_frame(cx);
        let Some(call) = &mut *guard else {
            guard.disarm();
            return polled;
        };
        // Each arm returns its own value: one value after the match would be copied.
        let polled = match polled {
            Poll::Pending => {
                poll.end();
                Poll::Pending
            }
            Poll::Ready(None) => {
                poll.end();
                end(&mut guard, progress, classifier, 0);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                poll.end();
                call.fault(classifier.error(&error, progress.phase()));
                end(&mut guard, progress, classifier, 0);
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => {
                    poll.end_with(&data);
                    let bytes = data.remaining() as u64;
                    let messages = progress.data(call, classifier, &data);
                    let is_last = this.inner.is_end_stream();
                    if is_last && messages == 0 {
                        // The end counts them along with the rest.
                        end(&mut guard, progress, classifier, bytes);
                    } else {
                        if bytes > 0 {
                            call.responded(Passed::messages(messages, bytes));
                        }
                        if is_last {
                            end(&mut guard, progress, classifier, 0);
                        }
                    }
                    Poll::Ready(Some(Ok(Frame::data(data))))
                }
                Err(frame) => {
                    poll.end();
                    if let Some(trailers) = frame.trailers_ref() {
                        progress.trailers(call, classifier, trailers);
                    }
                    if frame.is_trailers() || this.inner.is_end_stream() {
                        end(&mut guard, progress, classifier, 0);
                    }
                    Poll::Ready(Some(Ok(frame)))
                }
            },
        };
        guard.disarm();
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B: fmt::Debug, C, P: fmt::Debug> fmt::Debug for ResponseBody<B, C, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody")
            .field("inner", &self.inner)
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}

/// Ends the call and counts the last bytes.
#[inline]
fn end(
    call: &mut Option<Call>,
    progress: &mut impl Progress,
    classifier: &impl Classify,
    bytes: u64,
) {
    if let Some(call) = call {
        progress.end(call, classifier);
    }
    if let Some(call) = call.take() {
        call.end(bytes);
    }
}
