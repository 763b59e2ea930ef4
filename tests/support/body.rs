use super::SECOND;
use bytes::{Buf, Bytes};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::collections::VecDeque;
use std::marker::PhantomPinned;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tower::BoxError;
use tower_openmetrics::Clock;

/// What a scripted body does when it is polled.
#[derive(Debug)]
pub(crate) enum Step<E = BoxError> {
    Data(&'static str),
    Bytes(Vec<u8>),
    Trailers,
    /// Trailers with one field.
    Field(&'static str, &'static str),
    Pending,
    Fail(fn() -> E),
    Panic,
}

pin_project! {
    /// A body that follows its script. It is not `Unpin`, because bodies need not be.
    ///
    /// Each frame and each failure takes a [`SECOND`] of its clock. By default it has no size hint, and `is_end_stream` is
    /// false.
    #[derive(Debug)]
    pub(crate) struct Script<E = BoxError> {
        steps: VecDeque<Step<E>>,
        clock: Clock,
        hint: Option<u64>,
        knows_its_end: bool,
        #[pin]
        pinned: PhantomPinned,
    }
}

/// What a reader got from a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) frames: usize,
    pub(crate) bytes: u64,
    pub(crate) failed: bool,
}

impl<E> Script<E> {
    pub(crate) fn new(clock: Clock, steps: impl IntoIterator<Item = Step<E>>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            clock,
            hint: None,
            knows_its_end: false,
            pinned: PhantomPinned,
        }
    }

    /// Sets the exact size hint, which may be wrong.
    pub(crate) fn hint(mut self, length: impl Into<Option<u64>>) -> Self {
        self.hint = length.into();
        self
    }

    /// Makes `is_end_stream` true after the last frame.
    pub(crate) fn knows_its_end(mut self, knows: bool) -> Self {
        self.knows_its_end = knows;
        self
    }
}

impl<E> Body for Script<E> {
    type Data = Bytes;
    type Error = E;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, E>>> {
        let this = self.project();
        let Some(step) = this.steps.pop_front() else {
            return Poll::Ready(None);
        };
        if matches!(step, Step::Pending) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        this.clock.advance(SECOND);
        Poll::Ready(Some(match step {
            Step::Data(text) => Ok(data(this.hint, text.into())),
            Step::Bytes(bytes) => Ok(data(this.hint, bytes.into())),
            Step::Trailers => Ok(Frame::trailers(HeaderMap::new())),
            Step::Field(name, value) => {
                let field = (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                );
                Ok(Frame::trailers(HeaderMap::from_iter([field])))
            }
            Step::Fail(error) => Err(error()),
            Step::Panic => panic!("a scripted panic"),
            Step::Pending => unreachable!(),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.knows_its_end && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.hint.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

fn data(hint: &mut Option<u64>, data: Bytes) -> Frame<Bytes> {
    *hint = hint.map(|left| left.saturating_sub(data.len() as u64));
    Frame::data(data)
}

/// Returns the next frame of a body, and skips pending steps.
#[track_caller]
pub(crate) fn poll_frame<B: Body>(
    mut body: Pin<&mut B>,
) -> Option<Result<Frame<B::Data>, B::Error>> {
    const MOST_WAITS: usize = 1_000;
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..MOST_WAITS {
        if let Poll::Ready(frame) = body.as_mut().poll_frame(&mut context) {
            return frame;
        }
    }
    panic!("the body waits for ever");
}

/// Takes at most this many frames, and none after the end.
pub(crate) fn take_frames<B: Body>(mut body: Pin<&mut B>, most: usize) -> Taken {
    let mut taken = Taken::default();
    while taken.frames < most {
        match poll_frame(body.as_mut()) {
            Some(Ok(frame)) => {
                taken.frames += 1;
                taken.bytes += frame.data_ref().map_or(0, |data| data.remaining() as u64);
            }
            Some(Err(_)) => {
                taken.failed = true;
                break;
            }
            None => break,
        }
    }
    taken
}

/// Takes frames up to the end or an error.
pub(crate) fn take_to_end<B: Body>(body: Pin<&mut B>) -> Taken {
    take_frames(body, usize::MAX)
}

/// Takes frames like hyper over HTTP/2: up to trailers, or until `is_end_stream`.
pub(crate) fn take_as_http2<B: Body>(mut body: Pin<&mut B>) {
    while !body.is_end_stream() {
        match poll_frame(body.as_mut()) {
            Some(Ok(frame)) if !frame.is_trailers() => {}
            _ => break,
        }
    }
}
