//! Answers that are sent: driven into sinks of every temper, and taken apart.

mod streams_support;
mod support;

use self::streams_support::Ask::{Close, Flush, Ready, Send};
use self::streams_support::Reply::{Panic, Pause, Refuse};
use self::streams_support::Step::{self, Item};
use self::streams_support::{
    Numbers, Rule, SECOND, Script, ScriptedSink, SharedLog, Stage, all, next, now, panics, refuse,
    soon,
};
use futures_util::{StreamExt, stream};
use std::any::Any;
use std::cell::Cell;
use std::future::Future;
use std::pin::{Pin, pin};
use tokio_test::{assert_pending, assert_ready_ok, task};
use tower::BoxError;
use tower::timeout::error::Elapsed;
use tower_openmetrics::classify::{Classify, ErrorType, Fault, HttpStatus, Phase, by_error};
use tower_openmetrics::message::Own;
use tower_openmetrics::protocol::Streaming;
use tower_openmetrics::publish::Publish;
use tower_openmetrics::{MetricsLayer, ResponseStream};

type Token = Result<&'static str, &'static str>;
type Sink = ScriptedSink<Token>;
type Sending = Publish<Script<Token>, Sink, Own, HttpStatus>;

/// An answer, the sink it goes to, and what there is at the end.
struct Sent {
    result: Result<(), BoxError>,
    log: SharedLog<Token>,
    numbers: Numbers,
}

const FINAL: Token = Ok("a final item is not counted");

fn streaming() -> Stage<Streaming> {
    Stage::new(MetricsLayer::streaming_builder())
}

fn answer(stage: &Stage<Streaming>, script: Script<Token>) -> ResponseStream<Script<Token>> {
    stage.call("abc", |_| Ok::<_, BoxError>(script)).unwrap()
}

/// "abc" was asked, and the answer began after a second.
fn asked(numbers: Numbers) -> Numbers {
    numbers.request(3, 1).head_after(1)
}

fn steps(items: &[Token]) -> Vec<Step<Token>> {
    items.iter().copied().map(Item).collect()
}

/// As items that the stream takes its time for.
fn slowly(items: &[Token]) -> Vec<Step<Token>> {
    let pause_after = |item| [Item(item), Step::Pause];
    items.iter().copied().flat_map(pause_after).collect()
}

const ITEMS: [Token; 3] = [Ok("d"), Ok("ef"), Ok("ghi")];

/// Sends all of an answer, and holds on to what is left for a [`SECOND`], so that the
/// duration tells an end from a drop.
fn send(
    steps: impl IntoIterator<Item = Step<Token>>,
    rules: impl IntoIterator<Item = Rule>,
    settings: fn(Sending) -> Sending,
) -> Sent {
    let stage = streaming();
    let (sink, log) = ScriptedSink::new(rules);
    let sending = answer(&stage, stage.steps(steps)).publish(sink);
    let mut sending = Box::pin(settings(sending));
    let result = soon(sending.as_mut());
    stage.clock.advance(SECOND);
    let again = if result.is_err() { 2 } else { 1 };
    for _ in 0..again {
        assert!(soon(sending.as_mut()).is_ok(), "polled after the end");
    }
    drop(sending);
    let numbers = stage.numbers();
    Sent {
        result,
        log,
        numbers,
    }
}

fn as_it_is(sending: Sending) -> Sending {
    sending
}

fn with_final(sending: Sending) -> Sending {
    sending.final_item(FINAL)
}

fn closing(sending: Sending) -> Sending {
    sending.close(true)
}

impl Sent {
    #[track_caller]
    fn expect_ok(&self, expected: Numbers) -> &Self {
        assert!(self.result.is_ok(), "{:?}", self.result);
        assert_eq!(self.numbers, asked(expected));
        self
    }

    #[track_caller]
    fn expect_refused(&self, expected: Numbers) -> &Self {
        let error = self.result.as_ref().unwrap_err();
        assert_eq!(error.to_string(), "refused");
        assert_eq!(self.numbers, asked(expected));
        self
    }

    #[track_caller]
    fn taken(&self, items: &[Token]) -> &Self {
        assert_eq!(self.log.borrow().taken, items);
        self
    }

    #[track_caller]
    fn flushed_by(&self, flushes: &[usize]) -> &Self {
        assert_eq!(self.log.borrow().flushes, flushes);
        self
    }
}

// === all goes well ===

#[test]
fn all_is_sent_and_flushed_once_at_the_end() {
    let all = Numbers::completed(4).response(6, 3);
    send(steps(&ITEMS), [], as_it_is)
        .expect_ok(all.first_byte_after(4))
        .taken(&ITEMS)
        .flushed_by(&[3]);
}

#[test]
fn nothing_to_send() {
    send([], [], as_it_is).expect_ok(Numbers::completed(1));
    send([Step::Pause], [], closing).expect_ok(Numbers::completed(1));
}

#[test]
fn items_go_out_as_they_are_made() {
    let all = Numbers::completed(4).response(6, 3);
    send(slowly(&ITEMS), [], as_it_is)
        .expect_ok(all.first_byte_after(2))
        .taken(&ITEMS)
        .flushed_by(&[1, 1, 1]);
}

#[test]
fn items_count_once_they_are_flushed() {
    let stage = streaming();
    let (sink, _log) = ScriptedSink::new([(Flush, 1, Pause)]);
    let script = stage.steps([Item(Ok("de")), Step::Pause, Item(Ok("f"))]);
    let mut sending = task::spawn(answer(&stage, script).publish(sink));
    assert_pending!(sending.poll());
    let open = || asked(Numbers::open().response(2, 1).first_byte_after(2));
    stage.expect("the first is flushed", &open());
    assert_pending!(sending.poll());
    stage.expect("the sink still has the second", &open());
    assert_ready_ok!(sending.poll());
    let completed = Numbers::completed(3).response(3, 2).first_byte_after(2);
    stage.expect("and now has not", &asked(completed));
}

#[test]
fn a_final_item_is_sent_and_not_counted() {
    let all = Numbers::completed(4).response(6, 3);
    let sent = send(steps(&ITEMS), [], with_final);
    sent.expect_ok(all.first_byte_after(4)).flushed_by(&[4]);
    assert_eq!(sent.log.borrow().taken.last(), Some(&FINAL));

    send([], [], with_final)
        .expect_ok(Numbers::completed(1))
        .taken(&[FINAL]);
}

#[test]
fn it_closes_the_sink_only_if_told_to() {
    for (settings, closed) in [(as_it_is as fn(_) -> _, false), (closing, true)] {
        let sent = send(steps(&ITEMS), [], settings);
        let all = Numbers::completed(4).response(6, 3);
        sent.expect_ok(all.first_byte_after(4)).flushed_by(&[3]);
        assert_eq!(sent.log.borrow().closed, closed);
    }
}

#[test]
fn one_sink_serves_answer_after_answer() {
    let stage = streaming();
    let mut sink: Vec<Token> = vec![];
    for _ in 0..2 {
        let script = stage.script([Ok("de")]);
        let sending = answer(&stage, script).publish(&mut sink);
        now(sending.final_item(FINAL)).unwrap();
    }
    assert_eq!(sink, [Ok("de"), FINAL, Ok("de"), FINAL]);
    let numbers = stage.numbers();
    assert_eq!((numbers.requests, numbers.response.bytes), (2, 4));
}

// === back-pressure ===

#[test]
fn a_sink_may_take_its_time() {
    let all = || Numbers::completed(4).response(6, 3).first_byte_after(4);
    for pauses in [
        vec![(Ready, 0, Pause)],
        vec![(Ready, 1, Pause), (Ready, 2, Pause)],
        vec![(Flush, 0, Pause), (Flush, 1, Pause)],
        vec![(Close, 0, Pause)],
        vec![(Ready, 0, Pause), (Ready, 4, Pause), (Flush, 0, Pause)],
    ] {
        let sent = send(steps(&ITEMS), pauses.clone(), |sending| {
            closing(with_final(sending))
        });
        sent.expect_ok(all()).flushed_by(&[4]);
    }
}

#[test]
fn nothing_is_asked_of_the_stream_while_the_sink_is_full() {
    let stage = streaming();
    let made = Cell::new(0);
    let items = stream::repeat_with(|| {
        made.set(made.get() + 1);
        "de"
    });
    let never_ready = (0..100).map(|time| (Ready, 2 + time, Pause));
    let (sink, log) = ScriptedSink::new(never_ready);
    let answer = stage.call("abc", |_| Ok::<_, BoxError>(items)).unwrap();
    let mut sending = task::spawn(answer.publish(sink));
    for _ in 0..50 {
        assert_pending!(sending.poll());
        assert!(sending.is_woken());
    }
    assert_eq!(log.borrow().taken, ["de", "de"]);
    assert_eq!(made.get(), 3, "two sent, and one in hand");
    drop(sending);
    stage.expect("dropped", &asked(Numbers::cancelled(1)));
}

#[test]
fn streams_that_never_pause_are_flushed_by_the_way() {
    for (size, count, flushes) in [
        (1, 64, vec![64]),
        (1, 65, vec![64, 1]),
        (1, 130, vec![64, 64, 2]),
        (0, 130, vec![64, 64, 2]),
        (32 * 1024, 5, vec![2, 2, 1]),
        (64 * 1024 - 1, 4, vec![2, 2]),
        (64 * 1024, 2, vec![1, 1]),
        (1024 * 1024, 2, vec![1, 1]),
    ] {
        let stage = streaming();
        let items = stage.script(vec![vec![0u8; size]; count]);
        let answer = stage.call("abc", |_| Ok::<_, BoxError>(items)).unwrap();
        let (sink, log) = ScriptedSink::new([]);
        soon(pin!(answer.publish(sink))).unwrap();
        let row = format!("{count} items of {size} bytes");
        assert_eq!(log.borrow().flushes, flushes, "{row}");
        let volume = ((size * count) as u64, count as u64);
        let numbers = stage.numbers();
        let counted = (numbers.response.bytes, numbers.response.messages);
        assert_eq!(counted, volume, "{row}");
        let first = SECOND * (1 + flushes[0] as u32);
        assert_eq!(numbers.first_byte.sum, first, "{row}");
    }
}

// === what the sink refuses ===

#[test]
fn an_item_is_refused() {
    for refused in 0..3 {
        let rules = [(Ready, refused, refuse()), (Send, refused, refuse())];
        for rule in rules {
            let seconds = 2 + refused as u32;
            let failed = || Numbers::failed("publish_response", seconds);
            // The sink has what it took before, but who knows whether it is out.
            send(steps(&ITEMS), [rule], as_it_is)
                .expect_refused(failed())
                .taken(&ITEMS[..refused])
                .flushed_by(&[]);

            let sent = send(slowly(&ITEMS), [rule], as_it_is);
            sent.taken(&ITEMS[..refused]);
            let (bytes, messages) = [(0, 0), (1, 1), (3, 2)][refused];
            let expected = failed().response(bytes, messages);
            sent.expect_refused(match refused {
                0 => expected,
                _ => expected.first_byte_after(2),
            });
        }
    }
}

#[test]
fn a_flush_by_the_way_is_refused() {
    for refused in 0..3 {
        let sent = send(slowly(&ITEMS), [(Flush, refused, refuse())], as_it_is);
        let failed = Numbers::failed("publish_response", 2 + refused as u32);
        let (bytes, messages) = [(0, 0), (1, 1), (3, 2)][refused];
        let expected = failed.response(bytes, messages);
        sent.expect_refused(match refused {
            0 => expected,
            _ => expected.first_byte_after(2),
        });
        sent.taken(&ITEMS[..=refused]);
    }
}

#[test]
fn the_final_item_is_refused() {
    for rule in [(Ready, 3, refuse()), (Send, 3, refuse())] {
        let failed = || Numbers::failed("publish_final", 4);
        send(steps(&ITEMS), [rule], with_final)
            .expect_refused(failed())
            .taken(&ITEMS);
        send(slowly(&ITEMS), [rule], with_final)
            .expect_refused(failed().response(6, 3).first_byte_after(2))
            .taken(&ITEMS);
    }
}

#[test]
fn the_last_flush_is_refused() {
    let failed = || Numbers::failed("publish_final", 4);
    for settings in [as_it_is as fn(_) -> _, with_final, closing] {
        send(steps(&ITEMS), [(Flush, 0, refuse())], settings).expect_refused(failed());
        let flushed = failed().response(6, 3).first_byte_after(2);
        send(slowly(&ITEMS), [(Flush, 3, refuse())], settings).expect_refused(flushed);
    }
    let empty = Numbers::failed("publish_final", 1);
    send([], [(Flush, 0, refuse())], as_it_is).expect_refused(empty);
}

#[test]
fn closing_is_refused() {
    let failed = Numbers::failed("publish_final", 4).response(6, 3);
    let rule = (Close, 0, refuse());
    send(steps(&ITEMS), [rule], closing)
        .expect_refused(failed.first_byte_after(4))
        .flushed_by(&[3]);
}

#[test]
fn errors_that_say_what_they_are() {
    let elapsed = Refuse(|| Elapsed::new().into());
    for rule in [
        (Ready, 0, elapsed),
        (Flush, 0, elapsed),
        (Close, 0, elapsed),
    ] {
        let sent = send(steps(&ITEMS), [rule], closing);
        assert!(sent.result.unwrap_err().is::<Elapsed>());
        assert_eq!(sent.numbers.errors["timeout"], 1);
        assert_eq!(sent.numbers.requests, 1);
    }
}

#[test]
fn a_classifier_judges_the_sinks_errors() {
    let reader_left = by_error(|_: &BoxError, _| Some(Fault::Cancelled));
    let builder = MetricsLayer::streaming_builder().classifier(reader_left);
    let stage = Stage::new(builder);
    let items = stage.script(["de"]);
    let answer = stage.call("abc", |_| Ok::<_, BoxError>(items)).unwrap();
    let (sink, _log) = ScriptedSink::new([(Send, 0, refuse())]);
    assert!(now(answer.publish(sink)).is_err());
    stage.expect("cancelled", &asked(Numbers::cancelled(2)));
}

// === items that are errors ===

#[test]
fn an_error_is_sent_on_and_counted_once() {
    const BROKEN: Token = Err("broken");
    let first = Numbers::failed("response_stream", 2);
    let items = [BROKEN, Ok("d"), BROKEN];
    for settings in [as_it_is as fn(_) -> _, closing] {
        send(steps(&items), [], settings)
            .expect_ok(first.clone())
            .taken(&items);
    }

    // What went before it is counted, and what follows is not.
    let later = || Numbers::failed("publish_response", 3).response(1, 1);
    let items = [Ok("d"), BROKEN, Ok("ef"), BROKEN];
    send(steps(&items), [], as_it_is)
        .expect_ok(later().first_byte_after(3))
        .taken(&items);
    send(slowly(&items), [], as_it_is)
        .expect_ok(later().first_byte_after(2))
        .taken(&items);
    let sent = send(steps(&items), [], with_final);
    sent.expect_ok(later().first_byte_after(3));
    assert_eq!(sent.log.borrow().taken.last(), Some(&FINAL));
}

#[test]
fn an_error_that_the_sink_refuses_is_the_streams() {
    let items = steps(&[Ok("d"), Err("broken")]);
    for rule in [
        (Ready, 1, refuse()),
        (Send, 1, refuse()),
        (Flush, 0, refuse()),
    ] {
        let expected = Numbers::failed("publish_response", 3);
        send(items.clone(), [rule], as_it_is).expect_refused(expected);
    }
    for rule in [
        (Ready, 0, refuse()),
        (Send, 0, refuse()),
        (Flush, 0, refuse()),
    ] {
        let expected = Numbers::failed("response_stream", 2);
        send(steps(&[Err("broken")]), [rule], as_it_is).expect_refused(expected);
    }
}

/// It stays the stream's failure, and is not the caller's leaving, even where the sink has not
/// taken it yet.
#[test]
fn an_error_is_not_lost_by_a_drop() {
    for rule in [(Ready, 1, Pause), (Flush, 0, Pause)] {
        let stage = streaming();
        let (sink, _log) = ScriptedSink::new([rule]);
        let script = stage.script([Ok("d"), Err("broken"), Ok("ef")]);
        let mut sending = task::spawn(answer(&stage, script).publish(sink));
        assert_pending!(sending.poll());
        drop(sending);
        let expected = Numbers::failed("publish_response", 3);
        stage.expect("dropped", &asked(expected));
    }
}

#[test]
fn items_taken_before_publishing_are_items_all_the_same() {
    let stage = streaming();
    let script = stage.script([Ok("d"), Err("broken")]);
    let answer = stage.call("abc", |_| Ok::<_, BoxError>(Box::pin(script)));
    let mut answer = answer.unwrap();
    assert_eq!(now(answer.next()), Some(Ok("d")));
    now(answer.publish(&mut Vec::new())).unwrap();
    let expected = Numbers::failed("publish_response", 3).response(1, 1);
    stage.expect("half and half", &asked(expected.first_byte_after(2)));
}

// === drops ===

#[test]
fn a_drop_is_a_cancellation() {
    let last_flush = [(Flush, 0, Pause)];
    for (polls, items, rules, expected) in [
        (0, steps(&ITEMS), vec![], Numbers::cancelled(1)),
        (
            1,
            slowly(&ITEMS),
            vec![],
            Numbers::cancelled(2).response(1, 1).first_byte_after(2),
        ),
        (
            2,
            slowly(&ITEMS),
            vec![],
            Numbers::cancelled(3).response(3, 2).first_byte_after(2),
        ),
        (
            1,
            steps(&ITEMS),
            vec![(Ready, 1, Pause)],
            Numbers::cancelled(3),
        ),
        (1, steps(&ITEMS), last_flush.to_vec(), Numbers::cancelled(4)),
        (
            1,
            steps(&ITEMS),
            vec![(Close, 0, Pause)],
            Numbers::cancelled(4).response(6, 3).first_byte_after(4),
        ),
    ] {
        let stage = streaming();
        let row = format!("{polls} polls of {items:?}, {rules:?}");
        let (sink, _log) = ScriptedSink::new(rules);
        let sending = answer(&stage, stage.steps(items)).publish(sink);
        let mut sending = task::spawn(sending.close(true));
        for _ in 0..polls {
            assert_pending!(sending.poll());
        }
        assert_eq!(stage.numbers().concurrent, 1, "{row}");
        drop(sending);
        stage.expect(&row, &asked(expected));
    }
}

// === panics ===

#[test]
fn panics_of_sinks_and_streams() {
    for ask in [Ready, Send, Flush, Close] {
        let stage = streaming();
        let (sink, _log) = ScriptedSink::new([(ask, 0, Panic)]);
        let sending = answer(&stage, stage.script([Ok("d")])).publish(sink);
        let mut sending = Box::pin(sending.close(true));
        assert!(panics_in(sending.as_mut()), "{ask:?}");
        let expected = match ask {
            Close => Numbers::failed("panic", 2)
                .response(1, 1)
                .first_byte_after(2),
            _ => Numbers::failed("panic", 2),
        };
        stage.expect("not dropped yet", &asked(expected));
    }

    let stage = streaming();
    let script = stage.steps([Item(Ok("d")), Step::Pause, Step::Panic]);
    let mut sending = Box::pin(answer(&stage, script).publish(Vec::new()));
    assert!(panics_in(sending.as_mut()), "the stream");
    let expected = Numbers::failed("panic", 2).response(1, 1);
    stage.expect("the stream", &asked(expected.first_byte_after(2)));

    for ask in [Ready, Send] {
        let stage = streaming();
        let (sink, _log) = ScriptedSink::new([(ask, 0, Panic)]);
        let sending = answer(&stage, stage.script([])).publish(sink);
        let mut sending = Box::pin(sending.final_item(FINAL));
        assert!(panics_in(sending.as_mut()), "the final item: {ask:?}");
        let expected = Numbers::failed("panic", 1);
        stage.expect("the final item", &asked(expected));
    }
}

#[test]
fn panics_of_the_classifier() {
    #[derive(Clone)]
    struct Touchy;
    impl Classify for Touchy {
        fn error(&self, _: &dyn Any, _: Phase) -> Fault {
            panic!("touchy")
        }
    }
    for (item, rule) in [
        (Err("broken"), (Close, 0, Pause)),
        (Ok("d"), (Send, 0, refuse())),
    ] {
        let stage = Stage::new(MetricsLayer::streaming_builder().classifier(Touchy));
        let items = stage.script([item as Token]);
        let answer = stage.call("abc", |_| Ok::<_, BoxError>(items)).unwrap();
        let (sink, _log) = ScriptedSink::new([rule]);
        assert!(panics_in(Box::pin(answer.publish(sink)).as_mut()));
        stage.expect("touchy", &asked(Numbers::failed("panic", 2)));
    }
}

fn panics_in<F: Future>(sending: Pin<&mut F>) -> bool {
    panics(|| drop(soon(sending)))
}

// === by hand ===

#[test]
fn a_transport_that_sends_by_hand() {
    type End = fn(tower_openmetrics::Call);
    let cases: [(_, End, _); 4] = [
        ("complete", |call| call.complete(), Numbers::completed(4)),
        (
            "fail",
            |call| call.fail(ErrorType::PUBLISH_FINAL),
            Numbers::failed("publish_final", 4),
        ),
        ("drop", drop, Numbers::cancelled(4)),
        (
            "a fault comes before completion",
            |mut call| {
                call.fault(ErrorType::PUBLISH_RESPONSE);
                call.fault(ErrorType::PANIC);
                call.complete();
            },
            Numbers::failed("publish_response", 4),
        ),
    ];
    for (row, end, expected) in cases {
        let stage = streaming();
        let script = stage.script([Ok("d"), Err("broken")]);
        let (items, call) = answer(&stage, script).into_parts();
        let mut call = call.expect("it is open");
        // What the stream says is the transport's to judge.
        assert_eq!(all(pin!(items)), [Ok("d"), Err("broken")]);
        call.response_message(20);
        stage.clock.advance(SECOND);
        call.response_message(3);
        let sent = asked(expected.response(23, 2).first_byte_after(3));
        end(call);
        stage.expect(row, &sent);
    }
}

#[test]
fn a_handle_reports_while_it_is_sent() {
    let stage = streaming();
    let mut answer = answer(&stage, stage.steps(slowly(&ITEMS)));
    let handle = answer.handle().expect("it is open");
    let mut sending = task::spawn(answer.publish(Vec::new()));
    assert_pending!(sending.poll());
    handle.fault(Fault::Cancelled);
    assert_eq!(stage.numbers().concurrent, 1);
    assert_ready_ok!(
        std::iter::repeat_with(|| sending.poll())
            .find(std::task::Poll::is_ready)
            .unwrap()
    );
    handle.fault(ErrorType::PANIC);
    let expected = Numbers::cancelled(4).response(6, 3).first_byte_after(2);
    stage.expect("all the same", &asked(expected));
}

#[test]
fn an_answer_that_has_ended_can_be_published_still() {
    let stage = streaming();
    let script = Box::pin(stage.script([Ok("d")]));
    let answer = stage.call("abc", |_| Ok::<_, BoxError>(script));
    let mut answer = answer.unwrap();
    assert_eq!(all(pin!(&mut answer)), [Ok("d")]);
    assert_eq!(next(pin!(&mut answer)), None);
    let (sink, log) = ScriptedSink::new([(Flush, 0, refuse())]);
    assert!(now(answer.publish(sink).final_item(FINAL)).is_err());
    assert_eq!(log.borrow().taken, [FINAL]);
    let expected = Numbers::completed(2).response(1, 1).first_byte_after(2);
    stage.expect("it had ended", &asked(expected));
}
