use super::messages::Messages;
use crate::body;
use crate::classify::source;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// The body of a gRPC request, which counts the messages and bytes that the service reads.
    ///
    /// It is a [`RequestBody`](body::RequestBody) that also counts messages. At a server, an error of an unknown type
    /// cancels the call, because a gRPC body usually fails when its client went away. The errors of tonic's server are
    /// `tonic::Status`, which the feature `tonic` makes known. At a [client](crate::MetricsLayer::grpc_client), an error of
    /// an unknown type is an [`INVALID_MESSAGE`](crate::ErrorType::INVALID_MESSAGE), as for a message that can't be encoded.
    ///
    /// For a service that takes tonic's own body, such as its `Channel`, use
    /// [`boxed`](crate::MetricsLayer::boxed). It costs one allocation and counts everything.
    #[derive(Debug)]
    pub struct RequestBody<B> {
        #[pin]
        inner: body::RequestBody<B>,
        messages: Messages,
    }
}

// === impl RequestBody ===

impl<B> RequestBody<B> {
    pub(crate) fn new(inner: body::RequestBody<B>, messages: Messages) -> Self {
        Self { inner, messages }
    }

    /// Returns the inner body.
    pub fn get_ref(&self) -> &B {
        self.inner.get_ref()
    }

    /// Returns the inner body. Data read from it directly is not counted.
    pub fn get_mut(&mut self) -> &mut B {
        self.inner.get_mut()
    }

    /// Returns the inner body and stops counting.
    ///
    /// Data read afterwards is missing from `request_messages_total` and `request_bytes_total`. A request that breaks off
    /// afterwards does not decide the outcome of its call. Use [`boxed`](crate::MetricsLayer::boxed) to pass tonic's body to a service and
    /// count everything.
    pub fn into_inner(self) -> B {
        self.inner.into_inner()
    }
}

impl<B> Body for RequestBody<B>
where
    B: Body,
    B::Error: 'static,
{
    type Data = B::Data;
    type Error = B::Error;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let messages = this.messages;
        this.inner.poll_counted(
            cx,
            |call, data, bytes| {
                call.request_messages(messages.read(data), bytes);
            },
            |error| source::broken_off_within(error),
        )
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
