use super::messages::Messages;
use crate::body;
use crate::classify::source;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// The body of a gRPC request: counts the messages and bytes that the service reads.
    ///
    /// It is a [`RequestBody`](body::RequestBody) that also knows messages. Of its errors at a server, those whose type the
    /// crate doesn't know are taken for a client that went away, since gRPC leaves nothing else to a body: so are
    /// those of tonic's server, which are `tonic::Status`, unless the feature `tonic` looks into them. At a
    /// [client](crate::MetricsLayer::grpc_client) they are [`INVALID_MESSAGE`](crate::ErrorType::INVALID_MESSAGE), as when a
    /// message can't be encoded.
    ///
    /// What is written for tonic's own body, its `Channel` among others, gets that from a layer that is
    /// [`boxed`](crate::MetricsLayer::boxed), which costs an allocation and loses nothing.
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

    /// The body that is wrapped.
    pub fn get_ref(&self) -> &B {
        self.inner.get_ref()
    }

    /// The body that is wrapped. What is read from it directly is not counted.
    pub fn get_mut(&mut self) -> &mut B {
        self.inner.get_mut()
    }

    /// Gives up counting, and unwraps the body.
    ///
    /// What is read from then on is lost to the metrics: `request_messages_total` and `request_bytes_total` stay where they are,
    /// and a request that breaks off counts as whatever comes of it. A layer that is
    /// [`boxed`](crate::MetricsLayer::boxed) gives a service tonic's body and loses nothing.
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
