//! Responses: lengths, trailers, failures and drops.

use super::Ending::{self, Cancelled, Completed, Failed};
use super::support::Step::{self, Data, Fail, Pending, Trailers};
use super::support::{SECOND, Script, rows, take_as_http2, take_frames, take_to_end};
use super::{Stage, get};
use http::header::CONTENT_LENGTH;
use http::{Method, Response};
use http_body::Body;
use std::io;
use std::pin::Pin;
use tower::BoxError;
use tower::load_shed::error::Overloaded;
use tower::timeout::error::Elapsed;

/// A response, and how much of it the caller reads before dropping it.
#[derive(Debug)]
struct Answer {
    method: Method,
    status: u16,
    content_length: Option<&'static str>,
    hint: Option<u64>,
    knows_its_end: bool,
    steps: Vec<Step>,
    take: Take,
}

#[derive(Clone, Copy, Debug)]
enum Take {
    Nothing,
    Frames(usize),
    /// One poll that is pending.
    UntilPending,
    ToEnd,
    /// Polls after the end, which callers should not do.
    PastEnd,
    AsHttp2,
}

use Take::{AsHttp2, Frames, Nothing, PastEnd, ToEnd, UntilPending};

/// A response to a GET with status 200 and unknown length, read to its end.
fn answer(steps: impl IntoIterator<Item = Step>) -> Answer {
    Answer {
        method: Method::GET,
        status: 200,
        content_length: None,
        hint: None,
        knows_its_end: false,
        steps: steps.into_iter().collect(),
        take: ToEnd,
    }
}

impl Answer {
    fn to(self, method: Method) -> Self {
        Self { method, ..self }
    }

    fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    fn promises(self, content_length: &'static str) -> Self {
        Self {
            content_length: Some(content_length),
            ..self
        }
    }

    fn hints(self, length: u64) -> Self {
        Self {
            hint: Some(length),
            ..self
        }
    }

    fn knows_its_end(self) -> Self {
        Self {
            knows_its_end: true,
            ..self
        }
    }

    fn take(self, take: Take) -> Self {
        Self { take, ..self }
    }

    /// Makes the call. The caller keeps the body for a [`SECOND`] after its last read, so that the
    /// duration distinguishes an end from a drop.
    fn run(self, stage: &Stage) {
        let Self {
            method,
            status,
            content_length,
            hint,
            knows_its_end,
            steps,
            take,
        } = self;
        let mut request = get();
        *request.method_mut() = method;
        let response = stage.call(request, |_| {
            let script = Script::new(stage.clock, steps)
                .hint(hint)
                .knows_its_end(knows_its_end);
            let mut response = Response::builder().status(status);
            if let Some(length) = content_length {
                response = response.header(CONTENT_LENGTH, length);
            }
            Ok(response.body(script).unwrap())
        });
        let mut body = Box::pin(response.unwrap().into_body());
        take.from(body.as_mut());
        stage.clock.advance(SECOND);
    }
}

impl Take {
    fn from<B: Body>(self, mut body: Pin<&mut B>) {
        match self {
            Nothing => {}
            Frames(most) => assert_eq!(take_frames(body, most).frames, most),
            UntilPending => {
                let mut task = tokio_test::task::spawn(());
                assert!(task.enter(|cx, _| body.poll_frame(cx)).is_pending());
            }
            ToEnd => {
                take_to_end(body);
            }
            PastEnd => {
                take_to_end(body.as_mut());
                take_to_end(body.as_mut());
                take_to_end(body);
            }
            AsHttp2 => take_as_http2(body),
        }
    }
}

fn check(rows: impl IntoIterator<Item = (&'static str, Answer, Ending, u64, u32)>) {
    for (row, answer, ending, bytes, seconds) in rows {
        let stage = Stage::new();
        let is_upgrade = match (&answer.method, answer.status) {
            (_, 101) => true,
            (method, status) => *method == Method::CONNECT && (200..300).contains(&status),
        };
        answer.run(&stage);
        let expected = ending.after(seconds).response_bytes(bytes);
        stage.expect(row, expected.upgrades(is_upgrade));
    }
}

fn broken() -> BoxError {
    "broken".into()
}

// Each row has a name, the response, the outcome, the bytes, and the seconds. The head takes one second and every frame one
// more. A call that ends by a drop takes another second.

#[test]
fn responses_of_unknown_length() {
    let two = || answer([Data("a"), Data("bc")]);
    check(rows! {
        "to the end": two() => Completed, 3, 3;
        "past the end": two().take(PastEnd) => Completed, 3, 3;
        "with waits": answer([Pending, Data("a"), Pending, Pending, Data("bc"), Pending]) => Completed, 3, 3;
        "the end is known after the last frame": two().knows_its_end().take(AsHttp2) => Completed, 3, 3;
        "the end is known, and polled for all the same": two().knows_its_end().take(PastEnd) => Completed, 3, 3;
        "dropped unpolled": two().take(Nothing) => Cancelled, 0, 2;
        "dropped half-way": two().take(Frames(1)) => Cancelled, 1, 3;
        "dropped half-way, where the end would be known": two().knows_its_end().take(Frames(1)) => Cancelled, 1, 3;
        "dropped while it waits": answer([Pending, Data("a")]).take(UntilPending) => Cancelled, 0, 2;
        "dropped after its last frame, before anyone could know": two().take(Frames(2)) => Cancelled, 3, 4;
    });
}

#[test]
fn responses_of_exact_length() {
    let hinted = || answer([Data("a"), Data("bc")]).hints(3);
    let promised = || answer([Data("a"), Data("bc")]).promises("3");
    check(rows! {
        "hint, to the end": hinted() => Completed, 3, 3;
        "header, to the end": promised() => Completed, 3, 3;
        "hint met, then dropped: the drop is the end": hinted().take(Frames(2)) => Completed, 3, 4;
        "header met, then dropped": promised().take(Frames(2)) => Completed, 3, 4;
        "hint and an end that is known": hinted().knows_its_end().take(AsHttp2) => Completed, 3, 3;
        "hint, dropped unpolled": hinted().take(Nothing) => Cancelled, 0, 2;
        "header, dropped unpolled": promised().take(Nothing) => Cancelled, 0, 2;
        "hint, dropped half-way": hinted().take(Frames(1)) => Cancelled, 1, 3;
        "header, dropped half-way": promised().take(Frames(1)) => Cancelled, 1, 3;
        "an illegible header leaves it to the hint": hinted().promises("some").take(Frames(2)) => Completed, 3, 4;
    });
}

#[test]
fn empty_responses() {
    check(rows! {
        "known at birth: it ends there": answer([]).knows_its_end().take(Nothing) => Completed, 0, 1;
        "known at birth, and polled all the same": answer([]).knows_its_end().take(PastEnd) => Completed, 0, 1;
        "unknown, to the end": answer([]) => Completed, 0, 1;
        "unknown, dropped unpolled": answer([]).take(Nothing) => Cancelled, 0, 2;
        "promised by a header, dropped unpolled": answer([]).promises("0").take(Nothing) => Completed, 0, 2;
        "promised by a hint, dropped unpolled": answer([]).hints(0).take(Nothing) => Completed, 0, 2;
        "of frames without bytes": answer([Data(""), Data("")]) => Completed, 0, 3;
    });
}

#[test]
fn responses_with_trailers() {
    let trailing = || answer([Data("a"), Trailers]);
    check(rows! {
        "they are the end": trailing().take(AsHttp2) => Completed, 1, 3;
        "polled on": trailing().take(PastEnd) => Completed, 1, 3;
        "alone": answer([Trailers]).take(AsHttp2) => Completed, 0, 2;
        "dropped before them": trailing().take(Frames(1)) => Cancelled, 1, 3;
        "after the promised bytes": trailing().promises("1").take(AsHttp2) => Completed, 1, 3;
        "before the promised bytes": trailing().promises("2").take(AsHttp2) => Failed("publish_final"), 1, 3;
    });
}

#[test]
fn responses_that_fail() {
    check(rows! {
        "before the first frame": answer([Fail(broken)]) => Failed("response_stream"), 0, 2;
        "after frames without bytes": answer([Data(""), Data(""), Fail(broken)]) => Failed("response_stream"), 0, 4;
        "after some bytes": answer([Data("a"), Fail(broken)]) => Failed("publish_response"), 1, 3;
        "after some of the promised bytes":
            answer([Data("a"), Fail(broken)]).promises("3") => Failed("publish_response"), 1, 3;
        "after all the bytes of the hint":
            answer([Data("abc"), Fail(broken)]).hints(3) => Failed("publish_final"), 3, 3;
        "after all the bytes of the header":
            answer([Data("a"), Data("bc"), Fail(broken)]).promises("3") => Failed("publish_final"), 3, 4;
        "after all the bytes, which nobody waits for":
            answer([Data("abc"), Fail(broken)]).promises("3").take(Frames(1)) => Completed, 3, 3;
        "and are polled on":
            answer([Data("a"), Fail(broken), Data("b"), Fail(broken)]).take(PastEnd) => Failed("publish_response"), 1, 3;
        "with a deadline": answer([Data("a"), Fail(|| Elapsed::new().into())]) => Failed("timeout"), 1, 3;
        "with a deadline, wrapped":
            answer([Fail(|| io::Error::other(Elapsed::new()).into())]) => Failed("timeout"), 0, 2;
        "for want of room": answer([Fail(|| Overloaded::new().into())]) => Failed("overloaded"), 0, 2;
        "with a lost connection, which is not this caller's":
            answer([Fail(|| io::Error::from(io::ErrorKind::ConnectionReset).into())]) => Failed("response_stream"), 0, 2;
    });
}

#[test]
fn into_inner_ends_the_call() {
    for (row, hint, ending) in [
        ("with bytes to come", Some(3), Cancelled),
        ("with nothing due", Some(0), Completed),
    ] {
        let stage = Stage::new();
        let body = Script::new(stage.clock, [Data("abc")]).hint(hint);
        let response = stage.call(get(), |_| Ok(Response::new(body)));
        let inner = response.unwrap().into_body().into_inner();
        assert_eq!(take_to_end(std::pin::pin!(inner)).bytes, 3);
        stage.expect(row, ending.after(1));
    }
}

#[test]
fn responses_with_a_wrong_length() {
    let three = || answer([Data("a"), Data("bc")]);
    check(rows! {
        "short of the header, which wins over the hint":
            three().promises("5").hints(3) => Failed("publish_final"), 3, 3;
        "true to the header, which wins over the hint": three().promises("3").hints(5) => Completed, 3, 3;
        "true to the hint alone is not enough for a drop":
            three().promises("5").hints(3).take(Frames(2)) => Cancelled, 3, 4;
        "short of the header": three().promises("5") => Failed("publish_final"), 3, 3;
        "short of the header, with an end that is known":
            three().promises("5").knows_its_end().take(AsHttp2) => Failed("publish_final"), 3, 3;
        "short of the hint": three().hints(5) => Failed("publish_final"), 3, 3;
        "empty from birth, but promised":
            answer([]).promises("5").knows_its_end().take(Nothing) => Failed("publish_final"), 0, 1;
        "longer than the header": three().promises("2") => Failed("publish_final"), 3, 3;
        "longer than the hint": three().hints(2) => Failed("publish_final"), 3, 3;
        "longer than the header, which nobody waits for":
            answer([Data("ab"), Data("c")]).promises("2").take(Frames(1)) => Completed, 2, 3;
        "longer than the header, then dropped": three().promises("2").take(Frames(2)) => Failed("publish_final"), 3, 4;
        "longer than the header, then failing":
            answer([Data("abc"), Fail(broken)]).promises("2") => Failed("publish_final"), 3, 3;
    });
}

#[test]
fn responses_without_a_body_by_method_or_status() {
    let page = || answer([Data("abc")]).promises("3");
    for (method, status) in [
        (Method::HEAD, 200),
        (Method::HEAD, 404),
        (Method::GET, 204),
        (Method::GET, 304),
        (Method::CONNECT, 200),
        (Method::CONNECT, 299),
    ] {
        let due = |answer: Answer| answer.to(method.clone()).status(status);
        check(rows! {
            "never polled": due(page()).take(Nothing) => Completed, 0, 2;
            "empty, whatever the header says": due(answer([]).promises("100").knows_its_end()) => Completed, 0, 1;
            "polled to the end, whatever the header says":
                due(answer([Data("abc")]).promises("100")) => Completed, 3, 2;
            "dropped half-way": due(answer([Data("a"), Data("bc")])).take(Frames(1)) => Completed, 1, 3;
            "polled, and failing": due(answer([Fail(broken)])) => Failed("response_stream"), 0, 2;
            "polled past the length, and failing":
                due(answer([Data("abc"), Fail(broken)]).promises("3")) => Failed("publish_response"), 3, 3;
        });
    }
}

#[test]
fn switching_protocols_ends_the_call_at_the_head() {
    let upgrade = |steps: Vec<Step>| answer(steps).status(101);
    check(rows! {
        "unpolled": upgrade(vec![Data("a")]).take(Nothing) => Completed, 0, 1;
        "what flows then is not seen": upgrade(vec![Data("a"), Fail(broken)]) => Completed, 0, 1;
        "whatever was promised": upgrade(vec![]).promises("7") => Completed, 0, 1;
    });
}

#[test]
fn a_failed_connect_has_a_body() {
    let refused = |status| {
        answer([Data("a"), Data("bc")])
            .to(Method::CONNECT)
            .status(status)
    };
    check(rows! {
        "to the end": refused(403) => Completed, 3, 3;
        "dropped half-way": refused(403).take(Frames(1)) => Cancelled, 1, 3;
        "and it is an error by its status": refused(502) => Failed("generate"), 3, 3;
    });
}

#[test]
fn a_failed_head_decides_the_outcome() {
    let failed = |steps: Vec<Step>| answer(steps).status(500);
    check(rows! {
        "taken whole": failed(vec![Data("sorry")]) => Failed("generate"), 5, 2;
        "hung up on": failed(vec![Data("sorry")]).take(Nothing) => Failed("generate"), 0, 2;
        "hung up on half-way": failed(vec![Data("so"), Data("rry")]).take(Frames(1)) => Failed("generate"), 2, 3;
        "and then by their body": failed(vec![Data("so"), Fail(broken)]) => Failed("generate"), 2, 3;
        "and short": failed(vec![Data("so")]).promises("5") => Failed("generate"), 2, 2;
        "to HEAD": failed(vec![]).to(Method::HEAD).take(Nothing) => Failed("generate"), 0, 2;
        "by what the client did": answer([Data("what?")]).status(400) => Failed("deserialization"), 5, 2;
    });
}
