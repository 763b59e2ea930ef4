use crate::classify::{Fault, source};
use crate::handle::CallHandle;
use crate::panic_guard::PanicGuard;
use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::any::Any;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// The body of a request. Counts the bytes that the service reads.
    ///
    /// Frames, the size hint and the end pass through unchanged. If the body fails, the call is cancelled if the client went
    /// away. Otherwise it fails, as [`TIMEOUT`](crate::ErrorType::TIMEOUT) if a time limit passed, else as
    /// [`INVALID_MESSAGE`](crate::ErrorType::INVALID_MESSAGE).
    ///
    /// Over HTTP/2 and later, the call is also cancelled if the body ends without an error before its `Content-Length`. A body
    /// that reaches its own exact size hint has not ended early.
    ///
    /// For a [client](crate::MetricsLayer::client), a failed request body never cancels the call, because the caller is still
    /// there.
    ///
    /// Services that are generic over the request body accept this type. For a service that needs a certain type, use
    /// [`MetricsLayer::boxed`](crate::MetricsLayer::boxed). The [module](super) lists other ways.
    ///
    /// `T` is what the body consists of: bytes, or the messages of [gRPC](crate::grpc::RequestBody).
    #[derive(Debug, Default)]
    pub struct RequestBody<B, T = ()> {
        #[pin]
        inner: B,
        call: Option<CallHandle>,
        // The bytes that are `owed` and have not arrived.
        owed: u64,
        // The program sends the body, as a client.
        is_client: bool,
        content: T,
    }
}

/// What a request body consists of.
pub trait Content {
    /// Returns the number of messages that end in `data`.
    fn read<D: Buf>(&mut self, data: &D) -> u64;

    /// Classifies an error of the body at a server.
    fn broken_off(error: &dyn Any) -> Fault;
}

// === impl RequestBody ===

impl<B, T> RequestBody<B, T> {
    /// `told` is the handle to its call, and the bytes that the body owes. It is `None` for a body that is empty from the
    /// start.
    #[inline]
    pub(crate) fn new(
        inner: B,
        told: Option<(CallHandle, u64)>,
        is_client: bool,
        content: T,
    ) -> Self {
        let (call, owed) = told.unzip();
        Self {
            inner,
            call,
            owed: owed.unwrap_or(0),
            is_client,
            content,
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

    /// Returns the inner body. It is not counted from then on.
    ///
    /// `request_bytes_total` then lacks the bytes of this body. An upload that the client breaks off, or that is malformed,
    /// counts as the service's response says, such as a 500. [`MetricsLayer::boxed`](crate::MetricsLayer::boxed) converts the
    /// body and still counts it. Use this method if the service needs the original, such as a `hyper::body::Incoming`, or if
    /// an allocation is too expensive:
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http::{Request, Response};
    /// use http_body_util::Full;
    /// use tower::{ServiceBuilder, service_fn};
    /// use tower_openmetrics::{MetricsLayer, RequestBody};
    ///
    /// let service = ServiceBuilder::new()
    ///     .layer(MetricsLayer::new([("endpoint", "a")]))
    ///     .map_request(|request: Request<RequestBody<_>>| request.map(RequestBody::into_inner))
    ///     .service(service_fn(async |request: Request<Full<Bytes>>| {
    ///         Ok::<_, std::convert::Infallible>(Response::new(request.into_body()))
    ///     }));
    /// # let _ = || tower::ServiceExt::oneshot(service, Request::new(Full::<Bytes>::default()));
    /// ```
    pub fn into_inner(self) -> B {
        self.inner
    }
}

impl<B, T> Body for RequestBody<B, T>
where
    B: Body,
    B::Error: 'static,
    T: Content,
{
    type Data = B::Data;
    type Error = B::Error;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let guard = PanicGuard::new(this.call);
        let polled = this.inner.as_mut().poll_frame(cx);
        let Some(call) = &*guard else {
            guard.disarm();
            return polled;
        };
        // Each arm returns its own value. Returning one value after the match copies the frame three times (9 ns a call).
        let polled = match polled {
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => {
                    let bytes = data.remaining() as u64;
                    call.request_messages(this.content.read(&data), bytes);
                    *this.owed = this.owed.saturating_sub(bytes);
                    if *this.owed > 0 && this.inner.is_end_stream() {
                        call.fault(Fault::Cancelled);
                    }
                    Poll::Ready(Some(Ok(Frame::data(data))))
                }
                Err(frame) => {
                    if *this.owed > 0 && this.inner.is_end_stream() {
                        call.fault(Fault::Cancelled);
                    }
                    Poll::Ready(Some(Ok(frame)))
                }
            },
            Poll::Ready(Some(Err(error))) => {
                call.fault(match this.is_client {
                    true => source::not_sent(&error),
                    false => T::broken_off(&error),
                });
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(None) => {
                if *this.owed > 0 {
                    call.fault(Fault::Cancelled);
                }
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
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

// === impl Content ===

/// Bytes, which are no messages.
impl Content for () {
    #[inline]
    fn read<D: Buf>(&mut self, _: &D) -> u64 {
        0
    }

    fn broken_off(error: &dyn Any) -> Fault {
        source::broken_off(error)
    }
}
