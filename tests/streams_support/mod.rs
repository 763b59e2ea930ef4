//! Shared code for tests of streams: scripted streams and sinks, and all numbers of a page.

#![allow(dead_code, unused_imports, reason = "each test file uses a part of it")]

mod sink;

use crate::support::{self, Page, errors};
use futures_core::Stream;
use pin_project_lite::pin_project;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::marker::PhantomPinned;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tower_openmetrics::protocol::{Answer, PassHandle, Protocol};
use tower_openmetrics::{CallHandle, Clock, MetricsLayer, MetricsLayerBuilder};

pub(crate) use self::sink::{Ask, Log, Reply, Rule, ScriptedSink, SharedLog, refuse};
pub(crate) use crate::support::{SECOND, now};

/// A layer with all optional metrics and a manual clock.
#[derive(Clone, Debug)]
pub(crate) struct Stage<P> {
    pub(crate) clock: Clock,
    pub(crate) layer: MetricsLayer<P>,
}

/// All numbers of one layer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) requests: u64,
    pub(crate) request: Volume,
    pub(crate) response: Volume,
    /// By type, including those at 0.
    pub(crate) errors: BTreeMap<String, u64>,
    pub(crate) cancellations: u64,
    pub(crate) duration: Times,
    pub(crate) head: Times,
    pub(crate) first_byte: Times,
    pub(crate) concurrent: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Volume {
    pub(crate) bytes: u64,
    pub(crate) messages: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) count: u64,
    pub(crate) sum: Duration,
}

/// What a scripted stream does when it is polled.
#[derive(Clone, Debug)]
pub(crate) enum Step<T> {
    Item(T),
    Pause,
    Panic,
}

pin_project! {
    /// A stream that follows its script. Each item takes a [`SECOND`]. It is not `Unpin`, because streams need not be.
    #[derive(Debug)]
    pub(crate) struct Script<T> {
        steps: VecDeque<Step<T>>,
        clock: Clock,
        #[pin]
        pinned: PhantomPinned,
    }
}

// === impl Stage ===

impl<P> Stage<P> {
    pub(crate) fn new(builder: MetricsLayerBuilder<P>) -> Self {
        Self::timed_by(Clock::manual(), builder)
    }

    pub(crate) fn timed_by(clock: Clock, builder: MetricsLayerBuilder<P>) -> Self {
        let layer = builder
            .clock(clock)
            .messages_total(true)
            .response_head_seconds(true)
            .first_byte_seconds(true)
            .build([("endpoint", "stage")])
            .unwrap();
        Self { clock, layer }
    }

    /// Returns the same for services that get handles to their calls.
    pub(crate) fn pass_handle<R, F>(self, pass: F) -> Stage<PassHandle<P, F>>
    where
        F: Fn(&mut R, CallHandle) + Clone,
    {
        Stage {
            clock: self.clock,
            layer: self.layer.pass_handle(pass),
        }
    }

    #[track_caller]
    pub(crate) fn numbers(&self) -> Numbers {
        Numbers::read(&Page::read(self.layer.exporter()))
    }

    #[track_caller]
    pub(crate) fn expect(&self, row: &str, expected: &Numbers) {
        assert_eq!(self.numbers(), *expected, "{row}");
    }

    /// Makes one call, to which `handler` responds after a [`SECOND`].
    pub(crate) fn call<R, T, E>(
        &self,
        request: R,
        handler: impl FnOnce(<P as Protocol<R>>::Request) -> Result<T, E>,
    ) -> Result<<P as Answer<T, E>>::Response, E>
    where
        P: Protocol<R> + Answer<T, E>,
    {
        support::call(&self.layer, self.clock, request, handler)
    }

    /// Returns a stream that takes a [`SECOND`] for each item.
    pub(crate) fn script<T>(&self, items: impl IntoIterator<Item = T>) -> Script<T> {
        self.steps(items.into_iter().map(Step::Item))
    }

    pub(crate) fn steps<T>(&self, steps: impl IntoIterator<Item = Step<T>>) -> Script<T> {
        Script {
            steps: steps.into_iter().collect(),
            clock: self.clock,
            pinned: PhantomPinned,
        }
    }
}

// === impl Numbers ===

impl Numbers {
    /// The numbers before any call.
    pub(crate) fn none() -> Self {
        Self {
            errors: errors([]),
            ..Self::default()
        }
    }

    /// The numbers of one open call.
    pub(crate) fn open() -> Self {
        Self {
            concurrent: 1,
            ..Self::none()
        }
    }

    /// The numbers of one call that completed after this time.
    pub(crate) fn completed(seconds: u32) -> Self {
        Self {
            requests: 1,
            duration: Times::once_after(seconds),
            ..Self::none()
        }
    }

    /// The numbers of one call that was cancelled after this time.
    pub(crate) fn cancelled(seconds: u32) -> Self {
        Self {
            cancellations: 1,
            ..Self::completed(seconds)
        }
    }

    /// The numbers of one call that failed after this time.
    pub(crate) fn failed(error_type: &str, seconds: u32) -> Self {
        Self {
            errors: errors([(error_type, 1)]),
            ..Self::completed(seconds)
        }
    }

    pub(crate) fn request(self, bytes: u64, messages: u64) -> Self {
        let request = Volume { bytes, messages };
        Self { request, ..self }
    }

    pub(crate) fn response(self, bytes: u64, messages: u64) -> Self {
        let response = Volume { bytes, messages };
        Self { response, ..self }
    }

    pub(crate) fn head_after(self, seconds: u32) -> Self {
        let head = Times::once_after(seconds);
        Self { head, ..self }
    }

    pub(crate) fn first_byte_after(self, seconds: u32) -> Self {
        let first_byte = Times::once_after(seconds);
        Self { first_byte, ..self }
    }

    #[track_caller]
    fn read(page: &Page) -> Self {
        let volume = |way| Volume {
            bytes: page.integer(&format!("{way}_bytes_total")),
            messages: page.integer(&format!("{way}_messages_total")),
        };
        let numbers = page.numbers();
        Self {
            requests: numbers.requests,
            request: volume("request"),
            response: volume("response"),
            errors: numbers.errors,
            cancellations: numbers.cancellations,
            duration: Times::read(page, "request_duration_seconds"),
            head: Times::read(page, "response_head_seconds"),
            first_byte: Times::read(page, "first_byte_seconds"),
            concurrent: numbers.concurrent,
        }
    }
}

impl Times {
    pub(crate) fn once_after(seconds: u32) -> Self {
        Self {
            count: 1,
            sum: SECOND * seconds,
        }
    }

    #[track_caller]
    fn read(page: &Page, histogram: &str) -> Self {
        let sum = page.one(&format!("{histogram}_sum")).parse().unwrap();
        Self {
            count: page.integer(&format!("{histogram}_count")),
            sum: Duration::from_secs_f64(sum),
        }
    }
}

// === impl Script ===

impl<T> Stream for Script<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let this = self.project();
        match this.steps.pop_front() {
            Some(Step::Item(item)) => {
                this.clock.advance(SECOND);
                Poll::Ready(Some(item))
            }
            Some(Step::Pause) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(Step::Panic) => resume_unwind(Box::new("a scripted panic")),
            None => Poll::Ready(None),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let items = |step: &&Step<T>| matches!(step, Step::Item(_));
        (
            self.steps.iter().filter(items).count(),
            Some(self.steps.len()),
        )
    }
}

// === polling ===

/// Polls a self-waking future until it is ready.
#[track_caller]
pub(crate) fn soon<F: Future>(mut future: Pin<&mut F>) -> F::Output {
    bounded(|cx| future.as_mut().poll(cx))
}

/// Returns the next item of a stream, and skips pauses.
#[track_caller]
pub(crate) fn next<S: Stream>(mut stream: Pin<&mut S>) -> Option<S::Item> {
    bounded(|cx| stream.as_mut().poll_next(cx))
}

/// Returns all items of a stream.
#[track_caller]
pub(crate) fn all<S: Stream>(mut stream: Pin<&mut S>) -> Vec<S::Item> {
    std::iter::from_fn(|| next(stream.as_mut())).collect()
}

#[track_caller]
fn bounded<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    const MOST_POLLS: usize = 10_000;
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..MOST_POLLS {
        if let Poll::Ready(output) = poll(&mut context) {
            return output;
        }
    }
    panic!("it waits for ever");
}

/// Returns whether `run` panics.
pub(crate) fn panics(run: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(run)).is_err()
}
