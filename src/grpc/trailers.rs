use crate::classify::GrpcCode;

/// Finds `grpc-status` in trailers that are written as HTTP/1 fields and arrive in pieces.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StatusField {
    /// The beginning of the current line in lowercase, without whitespace in its value.
    line: [u8; LONGEST],
    /// The length of the line, or 255.
    length: u8,
    found: Option<GrpcCode>,
}

const NAME: &[u8] = b"grpc-status:";

/// Codes have at most two digits.
const LONGEST: usize = NAME.len() + 2;

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
        let length = usize::from(self.length);
        if byte == b'\n' {
            return self.end_line();
        }
        if length >= NAME.len() && byte.is_ascii_whitespace() {
            return;
        }
        if let Some(place) = self.line.get_mut(length) {
            *place = byte.to_ascii_lowercase();
        }
        self.length = self.length.saturating_add(1);
    }

    /// The first `grpc-status` counts, as in a header map.
    fn end_line(&mut self) {
        let length = usize::from(self.length);
        if self.line.starts_with(NAME) && length >= NAME.len() {
            let digits = self.line.get(NAME.len()..length);
            let code = digits.map_or(GrpcCode::Unknown, GrpcCode::parse);
            self.found.get_or_insert(code);
        }
        self.length = 0;
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
