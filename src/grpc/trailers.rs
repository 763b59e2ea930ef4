use crate::classify::GrpcCode;

/// Finds `grpc-status` in trailers that are written as HTTP/1 fields and arrive in pieces.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StatusField {
    line: Line,
    found: Option<GrpcCode>,
}

/// Where the next byte belongs in its line.
#[derive(Clone, Copy, Debug)]
enum Line {
    /// In the name, with the number of bytes that match [`NAME`].
    Name(u8),
    /// In the value of `grpc-status`.
    Value(Value),
    /// In another field.
    Other,
}

/// The digits so far. Codes have at most two.
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

    /// Ends the trailers and returns their status.
    pub(super) fn finish(mut self) -> Option<GrpcCode> {
        self.end_line();
        self.found
    }

    fn byte(&mut self, byte: u8) {
        if byte == b'\n' {
            return self.end_line();
        }
        match &mut self.line {
            Line::Name(matched) if NAME[usize::from(*matched)] == byte.to_ascii_lowercase() => {
                *matched += 1;
                if usize::from(*matched) == NAME.len() {
                    self.line = Line::Value(Value::default());
                }
            }
            Line::Name(_) => self.line = Line::Other,
            Line::Value(value) => value.push(byte),
            Line::Other => {}
        }
    }

    /// The first `grpc-status` counts, as in a header map.
    fn end_line(&mut self) {
        if let Line::Value(value) = self.line {
            self.found.get_or_insert(value.code());
        }
        self.line = Line::default();
    }
}

// === impl Line ===

impl Default for Line {
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
    fn the_status_is_found_however_the_trailers_are_split() {
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
