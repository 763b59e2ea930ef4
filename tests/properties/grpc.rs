//! gRPC in both directions: messages, trailers frames and garbage, cut into frames anywhere.

use super::streams_support::{Numbers, Stage};
use super::support::{Script as Body, Step, take_frames};
use super::{Ending, cases};
use http::{Request, Response};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use std::pin::pin;
use tower::BoxError;
use tower_openmetrics::classify::{Fault, GrpcCode};
use tower_openmetrics::protocol::Grpc;
use tower_openmetrics::{Clock, MetricsLayer};

#[derive(Clone, Debug)]
struct Script {
    format: Format,
    request: Wire,
    response: Wire,
    /// The status in the trailers, if there is one.
    status: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Grpc,
    Web,
    WebText,
}

/// What one side sends, how it is cut into frames, and how many frames the other side takes.
#[derive(Clone, Debug)]
struct Wire {
    pieces: Vec<Piece>,
    /// Where to cut, in thousandths of the whole.
    cuts: Vec<usize>,
    takes: usize,
}

#[derive(Clone, Debug)]
enum Piece {
    Message { compressed: bool, length: usize },
    Trailers(u8),
    Malformed(u8),
}

/// What has arrived of a wire.
#[derive(Clone, Copy, Debug, Default)]
struct Arrived {
    bytes: u64,
    messages: u64,
    /// The status in a trailers frame.
    status: Option<GrpcCode>,
}

const MAX_FRAMES: usize = 6;

fn wire() -> impl Strategy<Value = Wire> {
    let piece = prop_oneof![
        12 => (any::<bool>(), 0..9_usize)
            .prop_map(|(compressed, length)| Piece::Message { compressed, length }),
        2 => (0..20_u8).prop_map(Piece::Trailers),
        1 => select(vec![2_u8, 0x42, 0x81, 0xff]).prop_map(Piece::Malformed),
    ];
    let parts = (
        vec(piece, 0..6),
        vec(0..=1_000_usize, 0..MAX_FRAMES),
        prop_oneof![3 => Just(usize::MAX), 1 => 0..=MAX_FRAMES],
    );
    parts.prop_map(|(pieces, cuts, takes)| Wire {
        pieces,
        cuts,
        takes,
    })
}

prop_compose! {
    fn script()(
        format in select(vec![Format::Grpc, Format::Web, Format::WebText]),
        request in wire(),
        response in wire(),
        status in option::of(0..20_u8),
    ) -> Script {
        Script { format, request, response, status }
    }
}

impl Format {
    fn content_type(self) -> &'static str {
        match self {
            Self::Grpc => "application/grpc",
            Self::Web => "application/grpc-web+proto",
            Self::WebText => "application/grpc-web-text",
        }
    }
}

impl Piece {
    fn bytes(&self) -> Vec<u8> {
        let (flag, payload) = match self {
            Self::Message { compressed, length } => (u8::from(*compressed), vec![b'x'; *length]),
            Self::Trailers(code) => (0x80, format!("a: b\r\ngrpc-status:{code}\r\n").into()),
            Self::Malformed(flag) => (*flag, vec![0; 3]),
        };
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&[flag], &length[..], &payload].concat()
    }
}

impl Wire {
    /// Returns the bytes on the wire. As text, each piece is flushed by itself.
    fn bytes(&self, format: Format) -> Vec<u8> {
        let pieces = self.pieces.iter().map(Piece::bytes);
        match format {
            Format::Grpc | Format::Web => pieces.flatten().collect(),
            Format::WebText => pieces.flat_map(|piece| base64(&piece)).collect(),
        }
    }

    fn frames(&self, format: Format) -> Vec<Vec<u8>> {
        let bytes = self.bytes(format);
        let mut cuts: Vec<_> = self
            .cuts
            .iter()
            .map(|cut| cut * bytes.len() / 1_000)
            .collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        cuts.windows(2)
            .map(|two| bytes[two[0]..two[1]].into())
            .collect()
    }

    /// Returns what arrives with that many bytes. A piece of text arrives with its last digit; only padding may follow.
    fn arrived(&self, format: Format, bytes: usize) -> Arrived {
        let mut arrived = Arrived {
            bytes: bytes as u64,
            ..Arrived::default()
        };
        let mut end = 0;
        for piece in &self.pieces {
            end += match format {
                Format::WebText => base64(&piece.bytes()).len(),
                _ => piece.bytes().len(),
            };
            let padding = match format {
                Format::WebText => (3 - piece.bytes().len() % 3) % 3,
                _ => 0,
            };
            // The first padding character ends the group.
            let last = end - padding.saturating_sub(1);
            if last > bytes {
                break;
            }
            match piece {
                Piece::Message { .. } => arrived.messages += 1,
                Piece::Trailers(code) if format != Format::Grpc => {
                    arrived.status = Some(GrpcCode::from_number(u32::from(*code)));
                    break;
                }
                Piece::Trailers(_) | Piece::Malformed(_) => break,
            }
        }
        arrived
    }
}

impl Script {
    fn run(&self, stage: &Stage<Grpc>) {
        let Self {
            format,
            request,
            response,
            status,
        } = self;
        let body = |wire: &Wire| wire.frames(*format).into_iter().map(Step::Bytes).collect();
        let up: Vec<Step> = body(request);
        let mut down: Vec<Step> = body(response);
        if let Some(status) = status {
            down.push(Step::Field("grpc-status", status.to_string().leak()));
        }
        // Only the head takes time.
        let script = |steps| Body::new(Clock::manual(), steps);
        let call = Request::post("/shop.Cart/Add").header("content-type", format.content_type());
        let answered = stage.call(call.body(script(up)).unwrap(), |call| {
            take_frames(pin!(call.into_body()), request.takes);
            let answer = Response::builder().header("content-type", format.content_type());
            Ok::<_, BoxError>(answer.body(script(down)).unwrap())
        });
        take_frames(pin!(answered.unwrap().into_body()), response.takes);
    }

    /// Computes the numbers by the rules, without the library.
    fn expected(&self) -> Numbers {
        let Self {
            format,
            request,
            response,
            status,
        } = self;
        let taken = |wire: &Wire| {
            let frames = wire.frames(*format);
            let taken = frames.iter().take(wire.takes).map(Vec::len).sum();
            (wire.arrived(*format, taken), wire.takes > frames.len())
        };
        let (up, _) = taken(request);
        let (down, to_end) = taken(response);
        let in_trailers = status.filter(|_| to_end).map(u32::from);
        let codes = [down.status, in_trailers.map(GrpcCode::from_number)];
        let codes: Vec<_> = codes.into_iter().flatten().collect();
        let fault = codes.iter().find_map(|code| code.fault());
        let ending = match fault {
            Some(Fault::Failed(error_type)) => Ending::Failed(error_type),
            Some(_) => Ending::Cancelled,
            None if !codes.is_empty() => Ending::Completed,
            None if !to_end => Ending::Cancelled,
            None if down.bytes > 0 => Ending::Failed(tower_openmetrics::ErrorType::PUBLISH_FINAL),
            None => Ending::Failed(tower_openmetrics::ErrorType::GENERATE),
        };
        let numbers = match ending {
            Ending::Completed => Numbers::completed(1),
            Ending::Cancelled => Numbers::cancelled(1),
            Ending::Failed(error_type) => Numbers::failed(error_type.as_str(), 1),
        };
        let numbers = numbers
            .request(up.bytes, up.messages)
            .response(down.bytes, down.messages)
            .head_after(1);
        match down.bytes {
            0 => numbers,
            _ => numbers.first_byte_after(1),
        }
    }
}

/// Encodes by RFC 4648, with padding.
fn base64(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |group: &[u8], at: usize| {
        let bits = (0..3).fold(0, |bits, i| {
            bits << 8 | u32::from(*group.get(i).unwrap_or(&0))
        });
        match at <= group.len() {
            true => DIGITS[(bits >> (18 - 6 * at)) as usize % 64],
            false => b'=',
        }
    };
    let groups = bytes.chunks(3);
    groups
        .flat_map(|group| (0..4).map(move |at| digit(group, at)))
        .collect()
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn the_numbers_match_the_model(script in script()) {
        let stage = Stage::new(MetricsLayer::protocol_builder(Grpc::new()));
        script.run(&stage);
        prop_assert_eq!(stage.numbers(), script.expected());
    }
}
