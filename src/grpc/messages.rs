use super::base64::Decoder;
use super::framing::Framing;
use crate::body::Content;
use crate::classify::{Fault, GrpcCode, source};
use crate::labels::grpc::has_type;
use bytes::Buf;
use http::HeaderMap;
use std::any::Any;
use std::io::IoSlice;

/// Counts the messages in a body.
#[derive(Clone, Copy, Debug)]
pub struct Messages {
    framing: Framing,
    text: Option<Decoder>,
}

// Prefixes of content types.
const GRPC_WEB: &str = "application/grpc-web";
const GRPC_WEB_TEXT: &str = "application/grpc-web-text";

/// Maximum number of pieces that are read of a buffer.
const MAX_PIECES: usize = 16;

// === impl Messages ===

impl Messages {
    /// Returns the counter for a body with these headers.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self {
            framing: Framing::new(has_type(headers, GRPC_WEB)),
            text: has_type(headers, GRPC_WEB_TEXT).then(Decoder::default),
        }
    }

    /// Returns a counter that finds no messages.
    pub(crate) fn none() -> Self {
        Self {
            framing: Framing::stopped(),
            text: None,
        }
    }

    /// Returns the number of messages that end with the body itself, because its base64 lacks padding.
    pub(crate) fn finish(&mut self) -> u64 {
        self.read_text(b"=")
    }

    /// Returns the status in the trailers frame, if it has arrived.
    #[inline]
    pub(crate) fn status(&self) -> Option<GrpcCode> {
        self.framing.status()
    }

    #[inline]
    fn read_piece(&mut self, piece: &[u8]) -> u64 {
        match self.text {
            None => self.framing.read(piece),
            Some(_) => self.read_text(piece),
        }
    }

    /// Reads as many pieces as `chunks_vectored` returns. `Buf` has no way to see the others
    /// without consuming or copying the buffer. An implementation may return the first piece only.
    #[cold]
    fn read_pieces<D: Buf>(&mut self, data: &D) -> u64 {
        let mut pieces = [IoSlice::new(&[]); MAX_PIECES];
        let filled = data.chunks_vectored(&mut pieces);
        let mut unread = data.remaining();
        let mut messages = 0;
        for piece in &pieces[..filled] {
            messages += self.read_piece(piece);
            unread = unread.saturating_sub(piece.len());
        }
        messages + self.skip_bytes(unread)
    }

    fn skip_bytes(&mut self, bytes: usize) -> u64 {
        if bytes > 0 && self.text.is_some() {
            self.framing.stop();
        }
        self.framing.skip_bytes(bytes)
    }

    fn read_text(&mut self, text: &[u8]) -> u64 {
        let Some(base64) = &mut self.text else {
            return 0;
        };
        let mut messages = 0;
        let decoded = base64.decode(text, |bytes| messages += self.framing.read(bytes));
        if decoded.is_err() {
            self.framing.stop();
        }
        messages
    }
}

impl Content for Messages {
    #[inline]
    fn read<D: Buf>(&mut self, data: &D) -> u64 {
        let piece = data.chunk();
        if piece.len() == data.remaining() {
            self.read_piece(piece)
        } else {
            self.read_pieces(data)
        }
    }

    fn broken_off(error: &dyn Any) -> Fault {
        source::broken_off_within(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::header::CONTENT_TYPE;
    use std::collections::VecDeque;

    const GRPC: &str = "application/grpc";
    const MESSAGE: &[u8] = b"\0\0\0\0\x05hello";

    fn of(content_type: &'static str) -> Messages {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        Messages::of(&headers)
    }

    /// A buffer that only returns its first piece.
    struct FirstOnly(VecDeque<Bytes>);

    impl Buf for FirstOnly {
        fn remaining(&self) -> usize {
            self.0.iter().map(Bytes::len).sum()
        }

        fn chunk(&self) -> &[u8] {
            self.0.front().map_or(&[], |piece| piece)
        }

        fn advance(&mut self, _: usize) {
            unreachable!("nothing is consumed");
        }
    }

    #[test]
    fn buffers_in_pieces_are_read_without_being_consumed() {
        for cut in 0..=MESSAGE.len() {
            let (a, b) = MESSAGE.split_at(cut);
            let chained = a.chain(b);
            assert_eq!(of(GRPC).read(&chained), 1, "split at {cut}");
            assert_eq!(chained.remaining(), MESSAGE.len());
        }
    }

    #[test]
    fn unread_pieces_are_harmless_within_a_message() {
        let first_only = |pieces: &[&'static [u8]]| {
            FirstOnly(pieces.iter().copied().map(Bytes::from_static).collect())
        };
        let mut messages = of(GRPC);
        let in_a_message = first_only(&[&MESSAGE[..6], &MESSAGE[6..]]);
        assert_eq!(messages.read(&in_a_message), 1);
        assert_eq!(messages.read(&MESSAGE), 1, "the next prefix is known");
        assert_eq!(messages.read(&first_only(&[MESSAGE, MESSAGE])), 1);
        assert_eq!(messages.read(&MESSAGE), 0, "the next prefix is unknown");
    }

    #[test]
    fn grpc_web_text_is_decoded() {
        // The message, and trailers with `grpc-status:3`, each padded by itself.
        let text = "AAAAAAVoZWxsbw==gAAAAA1ncnBjLXN0YXR1czoz";
        for content_type in [
            GRPC_WEB_TEXT,
            "application/grpc-web-text+proto",
            "Application/GRPC-Web-Text",
        ] {
            for cut in 0..=text.len() {
                let mut messages = of(content_type);
                let (a, b) = text.split_at(cut);
                let read = messages.read(&a.as_bytes()) + messages.read(&b.as_bytes());
                assert_eq!(read + messages.finish(), 1, "split at {cut}");
                assert_eq!(messages.status(), Some(GrpcCode::InvalidArgument));
            }
        }
    }

    #[test]
    fn grpc_web_text_may_lack_its_padding() {
        let mut messages = of(GRPC_WEB_TEXT);
        assert_eq!(messages.read(&"AAAAAAVoZWxsbw".as_bytes()), 0);
        assert_eq!(messages.finish(), 1);
        assert_eq!(messages.finish(), 0);
    }

    #[test]
    fn nothing_counts_after_invalid_base64() {
        let mut messages = of(GRPC_WEB_TEXT);
        assert_eq!(messages.read(&MESSAGE), 0);
        assert_eq!(messages.read(&"AAAAAAVoZWxsbw==".as_bytes()), 0);
        let text = "AAAAAAVoZWxsbw==!AAAAAAVoZWxsbw==";
        assert_eq!(of(GRPC_WEB_TEXT).read(&text.as_bytes()), 1);
    }
}
