use super::trailers::StatusField;
use crate::classify::GrpcCode;

/// Parses length-prefixed messages that arrive in pieces.
#[derive(Clone, Copy, Debug)]
pub(super) struct Framing {
    position: Position,
    /// Whether a frame may hold trailers.
    web: bool,
    status: Option<GrpcCode>,
}

/// Where the next byte belongs.
#[derive(Clone, Copy, Debug)]
enum Position {
    /// In a prefix, with the number of its bytes that have arrived.
    Prefix([u8; PREFIX], u8),
    /// In a message, with the number of its bytes that are missing.
    Message(u32),
    /// In the trailers, with the number of their bytes that are missing.
    Trailers(u32, StatusField),
    /// After the trailers, or after something that is not a prefix. Nothing is parsed any more.
    Stopped,
}

/// A flag and the length as four bytes, big-endian.
const PREFIX: usize = 5;

// Flags. The lowest bit means that the payload is compressed.
const MESSAGE: u8 = 0;
const COMPRESSED_MESSAGE: u8 = 1;
const TRAILERS: u8 = 0x80;

// === impl Framing ===

impl Framing {
    pub(super) fn new(web: bool) -> Self {
        Self {
            position: Position::START,
            web,
            status: None,
        }
    }

    /// Returns a parser that finds no messages.
    pub(super) fn stopped() -> Self {
        Self {
            position: Position::Stopped,
            web: false,
            status: None,
        }
    }

    /// Parses `bytes` and returns the number of messages that end in them.
    #[inline]
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> u64 {
        let mut messages = 0;
        loop {
            if let Position::Prefix(_, 0) = self.position {
                let whole;
                (whole, bytes) = skip_whole_messages(bytes);
                messages += whole;
            }
            if bytes.is_empty() {
                return messages;
            }
            bytes = self.read_part(bytes);
            messages += self.end_frame();
        }
    }

    /// Parses the bytes that belong to one part of a frame, and returns those after it.
    #[inline(never)]
    fn read_part<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        match &mut self.position {
            Position::Prefix(prefix, filled) => {
                let room = &mut prefix[usize::from(*filled)..];
                let (now, later) = bytes.split_at(bytes.len().min(room.len()));
                room[..now.len()].copy_from_slice(now);
                *filled += now.len() as u8; // at most 5
                if usize::from(*filled) == PREFIX {
                    self.position = Position::after(*prefix, self.web);
                }
                later
            }
            Position::Message(left) => split(bytes, left).1,
            Position::Trailers(left, field) => {
                let (now, later) = split(bytes, left);
                field.read(now);
                later
            }
            Position::Stopped => &[],
        }
    }

    /// Skips bytes that can't be read and returns the number of messages that end in them.
    ///
    /// Stops unless they all belong to the current message.
    #[cold]
    pub(super) fn skip_bytes(&mut self, bytes: usize) -> u64 {
        match &mut self.position {
            Position::Message(left) if bytes <= *left as usize => *left -= bytes as u32,
            _ if bytes == 0 => {}
            _ => self.stop(),
        }
        self.end_frame()
    }

    /// Stops the parser, because the position of the next prefix is unknown.
    #[cold]
    pub(super) fn stop(&mut self) {
        self.position = Position::Stopped;
    }

    /// Returns the status in the trailers frame, if it has arrived.
    pub(super) fn status(&self) -> Option<GrpcCode> {
        self.status
    }

    /// Ends the current frame if it is complete. Returns the number of messages in it.
    #[inline]
    fn end_frame(&mut self) -> u64 {
        match self.position {
            Position::Message(0) => {
                self.position = Position::START;
                1
            }
            Position::Trailers(0, field) => {
                self.status = field.finish();
                self.position = Position::Stopped;
                0
            }
            _ => 0,
        }
    }
}

// === impl Position ===

impl Position {
    const START: Self = Self::Prefix([0; PREFIX], 0);

    fn after(prefix: [u8; PREFIX], web: bool) -> Self {
        let [flag, length @ ..] = prefix;
        let length = u32::from_be_bytes(length);
        match flag {
            MESSAGE | COMPRESSED_MESSAGE => Self::Message(length),
            TRAILERS if web => Self::Trailers(length, StatusField::default()),
            // Compressed trailers, which can't be read, or not a prefix.
            _ => Self::Stopped,
        }
    }
}

/// Returns the number of messages at the start of `bytes` that are whole, and the bytes after them.
// Most messages arrive in one piece. (Saves 110 instructions a message: `cargo bench --bench streaming`.)
#[inline]
fn skip_whole_messages(mut bytes: &[u8]) -> (u64, &[u8]) {
    let mut messages = 0;
    while let [MESSAGE | COMPRESSED_MESSAGE, a, b, c, d, rest @ ..] = bytes
        && let Some(later) = rest.get(u32::from_be_bytes([*a, *b, *c, *d]) as usize..)
    {
        bytes = later;
        messages += 1;
    }
    (messages, bytes)
}

/// Splits `bytes` after the current frame, of which `left` bytes are missing.
#[inline]
fn split<'a>(bytes: &'a [u8], left: &mut u32) -> (&'a [u8], &'a [u8]) {
    let now = bytes.len().min(*left as usize);
    *left -= now as u32; // at most `left`
    bytes.split_at(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(flag: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&[flag], &length[..], payload].concat()
    }

    fn read(web: bool, pieces: &[&[u8]]) -> (u64, Option<GrpcCode>) {
        let mut framing = Framing::new(web);
        let messages = pieces.iter().map(|piece| framing.read(piece)).sum();
        (messages, framing.status())
    }

    /// Splits `bytes` at every two positions, and into single bytes.
    fn check_every_split(web: bool, bytes: &[u8], expected: (u64, Option<GrpcCode>)) {
        for b in 0..=bytes.len() {
            for a in 0..=b {
                let pieces = [&bytes[..a], &bytes[a..b], &bytes[b..]];
                assert_eq!(read(web, &pieces), expected, "split at {a} and {b}");
            }
        }
        let single: Vec<_> = bytes.chunks(1).collect();
        assert_eq!(read(web, &single), expected, "byte by byte");
    }

    #[test]
    fn messages_are_counted_however_they_are_split() {
        let bytes = [
            frame(0, b"hello"),
            frame(0, b""),
            frame(1, b"compressed"),
            frame(1, b""),
            frame(0, &frame(0, b"looks like a frame")),
        ]
        .concat();
        check_every_split(false, &bytes, (5, None));
        check_every_split(true, &bytes, (5, None));
    }

    #[test]
    fn a_message_counts_at_its_last_byte() {
        let bytes = [frame(0, b"hello"), frame(0, b"")].concat();
        let mut framing = Framing::new(false);
        let counted: Vec<_> = bytes.iter().map(|byte| framing.read(&[*byte])).collect();
        assert_eq!(counted, [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn the_trailers_frame_of_grpc_web_is_not_a_message() {
        let trailers = frame(TRAILERS, b"grpc-message:no\r\ngrpc-status:9\r\n");
        let bytes = [frame(0, b"hello"), trailers, frame(0, b"after")].concat();
        let code = Some(GrpcCode::FailedPrecondition);
        check_every_split(true, &bytes, (1, code));
        // gRPC itself does not have this flag.
        check_every_split(false, &bytes, (1, None));
    }

    #[test]
    fn trailers_may_lack_a_readable_status() {
        for trailers in [frame(TRAILERS, b""), frame(TRAILERS, b"x:0\r\n")] {
            check_every_split(true, &trailers, (0, None));
        }
        check_every_split(true, &frame(TRAILERS | 1, b"grpc-status:0"), (0, None));
    }

    #[test]
    fn nothing_counts_after_an_invalid_prefix() {
        let bytes = [frame(0, b"hello"), frame(2, b""), frame(0, b"after")].concat();
        check_every_split(false, &bytes, (1, None));
        let page = b"<html><body>\0\0\0\0\0\0\0\0\0\0</body></html>";
        check_every_split(true, page, (0, None));
    }

    #[test]
    fn the_longest_message_does_not_overflow() {
        let mut framing = Framing::new(false);
        assert_eq!(framing.read(&[0, 0xff, 0xff, 0xff, 0xff]), 0);
        assert_eq!(framing.skip_bytes(u32::MAX as usize - 1), 0);
        assert_eq!(framing.read(b"!"), 1);
        assert_eq!(framing.read(&frame(0, b"next")), 1);
    }

    #[test]
    fn skipped_bytes_within_a_message_are_harmless() {
        let mut framing = Framing::new(false);
        assert_eq!(framing.read(&frame(0, b"hello")[..6]), 0);
        assert_eq!(framing.skip_bytes(0), 0);
        assert_eq!(framing.skip_bytes(4), 1, "the rest of the message");
        assert_eq!(framing.skip_bytes(0), 0);
        assert_eq!(framing.read(&frame(0, b"a")), 1);
        assert_eq!(framing.skip_bytes(1), 0, "a part of a prefix");
        assert_eq!(framing.read(&frame(0, b"a")), 0);
    }
}
