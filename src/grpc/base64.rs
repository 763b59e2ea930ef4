//! An incremental base64 decoder (RFC 4648, section 4).
//!
//! Padding may occur anywhere, because a gRPC-Web server encodes each flush by itself.

/// Decodes base64 that arrives in pieces.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Decoder {
    /// The digits of the current group, six bits each.
    bits: u32,
    digits: u8,
}

/// The text is not base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

// === impl Decoder ===

impl Decoder {
    /// Passes the decoded bytes on, a group at a time.
    pub(super) fn decode(
        &mut self,
        text: &[u8],
        mut decoded: impl FnMut(&[u8]),
    ) -> Result<(), Malformed> {
        for &digit in text {
            if digit != b'=' {
                self.bits = self.bits << 6 | u32::from(value(digit)?);
                self.digits += 1;
            }
            if digit == b'=' || self.digits == 4 {
                self.end_group(&mut decoded)?;
            }
        }
        Ok(())
    }

    /// Ends the current group: two digits make one byte, three digits make two.
    ///
    /// Does nothing without a current group, as at a second padding character.
    fn end_group(&mut self, decoded: &mut impl FnMut(&[u8])) -> Result<(), Malformed> {
        let missing = match self.digits {
            0 => return Ok(()),
            1 => return Err(Malformed),
            digits => 4 - digits,
        };
        let [_, bytes @ ..] = (self.bits << (6 * missing)).to_be_bytes();
        decoded(&bytes[..usize::from(3 - missing)]);
        *self = Self::default();
        Ok(())
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
        let mut base64 = Decoder::default();
        let mut all = Vec::new();
        for piece in pieces {
            base64.decode(piece.as_bytes(), |bytes| all.extend_from_slice(bytes))?;
        }
        base64.decode(b"=", |bytes| all.extend_from_slice(bytes))?;
        Ok(all)
    }

    /// RFC 4648, section 10.
    #[test]
    fn the_test_vectors_of_the_rfc_decode_however_they_are_split() {
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
    fn text_may_continue_after_padding() {
        assert_eq!(decoded(&["Zg==Zm8=Zm9v"]), Ok(b"ffofoo".into()));
    }

    #[test]
    fn other_characters_are_errors() {
        for text in ["Zm 9", "Zm9-", "Z", "Z===", "\n"] {
            assert_eq!(decoded(&[text]), Err(Malformed), "{text:?}");
        }
    }
}
