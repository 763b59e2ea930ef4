//! Messages in, items out, and faults reported by handles.

use super::streams_support::{Numbers, SECOND, Stage};
use super::{Ending, Model, cases, reports};
use futures_core::Stream;
use proptest::collection::vec;
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use tower::{Layer, Service, service_fn};
use tower_openmetrics::message::{self, InOk};
use tower_openmetrics::{CallHandle, Clock, ErrorType, MetricsLayer, RequestStream};

/// One call: what the client sends, what the handler does before and after it answers, and how often the caller polls
/// before it leaves.
#[derive(Clone, Debug)]
struct Script {
    request: Vec<Chunk>,
    before: Vec<Act>,
    refuses: bool,
    after: Vec<Act>,
    patience: usize,
    reads_on: bool,
}

#[derive(Clone, Copy, Debug)]
enum Chunk {
    Message(u8),
    Gone,
    Malformed,
}

/// Each takes a [`SECOND`].
#[derive(Clone, Copy, Debug)]
enum Act {
    Read,
    Report(Ending),
    Pause,
    Panic,
    Item(u8),
    Fail,
}

fn chunk() -> impl Strategy<Value = Chunk> {
    prop_oneof![
        6 => any::<u8>().prop_map(Chunk::Message),
        1 => Just(Chunk::Gone),
        1 => Just(Chunk::Malformed),
    ]
}

fn quiet_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => Just(Act::Read),
        4 => Just(Act::Pause),
        1 => reports::any().prop_map(Act::Report),
        1 => Just(Act::Panic),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => quiet_act(),
        4 => any::<u8>().prop_map(Act::Item),
        1 => Just(Act::Fail),
    ]
}

prop_compose! {
    fn script()(
        request in vec(chunk(), 0..6),
        before in vec(quiet_act(), 0..4),
        refuses in proptest::bool::weighted(0.1),
        after in vec(act(), 0..10),
        patience in prop_oneof![1 => 0..8usize, 1 => Just(usize::MAX)],
        reads_on in any::<bool>(),
    ) -> Script {
        Script { request, before, refuses, after, patience, reads_on }
    }
}

// === the model ===

impl Script {
    fn model(&self) -> Model {
        let mut model = Model::default();
        let mut request = self.request.iter();
        let mut polls = 0..self.patience;
        self.run(&mut model, &mut request, &mut polls);
        if self.reads_on {
            request.for_each(|chunk| model.reads(*chunk));
        }
        model
    }

    fn run<'a>(
        &self,
        model: &mut Model,
        request: &mut impl Iterator<Item = &'a Chunk>,
        polls: &mut impl Iterator,
    ) {
        model.acts(&self.before, request, polls);
        if model.has_ended() {
            return;
        }
        if self.refuses {
            model.fail(ErrorType::GENERATE);
            return model.ends(Ending::Completed);
        }
        model.head = Some(model.seconds);
        model.acts(&self.after, request, polls);
        model.ends(Ending::Completed);
    }
}

impl Model {
    /// Polls until the acts or the call end.
    fn acts<'a>(
        &mut self,
        acts: &[Act],
        request: &mut impl Iterator<Item = &'a Chunk>,
        polls: &mut impl Iterator,
    ) {
        let mut is_polled = polls.next().is_some();
        for act in acts {
            if !is_polled {
                break;
            }
            self.seconds += 1;
            match *act {
                Act::Read => request.next().into_iter().for_each(|c| self.reads(*c)),
                Act::Report(fault) => self.fault(fault),
                Act::Pause => is_polled = polls.next().is_some(),
                Act::Panic => {
                    self.fail(ErrorType::PANIC);
                    return self.ends(Ending::Completed);
                }
                Act::Item(size) => {
                    self.response_messages += 1;
                    self.responds(size.into());
                    is_polled = polls.next().is_some();
                }
                Act::Fail => {
                    self.fail(match self.response_messages {
                        0 => ErrorType::RESPONSE_STREAM,
                        _ => ErrorType::PUBLISH_RESPONSE,
                    });
                    return self.ends(Ending::Completed);
                }
            }
        }
        if !is_polled {
            self.ends(Ending::Cancelled);
        }
    }

    fn reads(&mut self, chunk: Chunk) {
        match chunk {
            Chunk::Message(size) => {
                self.request_bytes += u64::from(size);
                self.request_messages += 1;
            }
            Chunk::Gone => self.fault(Ending::Cancelled),
            Chunk::Malformed => self.fail(ErrorType::INVALID_MESSAGE),
        }
    }
}

// === the library ===

type Size = fn(&u8) -> u64;
type Request = RequestStream<Upload, InOk<Size>>;
type SharedRequest = Rc<RefCell<Request>>;

fn size(message: &u8) -> u64 {
    (*message).into()
}

/// What the client sends, and the handle.
struct Upload {
    chunks: VecDeque<Chunk>,
    call: Option<CallHandle>,
}

impl Stream for Upload {
    type Item = Result<u8, io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.chunks.pop_front().map(|chunk| match chunk {
            Chunk::Message(size) => Ok(size),
            Chunk::Gone => Err(ErrorKind::ConnectionReset.into()),
            Chunk::Malformed => Err(ErrorKind::InvalidData.into()),
        }))
    }
}

/// The handler, and then its answer.
struct Worker {
    acts: VecDeque<Act>,
    request: SharedRequest,
    call: CallHandle,
    /// Handles of calls that have ended. Their reports must have no effect.
    stale: Vec<CallHandle>,
    clock: Clock,
}

impl Stream for Worker {
    type Item = Result<u8, &'static str>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while let Some(act) = self.acts.pop_front() {
            self.clock.advance(SECOND);
            for stale in &self.stale {
                stale.fault(ErrorType::TIMEOUT);
            }
            match act {
                Act::Read => drop(read(&self.request)),
                Act::Report(fault) => self.call.fault(fault),
                Act::Pause => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Act::Panic => resume_unwind(Box::new("scripted")),
                Act::Item(size) => return Poll::Ready(Some(Ok(size))),
                Act::Fail => return Poll::Ready(Some(Err("scripted"))),
            }
        }
        Poll::Ready(None)
    }
}

fn read(request: &SharedRequest) -> Option<Result<u8, io::Error>> {
    let mut request = request.borrow_mut();
    match Pin::new(&mut *request).poll_next(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(chunk) => chunk,
        Poll::Pending => unreachable!("uploads don't pause here"),
    }
}

/// Makes the calls one after the other, and returns the layer's numbers.
fn play(scripts: &[Script], clock: Clock) -> Numbers {
    let builder = MetricsLayer::streaming_builder()
        .request_streams(message::ok(size as Size))
        .measure_items(message::ok(size as Size));
    let stage = Stage::timed_by(clock, builder)
        .pass_handle(|upload: &mut Upload, call| upload.call = Some(call));
    let mut stale = vec![];
    for script in scripts {
        let mut shared = None;
        let service = service_fn(|mut request: Request| {
            let call = request.get_mut().call.take().expect("a handle");
            let request = Rc::new(RefCell::new(request));
            shared = Some((request.clone(), call.clone()));
            let mut worker = Worker {
                acts: script.before.clone().into(),
                request,
                call,
                stale: stale.clone(),
                clock,
            };
            async move {
                let done = poll_fn(|cx| Pin::new(&mut worker).poll_next(cx)).await;
                assert!(done.is_none(), "it answers later");
                worker.acts = script.after.clone().into();
                match script.refuses {
                    true => Err("refused"),
                    false => Ok(worker),
                }
            }
        });
        let upload = Upload {
            chunks: script.request.clone().into(),
            call: None,
        };
        let future = stage.layer.layer(service).call(upload);
        // A panic ends the call as it ends the script.
        let _ = catch_unwind(AssertUnwindSafe(|| take(future, script.patience)));

        let (request, call) = shared.expect("it was called");
        if script.reads_on {
            while read(&request).is_some() {}
        }
        call.fault(ErrorType::TIMEOUT);
        stale.push(call);
    }
    stage.numbers()
}

/// Polls that often, and drops the future.
fn take<F, S, E>(future: F, patience: usize)
where
    F: Future<Output = Result<S, E>>,
    S: Stream<Item = Result<u8, &'static str>>,
{
    let mut context = Context::from_waker(Waker::noop());
    let mut polls = 0..patience;
    let mut future = Box::pin(future);
    let answer = loop {
        match polls.next().map(|_| future.as_mut().poll(&mut context)) {
            None | Some(Poll::Ready(Err(_))) => return,
            Some(Poll::Ready(Ok(answer))) => break answer,
            Some(Poll::Pending) => {}
        }
    };
    let mut answer = Box::pin(answer);
    while polls.next().is_some() {
        match answer.as_mut().poll_next(&mut context) {
            Poll::Ready(None | Some(Err(_))) => return,
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
    }
}

#[test]
fn the_numbers_match_the_model() {
    let clock = Clock::manual();
    let scripts = vec(script(), 1..4);
    proptest!(cases(4_000), |(scripts in scripts)| {
        let mut expected = Numbers::none();
        for script in &scripts {
            script.model().add_to(&mut expected);
        }
        prop_assert_eq!(play(&scripts, clock), expected);
    });
}
