//! Protobuf's wire format: a sequence of fields, each with its number and type.
//!
//! See <https://protobuf.dev/programming-guides/encoding/>.

/// The encoded fields of a message, including its nested messages.
///
/// Fields are written even if they are 0 or empty: proto2 distinguishes such fields from missing ones,
/// and Prometheus' clients write them.
#[derive(Debug, Default)]
pub(super) struct Fields {
    bytes: Vec<u8>,
}

/// The types on the wire.
const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const DELIMITED: u32 = 2;

/// The longest message whose length takes one byte.
const SHORT: usize = 0x7f;

// === impl Fields ===

impl Fields {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Adds a field of the type `uint32`, `uint64` or `enum`.
    pub(super) fn uint(&mut self, field: u32, value: u64) {
        self.tag(field, VARINT);
        self.varint(value);
    }

    /// Adds a field of the type `int32` or `int64`.
    pub(super) fn int(&mut self, field: u32, value: i64) {
        self.uint(field, value.cast_unsigned());
    }

    /// Adds a field of the type `sint32` or `sint64`. Numbers close to 0 are short, even if negative.
    pub(super) fn sint(&mut self, field: u32, value: i64) {
        self.int(field, (value << 1) ^ (value >> 63));
    }

    pub(super) fn double(&mut self, field: u32, value: f64) {
        self.tag(field, FIXED64);
        self.bytes.extend(value.to_le_bytes());
    }

    pub(super) fn string(&mut self, field: u32, value: &str) {
        self.tag(field, DELIMITED);
        self.varint(value.len() as u64);
        self.bytes.extend(value.as_bytes());
    }

    /// Adds a field that is a message.
    pub(super) fn message(&mut self, field: u32, write: impl FnOnce(&mut Self)) {
        self.tag(field, DELIMITED);
        self.delimited(write);
    }

    /// Adds a message for each value: a repeated field, or an optional one.
    pub(super) fn messages<T>(
        &mut self,
        field: u32,
        values: impl IntoIterator<Item = T>,
        write: impl Fn(T, &mut Self),
    ) {
        for value in values {
            self.message(field, |message| write(value, message));
        }
    }

    /// Adds a message preceded by its length.
    pub(super) fn delimited(&mut self, write: impl FnOnce(&mut Self)) {
        // The length is known once the message is written. It takes one byte for most messages. For
        // a longer message, the bytes move to make room.
        let start = self.bytes.len();
        self.bytes.push(0);
        write(self);
        let length = self.bytes.len() - start - 1;
        if length <= SHORT {
            self.bytes[start] = length as u8;
        } else {
            let end = self.bytes.len();
            self.varint(length as u64);
            let width = self.bytes.len() - end;
            self.bytes[start..].rotate_right(width);
            self.bytes.remove(start + width);
        }
    }

    fn tag(&mut self, field: u32, wire_type: u32) {
        self.varint((field << 3 | wire_type).into());
    }

    /// Writes seven bits per byte, lowest first. All bytes but the last have the eighth bit set.
    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Fields)) -> Vec<u8> {
        let mut fields = Fields::default();
        write(&mut fields);
        fields.into_bytes()
    }

    /// The examples of the format's description, and the limits of the types.
    #[test]
    fn fields_are_as_described() {
        assert_eq!(written(|all| all.uint(1, 150)), [0x08, 0x96, 0x01]);
        assert_eq!(written(|all| all.string(2, "testing")), b"\x12\x07testing");
        assert_eq!(
            written(|all| all.message(3, |inner| inner.uint(1, 150))),
            [0x1a, 0x03, 0x08, 0x96, 0x01]
        );
        // int32 and int64 take ten bytes below 0, in two's complement.
        let minus_two = [0x08, 0xfe, 255, 255, 255, 255, 255, 255, 255, 255, 0x01];
        assert_eq!(written(|all| all.int(1, -2)), minus_two);
        // 1.0 is sign 0, exponent 0x3ff, fraction 0; little-endian.
        let one = [0x11, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f];
        assert_eq!(written(|all| all.double(2, 1.0)), one);
        // From field 16 on the tag takes two bytes: 16 << 3 is 0b1_0000000.
        assert_eq!(written(|all| all.uint(16, 0)), [0x80, 0x01, 0x00]);
    }

    #[test]
    fn signed_numbers_zigzag() {
        for (value, encoded) in [
            (0, 0),
            (-1, 1),
            (1, 2),
            (-2, 3),
            (i64::from(i32::MAX), 0xffff_fffe),
            (i64::from(i32::MIN), 0xffff_ffff),
            (i64::MAX, u64::MAX - 1),
            (i64::MIN, u64::MAX),
        ] {
            let zigzag = written(|all| all.sint(1, value));
            assert_eq!(zigzag, written(|all| all.uint(1, encoded)), "{value}");
        }
    }

    #[test]
    fn a_message_of_any_length_follows_its_length() {
        for (length, prefix) in [
            (0, &[0][..]),
            (127, &[0x7f]),
            (128, &[0x80, 0x01]),
            (16_383, &[0xff, 0x7f]),
            (16_384, &[0x80, 0x80, 0x01]),
        ] {
            // Its tag is one byte.
            let bytes = written(|all| {
                all.bytes.push(b'<');
                all.delimited(|inner| inner.bytes.extend((0..length).map(|at| at as u8)));
            });
            let content = (0..length).map(|at| at as u8);
            let expected: Vec<u8> = b"<".iter().chain(prefix).copied().chain(content).collect();
            assert_eq!(bytes, expected, "{length}");
        }
    }
}
