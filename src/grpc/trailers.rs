use crate::classify::GrpcCode;

/// Looks for `grpc-status` in trailers that are written as a block of HTTP/1 fields, and
/// come in pieces.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StatusField {
    at: At,
    found: Option<GrpcCode>,
}

/// Where in a line the next byte is.
#[derive(Clone, Copy, Debug)]
enum At {
    /// So many bytes of the name have come, and are right.
    Name(u8),
    /// In the value of the status.
    Value(Value),
    /// In a line that is not it.
    Elsewhere,
}

/// The digits so far; codes have two at most.
#[derive(Clone, Copy, Debug, Default)]
struct Value {
    digits: [u8; 2],
    length: u8,
}

const NAME: &[u8] = b"grpc-status:";

// === impl StatusField ===

impl StatusField {
    pub(super) fn read(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.byte(byte);
        }
    }

    /// What the block, now over, says.
    pub(super) fn finish(mut self) -> Option<GrpcCode> {
        self.end_line();
        self.found
    }

    fn byte(&mut self, byte: u8) {
        if byte == b'\n' {
            return self.end_line();
        }
        match &mut self.at {
            At::Name(right) if NAME[usize::from(*right)] == byte.to_ascii_lowercase() => {
                *right += 1;
                if usize::from(*right) == NAME.len() {
                    self.at = At::Value(Value::default());
                }
            }
            At::Name(_) => self.at = At::Elsewhere,
            At::Value(value) => value.push(byte),
            At::Elsewhere => {}
        }
    }

    /// The first field of the name counts, as it does in a header map.
    fn end_line(&mut self) {
        if let At::Value(value) = self.at {
            self.found.get_or_insert(value.code());
        }
        self.at = At::default();
    }
}

// === impl At ===

impl Default for At {
    fn default() -> Self {
        Self::Name(0)
    }
}

// === impl Value ===

impl Value {
    fn push(&mut self, byte: u8) {
        if byte.is_ascii_whitespace() {
            return;
        }
        if let Some(place) = self.digits.get_mut(usize::from(self.length)) {
            *place = byte;
        }
        self.length = self.length.saturating_add(1);
    }

    fn code(&self) -> GrpcCode {
        self.digits
            .get(..usize::from(self.length))
            .map_or(GrpcCode::Unknown, GrpcCode::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_found_wherever_it_is() {
        use GrpcCode::*;
        let cases = [
            ("grpc-status:0\r\n", Some(Ok)),
            ("grpc-status: 13\r\n", Some(Internal)),
            ("grpc-status:7", Some(PermissionDenied)),
            (
                "grpc-message:no\r\ngrpc-status:5\r\nx: y\r\n",
                Some(NotFound),
            ),
            (
                "x:grpc-status:5\r\nGrpc-Status:\t16\n",
                Some(Unauthenticated),
            ),
            ("grpc-status:1\r\ngrpc-status:2\r\n", Some(Cancelled)),
            ("grpc-status:\r\n", Some(Unknown)),
            ("grpc-status:000\r\n", Some(Unknown)),
            ("grpc-status:99\r\n", Some(Unknown)),
            ("grpc-statu:0\r\n", None),
            ("grpc-status-details-bin:0\r\n", None),
            ("grpc-status", None),
            ("\r\n\n", None),
            ("", None),
        ];
        for (block, expected) in cases {
            for cut in 0..=block.len() {
                let mut field = StatusField::default();
                let (a, b) = block.split_at(cut);
                field.read(a.as_bytes());
                field.read(b.as_bytes());
                assert_eq!(field.finish(), expected, "{a:?} {b:?}");
            }
        }
    }
}
