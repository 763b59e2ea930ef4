//! Base64 that is decoded as it passes (RFC 4648, section 4).
//!
//! Padding may stand anywhere, for a server of gRPC-Web encodes whenever it flushes.

/// Decodes base64 that comes in pieces.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Base64 {
    /// The digits of the group under way, six bits each.
    bits: u32,
    digits: u8,
}

/// What is not base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// As much text as is decoded at once.
pub(super) const PIECE: usize = 64;
/// The bytes that it makes at most, with the digits that were left before it.
const DECODED: usize = 51;

/// Bytes that were decoded from a piece.
pub(super) struct Decoded {
    bytes: [u8; DECODED],
    length: usize,
}

// === impl Base64 ===

impl Base64 {
    /// What [`PIECE`] digits or fewer make.
    pub(super) fn decode(&mut self, text: &[u8]) -> Result<Decoded, Malformed> {
        let mut decoded = Decoded::nothing();
        for &digit in text {
            if digit == b'=' {
                self.pad(&mut decoded)?;
            } else {
                self.push(value(digit)?, &mut decoded);
            }
        }
        Ok(decoded)
    }

    /// What is left when the text is over, had it been padded.
    pub(super) fn finish(&mut self) -> Result<Decoded, Malformed> {
        let mut decoded = Decoded::nothing();
        self.pad(&mut decoded)?;
        Ok(decoded)
    }

    #[inline]
    fn push(&mut self, value: u8, decoded: &mut Decoded) {
        self.bits = self.bits << 6 | u32::from(value);
        self.digits += 1;
        if self.digits == 4 {
            let [_, bytes @ ..] = self.bits.to_be_bytes();
            decoded.extend(&bytes);
            *self = Self::default();
        }
    }

    /// A group of two digits makes one byte, one of three makes two; the second sign of
    /// padding finds nothing to do.
    fn pad(&mut self, decoded: &mut Decoded) -> Result<(), Malformed> {
        let missing = match self.digits {
            0 => return Ok(()),
            1 => return Err(Malformed),
            digits => 4 - digits,
        };
        let [_, bytes @ ..] = (self.bits << (6 * missing)).to_be_bytes();
        decoded.extend(&bytes[..usize::from(3 - missing)]);
        *self = Self::default();
        Ok(())
    }
}

// === impl Decoded ===

impl Decoded {
    fn nothing() -> Self {
        Self {
            bytes: [0; DECODED],
            length: 0,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    #[inline]
    fn extend(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        self.bytes[self.length..end].copy_from_slice(bytes);
        self.length = end;
    }
}

#[inline]
fn value(digit: u8) -> Result<u8, Malformed> {
    match digit {
        b'A'..=b'Z' => Ok(digit - b'A'),
        b'a'..=b'z' => Ok(digit - b'a' + 26),
        b'0'..=b'9' => Ok(digit - b'0' + 52),
        b'+' => Ok(62),
        b'/' => Ok(63),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(pieces: &[&str]) -> Result<Vec<u8>, Malformed> {
        let mut base64 = Base64::default();
        let mut all = Vec::new();
        for piece in pieces {
            all.extend_from_slice(base64.decode(piece.as_bytes())?.bytes());
        }
        all.extend_from_slice(base64.finish()?.bytes());
        Ok(all)
    }

    /// RFC 4648, section 10.
    #[test]
    fn the_rfcs_vectors_cut_anywhere() {
        let vectors = [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zm9vYmFy", "foobar"),
        ];
        for (text, bytes) in vectors {
            for cut in 0..=text.len() {
                let (a, b) = text.split_at(cut);
                assert_eq!(decoded(&[a, b]), Ok(bytes.into()), "{a} {b}");
            }
            let unpadded = text.trim_end_matches('=');
            assert_eq!(decoded(&[unpadded]), Ok(bytes.into()), "{unpadded}");
        }
        assert_eq!(decoded(&["+/+/"]), Ok(vec![0xfb, 0xff, 0xbf]));
    }

    #[test]
    fn groups_that_were_padded_go_on() {
        assert_eq!(decoded(&["Zg==Zm8=Zm9v"]), Ok(b"ffofoo".into()));
    }

    #[test]
    fn the_most_that_a_piece_makes_has_room() {
        let piece = "A".repeat(PIECE);
        assert_eq!(decoded(&["AAA", &piece]), Ok(vec![0; 50]));
    }

    #[test]
    fn what_is_no_digit_is_seen() {
        for text in ["Zm 9", "Zm9-", "Z", "Z===", "\n"] {
            assert_eq!(decoded(&[text]), Err(Malformed), "{text:?}");
        }
    }
}
