use super::base64::{Base64, Malformed, PIECE};
use super::framing::Framing;
use crate::classify::GrpcCode;
use crate::labels::grpc::has_type;
use bytes::Buf;
use http::HeaderMap;
use std::io::IoSlice;

/// Counts the messages in a body by their prefixes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Messages {
    framing: Framing,
    text: Option<Base64>,
}

/// What the types of bodies begin with.
const GRPC_WEB: &str = "application/grpc-web";
const GRPC_WEB_TEXT: &str = "application/grpc-web-text";

/// A buffer of more pieces than that is not seen to its end.
const MOST_PIECES: usize = 16;

// === impl Messages ===

impl Messages {
    /// Of a body with these headers.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self {
            framing: Framing::new(has_type(headers, GRPC_WEB)),
            text: has_type(headers, GRPC_WEB_TEXT).then(Base64::default),
        }
    }

    /// Of a body that has none.
    pub(crate) fn none() -> Self {
        Self {
            framing: Framing::unknown(),
            text: None,
        }
    }

    /// How many messages end in `data`.
    #[inline]
    pub(crate) fn read<D: Buf>(&mut self, data: &D) -> u64 {
        let piece = data.chunk();
        if piece.len() == data.remaining() {
            self.read_piece(piece)
        } else {
            self.read_pieces(data)
        }
    }

    /// How many more there are now that the body is over.
    pub(crate) fn finish(&mut self) -> u64 {
        match self.text.take() {
            None => 0,
            Some(mut text) => match text.finish() {
                Ok(decoded) => self.framing.read(decoded.bytes()),
                Err(Malformed) => 0,
            },
        }
    }

    /// What the trailers say, if they have come as a frame.
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

    /// A buffer shows its pieces without being consumed, or copied, only as
    /// many at once as one asks for, and maybe none but the first.
    #[cold]
    fn read_pieces<D: Buf>(&mut self, data: &D) -> u64 {
        let mut pieces = [IoSlice::new(&[]); MOST_PIECES];
        let filled = data.chunks_vectored(&mut pieces);
        let mut unseen = data.remaining();
        let mut messages = 0;
        for piece in &pieces[..filled] {
            messages += self.read_piece(piece);
            unseen = unseen.saturating_sub(piece.len());
        }
        messages + self.skip(unseen)
    }

    fn skip(&mut self, bytes: usize) -> u64 {
        if bytes > 0 && self.text.is_some() {
            self.framing.lose();
        }
        self.framing.skip(bytes)
    }

    fn read_text(&mut self, text: &[u8]) -> u64 {
        let Self {
            framing,
            text: Some(base64),
        } = self
        else {
            return 0;
        };
        let mut messages = 0;
        for piece in text.chunks(PIECE) {
            match base64.decode(piece) {
                Ok(decoded) => messages += framing.read(decoded.bytes()),
                Err(Malformed) => framing.lose(),
            }
        }
        messages
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

    /// A buffer that never shows more than its first piece.
    struct Shy(VecDeque<Bytes>);

    impl Buf for Shy {
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
            assert_eq!(of(GRPC).read(&chained), 1, "cut at {cut}");
            assert_eq!(chained.remaining(), MESSAGE.len());
        }
    }

    #[test]
    fn of_a_buffer_that_hides_its_pieces_what_can_be_told_is() {
        let shy = |pieces: &[&'static [u8]]| {
            Shy(pieces.iter().copied().map(Bytes::from_static).collect())
        };
        let mut messages = of(GRPC);
        assert_eq!(messages.read(&shy(&[&MESSAGE[..6], &MESSAGE[6..]])), 1);
        assert_eq!(messages.read(&MESSAGE), 1, "nothing was lost");
        assert_eq!(messages.read(&shy(&[MESSAGE, MESSAGE])), 1);
        assert_eq!(messages.read(&MESSAGE), 0, "where is a prefix?");
    }

    #[test]
    fn text_is_read_through_its_base64() {
        // The message, and trailers that say `grpc-status:3`, each padded by itself.
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
                assert_eq!(read + messages.finish(), 1, "cut at {cut}");
                assert_eq!(messages.status(), Some(GrpcCode::InvalidArgument));
            }
        }
    }

    #[test]
    fn text_need_not_be_padded_at_its_end() {
        let mut messages = of(GRPC_WEB_TEXT);
        assert_eq!(messages.read(&"AAAAAAVoZWxsbw".as_bytes()), 0);
        assert_eq!(messages.finish(), 1);
        assert_eq!(messages.finish(), 0);
    }

    #[test]
    fn text_that_is_no_base64_counts_no_more() {
        let mut messages = of(GRPC_WEB_TEXT);
        assert_eq!(messages.read(&MESSAGE), 0);
        assert_eq!(messages.read(&"AAAAAAVoZWxsbw==".as_bytes()), 0);
    }
}
