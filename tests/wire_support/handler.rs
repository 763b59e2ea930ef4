use super::bounded;
use bytes::{Buf, Bytes};
use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use pin_project_lite::pin_project;
use std::collections::VecDeque;
use std::future;
use std::marker::PhantomPinned;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::{Notify, Semaphore};
use tower::{BoxError, Service};

/// A scripted handler, which treats all requests the same.
#[derive(Clone, Debug)]
pub(crate) struct Handler {
    told: Option<Arc<Semaphore>>,
    reads: Reads,
    then: Then,
    here: Arc<Notify>,
}

/// Handlers for the paths `/0`, `/1`, …
#[derive(Clone, Debug)]
pub(crate) struct Handlers(Arc<[Handler]>);

#[derive(Clone, Debug)]
enum Reads {
    Nothing,
    All,
    /// Frames until there are at least this many bytes.
    AtLeast(usize),
}

#[derive(Clone, Debug)]
enum Then {
    Answer(Response<Scripted>),
    Hang,
    Err,
    Panic,
}

pin_project! {
    /// A scripted response body. It is not `Unpin`, like bodies of async blocks.
    #[derive(Clone, Debug, Default)]
    pub(crate) struct Scripted {
        steps: VecDeque<Step>,
        hint: SizeHint,
        says_its_end: bool,
        #[pin]
        pinned: PhantomPinned,
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Data(Bytes),
    Trailers(HeaderMap),
    /// Yields, so that earlier frames are sent.
    Yield,
    Err,
    Panic,
    /// Never yields anything more, and never ends.
    Hang,
}

// === impl Handler ===

impl Handler {
    /// Responds with this response.
    pub(crate) fn answers(response: Response<Scripted>) -> Self {
        Self::then(Then::Answer(response))
    }

    /// Responds with 200 and this body.
    pub(crate) fn sends(body: Scripted) -> Self {
        Self::answers(Response::new(body))
    }

    /// Never responds.
    pub(crate) fn hangs() -> Self {
        Self::then(Then::Hang)
    }

    /// Returns an error.
    pub(crate) fn fails() -> Self {
        Self::then(Then::Err)
    }

    pub(crate) fn panics() -> Self {
        Self::then(Then::Panic)
    }

    fn then(then: Then) -> Self {
        Self {
            told: None,
            reads: Reads::Nothing,
            then,
            here: Arc::default(),
        }
    }

    /// Reads the request body first, up to its end or failure.
    pub(crate) fn reads_all(self) -> Self {
        let reads = Reads::All;
        Self { reads, ..self }
    }

    /// Reads at least this many bytes of the request body first.
    pub(crate) fn reads(self, bytes: usize) -> Self {
        let reads = Reads::AtLeast(bytes);
        Self { reads, ..self }
    }

    /// Waits for [`tell`](Self::tell) before everything else.
    pub(crate) fn when_told(self) -> Self {
        let told = Some(Arc::new(Semaphore::new(0)));
        Self { told, ..self }
    }

    /// Lets one waiting call continue.
    pub(crate) fn tell(&self) {
        self.told
            .as_ref()
            .expect("a handler that waits")
            .add_permits(1);
    }

    /// Waits until a request has arrived, and a part of its body is read if the handler reads.
    pub(crate) async fn is_here(&self) {
        bounded("the handler", self.here.notified()).await;
    }

    async fn handle<B: Body>(self, body: B) -> Result<Response<Scripted>, BoxError> {
        if let Some(told) = &self.told {
            told.acquire().await.unwrap().forget();
        }
        let unread = match self.reads {
            Reads::Nothing => Some(body), // kept until the response
            Reads::All => {
                self.read(body, usize::MAX).await;
                None
            }
            Reads::AtLeast(bytes) => {
                self.read(body, bytes).await;
                None
            }
        };
        self.here.notify_one();
        let answer = match self.then {
            Then::Answer(response) => Ok(response),
            Then::Hang => future::pending().await,
            Then::Err => Err("told to fail".into()),
            Then::Panic => panic!("told to panic"),
        };
        drop(unread);
        answer
    }

    async fn read<B: Body>(&self, body: B, bytes: usize) {
        let mut body = pin!(body);
        let mut read = 0;
        while read < bytes
            && let Some(Ok(frame)) = body.frame().await
        {
            read += frame.data_ref().map_or(0, Buf::remaining);
            self.here.notify_one();
        }
    }
}

impl<B> Service<Request<B>> for Handler
where
    B: Body<Data: Send> + Send + 'static,
{
    type Response = Response<Scripted>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Scripted>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        Box::pin(self.clone().handle(request.into_body()))
    }
}

// === impl Handlers ===

impl<B> Service<Request<B>> for Handlers
where
    B: Body<Data: Send> + Send + 'static,
{
    type Response = Response<Scripted>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Scripted>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let index: usize = request.uri().path()[1..].parse().unwrap();
        self.0[index].clone().call(request)
    }
}

impl FromIterator<Handler> for Handlers {
    fn from_iter<I: IntoIterator<Item = Handler>>(handlers: I) -> Self {
        Self(handlers.into_iter().collect())
    }
}

// === impl Scripted ===

impl Scripted {
    /// A body without a size hint, whose `is_end_stream` is false.
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Sets the exact size hint, which may be wrong.
    pub(crate) fn exact(self, length: u64) -> Self {
        let hint = SizeHint::with_exact(length);
        Self { hint, ..self }
    }

    /// Makes `is_end_stream` true after the last frame, like `Full`.
    pub(crate) fn says_its_end(self) -> Self {
        Self {
            says_its_end: true,
            ..self
        }
    }
}

impl Body for Scripted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let steps = self.project().steps;
        let Some(step) = steps.pop_front() else {
            return Poll::Ready(None);
        };
        match step {
            Step::Data(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            Step::Trailers(trailers) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Step::Yield => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Step::Err => Poll::Ready(Some(Err("told to fail".into()))),
            Step::Panic => panic!("told to panic"),
            Step::Hang => {
                steps.push_front(Step::Hang);
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.says_its_end && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.hint
    }
}

/// Returns a data frame.
pub(crate) fn data(text: &'static str) -> Step {
    Step::Data(Bytes::from_static(text.as_bytes()))
}

/// Returns trailers with one field.
pub(crate) fn trailers() -> Step {
    Step::Trailers(HeaderMap::from_iter([(
        http::HeaderName::from_static("x-sum"),
        http::HeaderValue::from_static("42"),
    )]))
}
