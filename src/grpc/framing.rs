use super::trailers::StatusField;
use crate::classify::GrpcCode;

/// Follows length-prefixed messages through bytes that come in pieces.
#[derive(Clone, Copy, Debug)]
pub(super) struct Framing {
    at: At,
    /// Whether trailers may come as a frame.
    web: bool,
    status: Option<GrpcCode>,
}

/// Where in the sequence of frames the next byte is.
#[derive(Clone, Copy, Debug)]
enum At {
    /// So many bytes of a prefix have come.
    Prefix([u8; PREFIX], u8),
    /// So many bytes of a message have not come.
    Message(u32),
    /// So many bytes of the trailers have not come.
    Trailers(u32, StatusField),
    /// Behind the trailers, or where no prefix can be told from anything else.
    Beyond,
}

/// A flag and the length in four bytes, big end first.
const PREFIX: usize = 5;

// Flags. The lowest bit says that what follows is compressed.
const MESSAGE: u8 = 0;
const COMPRESSED_MESSAGE: u8 = 1;
const TRAILERS: u8 = 0x80;

// === impl Framing ===

impl Framing {
    pub(super) fn new(web: bool) -> Self {
        Self {
            at: At::START,
            web,
            status: None,
        }
    }

    /// One of which nothing is known: there are no messages in it.
    pub(super) fn unknown() -> Self {
        Self {
            at: At::Beyond,
            web: false,
            status: None,
        }
    }

    /// How many messages end in `bytes`.
    #[inline]
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> u64 {
        let mut messages = 0;
        while !bytes.is_empty() {
            match &mut self.at {
                At::Prefix(prefix, filled) => {
                    let room = &mut prefix[usize::from(*filled)..];
                    let (now, later) = bytes.split_at(bytes.len().min(room.len()));
                    room[..now.len()].copy_from_slice(now);
                    *filled += now.len() as u8; // five at most
                    bytes = later;
                    if usize::from(*filled) == PREFIX {
                        self.at = At::after(*prefix, self.web);
                    }
                }
                At::Message(left) => bytes = split(bytes, left).1,
                At::Trailers(left, field) => {
                    let (now, later) = split(bytes, left);
                    field.read(now);
                    bytes = later;
                }
                At::Beyond => break,
            }
            messages += self.end_frame();
        }
        messages
    }

    /// Bytes go by that can't be seen. That does no harm within a message.
    #[cold]
    pub(super) fn skip(&mut self, bytes: usize) -> u64 {
        match &mut self.at {
            At::Message(left) if bytes <= *left as usize => *left -= bytes as u32,
            _ if bytes == 0 => {}
            _ => self.lose(),
        }
        self.end_frame()
    }

    /// It can't be told any more where a prefix is.
    #[cold]
    pub(super) fn lose(&mut self) {
        self.at = At::Beyond;
    }

    /// What the trailers say, if they have come as a frame.
    pub(super) fn status(&self) -> Option<GrpcCode> {
        self.status
    }

    /// Goes on behind a frame whose last byte has come. How many messages it is.
    #[inline]
    fn end_frame(&mut self) -> u64 {
        match self.at {
            At::Message(0) => {
                self.at = At::START;
                1
            }
            At::Trailers(0, field) => {
                self.status = field.finish();
                self.at = At::Beyond;
                0
            }
            _ => 0,
        }
    }
}

// === impl At ===

impl At {
    const START: Self = Self::Prefix([0; PREFIX], 0);

    fn after(prefix: [u8; PREFIX], web: bool) -> Self {
        let [flag, length @ ..] = prefix;
        let length = u32::from_be_bytes(length);
        match flag {
            MESSAGE | COMPRESSED_MESSAGE => Self::Message(length),
            TRAILERS if web => Self::Trailers(length, StatusField::default()),
            // Compressed trailers, whose status nobody here can read, or no prefix at all.
            _ => Self::Beyond,
        }
    }
}

/// What of `bytes` belongs to a frame of which `left` is to come, and the rest.
#[inline]
fn split<'a>(bytes: &'a [u8], left: &mut u32) -> (&'a [u8], &'a [u8]) {
    let now = bytes.len().min(*left as usize);
    *left -= now as u32; // not more than was left
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

    /// Two cuts, and byte by byte.
    fn however_it_is_cut(web: bool, bytes: &[u8], expected: (u64, Option<GrpcCode>)) {
        for b in 0..=bytes.len() {
            for a in 0..=b {
                let pieces = [&bytes[..a], &bytes[a..b], &bytes[b..]];
                assert_eq!(read(web, &pieces), expected, "cut at {a} and {b}");
            }
        }
        let single: Vec<_> = bytes.chunks(1).collect();
        assert_eq!(read(web, &single), expected, "byte by byte");
    }

    #[test]
    fn messages_are_counted_however_they_are_cut() {
        let bytes = [
            frame(0, b"hello"),
            frame(0, b""),
            frame(1, b"compressed"),
            frame(1, b""),
            frame(0, &frame(0, b"looks like one")),
        ]
        .concat();
        however_it_is_cut(false, &bytes, (5, None));
        however_it_is_cut(true, &bytes, (5, None));
    }

    #[test]
    fn a_message_counts_when_its_last_byte_has_come() {
        let bytes = [frame(0, b"hello"), frame(0, b"")].concat();
        let mut framing = Framing::new(false);
        let counted: Vec<_> = bytes.iter().map(|byte| framing.read(&[*byte])).collect();
        assert_eq!(counted, [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn the_trailers_frame_of_the_web_is_no_message() {
        let trailers = frame(TRAILERS, b"grpc-message:no\r\ngrpc-status:9\r\n");
        let bytes = [frame(0, b"hello"), trailers, frame(0, b"behind")].concat();
        let code = Some(GrpcCode::FailedPrecondition);
        however_it_is_cut(true, &bytes, (1, code));
        // To gRPC itself, that flag is none.
        however_it_is_cut(false, &bytes, (1, None));
    }

    #[test]
    fn trailers_without_a_legible_status_have_none() {
        for trailers in [frame(TRAILERS, b""), frame(TRAILERS, b"x:0\r\n")] {
            however_it_is_cut(true, &trailers, (0, None));
        }
        however_it_is_cut(true, &frame(TRAILERS | 1, b"grpc-status:0"), (0, None));
    }

    #[test]
    fn nothing_counts_behind_what_is_no_prefix() {
        let bytes = [frame(0, b"hello"), frame(2, b""), frame(0, b"behind")].concat();
        however_it_is_cut(false, &bytes, (1, None));
        let page = b"<html><body>\0\0\0\0\0\0\0\0\0\0</body></html>";
        however_it_is_cut(true, page, (0, None));
    }

    #[test]
    fn the_longest_message_is_followed() {
        let mut framing = Framing::new(false);
        assert_eq!(framing.read(&[0, 0xff, 0xff, 0xff, 0xff]), 0);
        assert_eq!(framing.skip(u32::MAX as usize - 1), 0);
        assert_eq!(framing.read(b"!"), 1);
        assert_eq!(framing.read(&frame(0, b"next")), 1);
    }

    #[test]
    fn unseen_bytes_matter_at_a_prefix_only() {
        let mut framing = Framing::new(false);
        assert_eq!(framing.read(&frame(0, b"hello")[..6]), 0);
        assert_eq!(framing.skip(0), 0);
        assert_eq!(framing.skip(4), 1, "the rest of the message");
        assert_eq!(framing.skip(0), 0);
        assert_eq!(framing.read(&frame(0, b"a")), 1);
        assert_eq!(framing.skip(1), 0, "a part of a prefix");
        assert_eq!(framing.read(&frame(0, b"a")), 0);
    }
}
