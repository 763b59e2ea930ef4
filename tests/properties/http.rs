//! HTTP: frames and trailers in both directions, promised lengths that are kept or not, errors and drops.

use super::streams_support::{Numbers, Stage};
use super::support::{Script as Body, Step, poll_frame};
use super::{Ending, Model, cases};
use http::{Method, Request, Response, StatusCode, Version};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use tower_openmetrics::protocol::Http;
use tower_openmetrics::{Clock, ErrorType, MetricsLayer, RequestBody};

#[derive(Clone, Debug)]
struct Script {
    method: Method,
    version: Version,
    status: u16,
    upload: Frames,
    /// How many frames are read before the head, before the body is taken, and
    /// after the call.
    reads: [usize; 3],
    answer: Frames,
    /// How many frames the caller takes.
    takes: usize,
}

#[derive(Clone, Debug)]
struct Frames {
    frames: Vec<Frame>,
    content_length: Option<u64>,
    hint: Option<u64>,
    knows_its_end: bool,
}

#[derive(Clone, Copy, Debug)]
enum Frame {
    Data(usize),
    Trailers,
    Gone,
    Malformed,
    TimedOut,
}

const TEXT: &str = "abc";

/// The maximum length of a body. Promised lengths are about as large, so a body may be shorter, as long, or longer.
const MAX_LENGTH: u64 = 6;

fn frames() -> impl Strategy<Value = Frames> {
    let frame = prop_oneof![
        12 => (0..=TEXT.len()).prop_map(Frame::Data),
        1 => Just(Frame::Trailers),
        1 => Just(Frame::Gone),
        1 => Just(Frame::Malformed),
        1 => Just(Frame::TimedOut),
    ];
    let length = || option::of(0..=MAX_LENGTH);
    let parts = (
        vec(frame, 0..5),
        any::<bool>(),
        length(),
        length(),
        any::<bool>(),
    );
    parts.prop_map(|(frames, keeps, content_length, hint, knows_its_end)| {
        let total = frames.iter().map(Frame::bytes).sum();
        let promise = |length: Option<u64>| length.map(|length| if keeps { total } else { length });
        Frames {
            content_length: promise(content_length),
            hint: promise(hint),
            knows_its_end,
            frames,
        }
    })
}

prop_compose! {
    fn script()(
        method in select(vec![Method::GET, Method::POST, Method::HEAD, Method::CONNECT]),
        version in select(vec![Version::HTTP_11, Version::HTTP_2, Version::HTTP_2]),
        status in select(vec![200, 200, 200, 200, 204, 304, 101, 404, 400, 500, 503]),
        upload in frames(),
        reads in [0..6usize, 0..2usize, 0..6usize],
        answer in frames(),
        takes in prop_oneof![1 => 0..6usize, 1 => Just(usize::MAX)],
    ) -> Script {
        Script { method, version, status, upload, reads, answer, takes }
    }
}

// === the model ===

/// A body that has been read in part.
struct Reading<'a> {
    body: &'a Frames,
    version: Version,
    read: usize,
    bytes: u64,
}

impl Script {
    fn model(&self) -> Model {
        let mut model = Model {
            head: Some(0),
            is_upgrade: self.is_upgrade(),
            ..Model::default()
        };
        let [before, between, after] = self.reads;
        let mut upload = Reading::of(&self.upload);
        upload.version = self.version;
        model.uploads(&mut upload, before);
        model.seconds += 1; // to the head
        model.head = Some(model.seconds);
        match self.status {
            400 => model.fail(ErrorType::DESERIALIZATION),
            500 => model.fail(ErrorType::GENERATE),
            503 => model.fail(ErrorType::OVERLOADED),
            _ => {}
        }
        let mut answer = Reading::of(&self.answer);
        let promised = self.promised();
        if self.status == 101 || answer.is_known_to_have_ended() {
            model.is_over(&answer, promised);
        }
        model.uploads(&mut upload, between);
        self.takes(&mut model, &mut answer, promised);
        model.uploads(&mut upload, after);
        model
    }

    fn is_upgrade(&self) -> bool {
        let is_tunnel = self.method == Method::CONNECT && (200..300).contains(&self.status);
        is_tunnel || self.status == 101
    }

    /// Whether the response has a body (RFC 9110, section 6.4.1).
    fn is_due(&self) -> bool {
        let bodiless = matches!(self.status, 204 | 304) || self.method == Method::HEAD;
        !self.is_upgrade() && !bodiless
    }

    fn promised(&self) -> Option<u64> {
        let Frames {
            content_length,
            hint,
            ..
        } = self.answer;
        self.is_due().then(|| content_length.or(hint)).flatten()
    }

    /// The caller reads the body until it takes it for ended, and drops it.
    fn takes(&self, model: &mut Model, answer: &mut Reading<'_>, promised: Option<u64>) {
        for _ in 0..self.takes {
            let Some(frame) = answer.next() else {
                model.is_over(answer, promised);
                break;
            };
            model.seconds += 1;
            match frame {
                Frame::Data(_) | Frame::Trailers => {
                    if frame.bytes() > 0 && !model.has_ended() {
                        model.responds(frame.bytes());
                    }
                    if promised.is_some_and(|promised| answer.bytes > promised) {
                        model.fail(ErrorType::PUBLISH_FINAL);
                    }
                    if matches!(frame, Frame::Trailers) || answer.is_known_to_have_ended() {
                        model.is_over(answer, promised);
                    }
                }
                Frame::TimedOut => {
                    model.fail(ErrorType::TIMEOUT);
                    model.ends(Ending::Completed);
                    break;
                }
                Frame::Gone | Frame::Malformed => {
                    model.fail(match answer.bytes {
                        0 => ErrorType::RESPONSE_STREAM,
                        taken if promised.is_some_and(|promised| taken >= promised) => {
                            ErrorType::PUBLISH_FINAL
                        }
                        _ => ErrorType::PUBLISH_RESPONSE,
                    });
                    model.ends(Ending::Completed);
                    break;
                }
            }
        }
        let nothing_is_owed = !self.is_due() || promised == Some(answer.bytes);
        model.ends(match nothing_is_owed {
            true => Ending::Completed,
            false => Ending::Cancelled,
        });
    }
}

impl Model {
    fn is_over(&mut self, answer: &Reading<'_>, promised: Option<u64>) {
        if promised.is_some_and(|promised| answer.bytes != promised) {
            self.fail(ErrorType::PUBLISH_FINAL);
        }
        self.ends(Ending::Completed);
    }

    fn uploads(&mut self, upload: &mut Reading<'_>, reads: usize) {
        if upload.body.is_nothing() {
            return;
        }
        for _ in 0..reads {
            let frame = upload.next();
            self.seconds += u32::from(frame.is_some());
            match frame {
                Some(Frame::Gone) => self.fault(Ending::Cancelled),
                Some(Frame::Malformed) => self.fail(ErrorType::INVALID_MESSAGE),
                Some(Frame::TimedOut) => self.fail(ErrorType::TIMEOUT),
                Some(data) => self.request_bytes += data.bytes(),
                None => {}
            }
            let is_over = match frame {
                None => true,
                Some(Frame::Gone | Frame::Malformed | Frame::TimedOut) => false,
                Some(_) => upload.is_known_to_have_ended(),
            };
            let is_short =
                |promise: Option<u64>| promise.is_none_or(|length| upload.bytes < length);
            let Frames {
                content_length,
                hint,
                ..
            } = upload.body;
            // Over HTTP/1 this would be an error.
            let is_promised = content_length.is_some() && upload.version == Version::HTTP_2;
            if is_over && is_promised && is_short(*content_length) && is_short(*hint) {
                self.fault(Ending::Cancelled);
            }
        }
    }
}

impl<'a> Reading<'a> {
    fn of(body: &'a Frames) -> Self {
        Self {
            body,
            version: Version::HTTP_11,
            read: 0,
            bytes: 0,
        }
    }

    fn next(&mut self) -> Option<Frame> {
        let frame = self.body.frames.get(self.read).copied();
        self.read += 1;
        self.bytes += frame.as_ref().map_or(0, Frame::bytes);
        frame
    }

    fn is_known_to_have_ended(&self) -> bool {
        self.body.knows_its_end && self.read >= self.body.frames.len()
    }
}

impl Frames {
    /// Whether the body itself says that it is empty, whatever the headers say.
    fn is_nothing(&self) -> bool {
        self.knows_its_end && self.frames.is_empty()
    }

    fn body(&self, clock: Clock) -> Body<io::Error> {
        let steps = self.frames.iter().flat_map(|frame| {
            let step = match *frame {
                Frame::Data(length) => Step::Data(&TEXT[..length]),
                Frame::Trailers => Step::Trailers,
                Frame::Gone => Step::Fail(|| ErrorKind::BrokenPipe.into()),
                Frame::Malformed => Step::Fail(|| ErrorKind::InvalidInput.into()),
                Frame::TimedOut => Step::Fail(|| ErrorKind::TimedOut.into()),
            };
            [Step::Pending, step]
        });
        Body::new(clock, steps)
            .hint(self.hint)
            .knows_its_end(self.knows_its_end)
    }
}

impl Frame {
    fn bytes(&self) -> u64 {
        match self {
            Self::Data(length) => *length as u64,
            _ => 0,
        }
    }
}

// === the library ===

fn play(script: &Script, clock: Clock) -> Numbers {
    let stage = Stage::timed_by(clock, MetricsLayer::protocol_builder(Http::default()));
    let [before, between, after] = script.reads;
    let mut request = Request::builder()
        .method(&script.method)
        .version(script.version);
    if let Some(length) = script.upload.content_length {
        request = request.header("content-length", length);
    }
    let request = request.body(script.upload.body(clock)).unwrap();
    let mut response = Response::builder().status(StatusCode::from_u16(script.status).unwrap());
    if let Some(length) = script.answer.content_length {
        response = response.header("content-length", length);
    }
    let response = response.body(script.answer.body(clock)).unwrap();

    let mut upload = None;
    let answered = stage.call(request, |request| {
        let mut body = Box::pin(request.into_body());
        read(body.as_mut(), before);
        upload = Some(body);
        Ok::<_, io::Error>(response)
    });
    let mut upload = upload.unwrap();
    let mut answer = Box::pin(answered.unwrap().into_body());
    read(upload.as_mut(), between);
    for _ in 0..script.takes {
        match poll_frame(answer.as_mut()) {
            Some(Ok(_)) => {}
            None | Some(Err(_)) => break,
        }
    }
    drop(answer);
    read(upload.as_mut(), after);
    stage.numbers()
}

fn read(mut upload: Pin<&mut RequestBody<Body<io::Error>>>, frames: usize) {
    for _ in 0..frames {
        drop(poll_frame(upload.as_mut()));
    }
}

#[test]
fn the_numbers_match_the_model() {
    let clock = Clock::manual();
    proptest!(cases(3_000), |(script in script())| {
        let mut expected = Numbers::none();
        script.model().add_to(&mut expected);
        prop_assert_eq!(play(&script, clock), expected);
    });
}
