//! Responses sent into sinks that pause, refuse and panic.
//!
//! Here the model reads what stream and sink have seen, in order. The order in which `Publish` works is free; what it
//! counts is not.

use super::streams_support::{Ask, Numbers, Reply, Rule, SECOND, ScriptedSink, Stage, refuse};
use super::{Ending, Model, cases, reports};
use futures_core::Stream;
use futures_sink::Sink;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use tower::BoxError;
use tower_openmetrics::{CallHandle, Clock, ErrorType, Message, MetricsLayer};

#[derive(Clone, Debug)]
struct Script {
    acts: Vec<Act>,
    rules: Vec<Rule>,
    final_item: bool,
    close: bool,
    patience: usize,
}

/// Each takes a [`SECOND`].
#[derive(Clone, Copy, Debug)]
enum Act {
    /// That many items of one size, one by one.
    Items(Size, usize),
    Fail,
    Pause,
    Report(Ending),
    Panic,
}

/// A message that only claims its size, because real items of such sizes would take too much memory.
#[derive(Clone, Copy, Debug)]
struct Size(u64);

impl Message for Size {
    fn size(&self) -> u64 {
        self.0
    }
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Made(Result<Size, Broken>),
    Reported(Ending),
    NoMore,
    /// One step of the script has passed.
    Second,
    /// The sink did what it was asked to do, or refused.
    Asked(Ask, bool),
    Panicked,
    Dropped,
}

#[derive(Clone, Copy, Debug)]
struct Broken;

type Events = Rc<RefCell<Vec<Event>>>;

fn act() -> impl Strategy<Value = Act> {
    let size = select(vec![0, 1, 1000, 40 * 1024, 100 * 1024]).prop_map(Size);
    prop_oneof![
        10 => (size, select(vec![1, 1, 1, 30])).prop_map(|(size, count)| Act::Items(size, count)),
        2 => Just(Act::Fail),
        6 => Just(Act::Pause),
        1 => reports::any().prop_map(Act::Report),
        1 => Just(Act::Panic),
    ]
}

fn rule() -> impl Strategy<Value = Rule> {
    let reply = prop_oneof![
        3 => Just(Reply::Pause),
        2 => Just(refuse()),
        1 => Just(Reply::Panic),
    ];
    let ask = select(vec![Ask::Ready, Ask::Send, Ask::Flush, Ask::Close]);
    (ask, 0..6usize, reply).prop_map(|(ask, time, reply)| match (ask, reply) {
        (Ask::Send, Reply::Pause) => (Ask::Ready, time, reply),
        _ => (ask, time, reply),
    })
}

prop_compose! {
    fn script()(
        acts in vec(act(), 0..10),
        rules in vec(rule(), 0..4),
        final_item in any::<bool>(),
        close in any::<bool>(),
        patience in prop_oneof![1 => 0..6usize, 2 => Just(usize::MAX)],
    ) -> Script {
        Script { acts, rules, final_item, close, patience }
    }
}

// === the model ===

/// What the model also knows about the sending.
#[derive(Default)]
struct Sending {
    made: Option<Result<Size, Broken>>,
    no_more: bool,
    has_sent_final: bool,
    has_begun: bool,
    unflushed: Vec<Result<Size, Broken>>,
}

impl Script {
    fn model(&self, events: &[Event]) -> Model {
        let mut model = Model {
            seconds: 1, // to the response
            head: Some(1),
            request_messages: 1,
            ..Model::default()
        };
        let mut sending = Sending::default();
        for event in events {
            self.follow(&mut model, &mut sending, *event);
        }
        model
    }

    fn follow(&self, model: &mut Model, sending: &mut Sending, event: Event) {
        match event {
            Event::Second => model.seconds += 1,
            Event::Reported(fault) => model.fault(fault),
            Event::NoMore => sending.no_more = true,
            Event::Made(item) => {
                sending.made = Some(item);
                if item.is_err() {
                    model.fail(match sending.has_begun {
                        false => ErrorType::RESPONSE_STREAM,
                        true => ErrorType::PUBLISH_RESPONSE,
                    });
                }
            }
            Event::Asked(_, false) => {
                model.fail(match sending.no_more {
                    false => ErrorType::PUBLISH_RESPONSE,
                    true => ErrorType::PUBLISH_FINAL,
                });
                model.ends(Ending::Completed);
            }
            Event::Asked(Ask::Ready, true) => {}
            Event::Asked(Ask::Send, true) => match sending.made.take() {
                Some(item) => {
                    sending.has_begun |= item.is_ok();
                    sending.unflushed.push(item);
                }
                None => sending.has_sent_final = true,
            },
            Event::Asked(Ask::Flush, true) => {
                model.flushes(&mut sending.unflushed);
                if sending.no_more && sending.has_sent_final == self.final_item && !self.close {
                    model.ends(Ending::Completed);
                }
            }
            Event::Asked(Ask::Close, true) => model.ends(Ending::Completed),
            Event::Panicked => {
                model.fail(ErrorType::PANIC);
                model.ends(Ending::Completed);
            }
            Event::Dropped => model.ends(Ending::Cancelled),
        }
    }
}

impl Model {
    fn flushes(&mut self, items: &mut Vec<Result<Size, Broken>>) {
        for item in items.drain(..) {
            match item {
                _ if self.has_ended() => {}
                Ok(Size(bytes)) => {
                    self.response_messages += 1;
                    self.responds(bytes);
                }
                Err(Broken) => self.ends(Ending::Completed),
            }
        }
    }
}

// === the library ===

struct Items {
    acts: VecDeque<Act>,
    events: Events,
    call: Rc<RefCell<Option<CallHandle>>>,
    clock: Clock,
}

impl Stream for Items {
    type Item = Result<Size, Broken>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let Some(act) = self.acts.pop_front() else {
                self.events.borrow_mut().push(Event::NoMore);
                return Poll::Ready(None);
            };
            self.clock.advance(SECOND);
            let mut events = self.events.borrow_mut();
            events.push(Event::Second);
            let item = match act {
                Act::Items(size, count) => {
                    drop(events);
                    if count > 1 {
                        self.acts.push_front(Act::Items(size, count - 1));
                    }
                    Ok(size)
                }
                Act::Fail => {
                    drop(events);
                    Err(Broken)
                }
                Act::Pause => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Act::Report(fault) => {
                    events.push(Event::Reported(fault));
                    self.call.borrow().as_ref().expect("a handle").fault(fault);
                    continue;
                }
                Act::Panic => {
                    drop(events);
                    resume_unwind(Box::new("scripted"))
                }
            };
            self.events.borrow_mut().push(Event::Made(item));
            return Poll::Ready(Some(item));
        }
    }
}

/// Records what a sink does.
struct Recorded<T> {
    sink: Pin<Box<ScriptedSink<T>>>,
    events: Events,
}

impl<T> Recorded<T> {
    fn tell(&self, ask: Ask, reply: &Result<(), BoxError>) {
        let event = Event::Asked(ask, reply.is_ok());
        self.events.borrow_mut().push(event);
    }
}

impl<T> Sink<T> for Recorded<T> {
    type Error = BoxError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let reply = ready!(self.sink.as_mut().poll_ready(cx));
        self.tell(Ask::Ready, &reply);
        Poll::Ready(reply)
    }

    fn start_send(mut self: Pin<&mut Self>, item: T) -> Result<(), BoxError> {
        let reply = self.sink.as_mut().start_send(item);
        self.tell(Ask::Send, &reply);
        reply
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let reply = ready!(self.sink.as_mut().poll_flush(cx));
        self.tell(Ask::Flush, &reply);
        Poll::Ready(reply)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let reply = ready!(self.sink.as_mut().poll_close(cx));
        self.tell(Ask::Close, &reply);
        Poll::Ready(reply)
    }
}

fn play(script: &Script, clock: Clock) -> (Numbers, Vec<Event>) {
    let Script {
        acts,
        rules,
        final_item,
        close,
        patience,
    } = script.clone();
    let stage = Stage::timed_by(clock, MetricsLayer::streaming_builder());
    let (events, call) = (Events::default(), Rc::default());
    let items = Items {
        acts: acts.into(),
        events: events.clone(),
        call: Rc::clone(&call),
        clock,
    };
    let answer = stage.call((), |()| Ok::<_, BoxError>(items));
    let mut answer = answer.map_err(drop).unwrap();
    *call.borrow_mut() = answer.handle();
    let sink = Recorded {
        sink: Box::pin(ScriptedSink::new(rules).0),
        events: events.clone(),
    };
    let sending = answer.publish(sink).close(close);
    let sending = match final_item {
        true => sending.final_item(Ok(Size(7))),
        false => sending,
    };
    let end = catch_unwind(AssertUnwindSafe(|| poll(sending, patience)));
    events.borrow_mut().push(match end {
        Ok(()) => Event::Dropped,
        Err(_) => Event::Panicked,
    });
    let events = events.borrow().clone();
    (stage.numbers(), events)
}

fn poll<F: Future>(sending: F, patience: usize) {
    let mut sending = Box::pin(sending);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..patience {
        if sending.as_mut().poll(&mut context).is_ready() {
            return;
        }
    }
}

#[test]
fn the_numbers_match_the_model() {
    let clock = Clock::manual();
    proptest!(cases(3_000), |(script in script())| {
        let (numbers, events) = play(&script, clock);
        let mut expected = Numbers::none();
        script.model(&events).add_to(&mut expected);
        prop_assert_eq!(numbers, expected, "{:?}", events);
    });
}
