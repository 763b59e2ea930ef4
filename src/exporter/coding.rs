use super::parameters::{Parameters, split};
use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

/// A content coding that `Accept-Encoding` can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Zstd,
}

// === impl Coding ===

impl Coding {
    /// Returns the coding of `offered` that `Accept-Encoding` prefers, or `None` if it accepts none.
    ///
    /// gzip may be accepted by name or by `*`, even if `identity` is preferred. zstd must be named.
    /// Takes time linear in the length of the headers and accepts any header.
    pub(super) fn negotiate(headers: &HeaderMap, offered: &[Self]) -> Option<Self> {
        let mut best = (0, None);
        // `*` stands for gzip unless gzip is named.
        let mut any = (0, None);
        let mut gzip_is_named = false;
        for value in headers.get_all(ACCEPT_ENCODING) {
            for (weight, range) in split(value.as_bytes(), b',').filter_map(CodingRange::parse) {
                let (slot, coding) = match range {
                    CodingRange::Any => (&mut any, Self::Gzip),
                    CodingRange::Coding(coding) if offered.contains(&coding) => (&mut best, coding),
                    CodingRange::Coding(_) => continue,
                };
                gzip_is_named |= matches!(range, CodingRange::Coding(Self::Gzip));
                // Strictly greater: the first of equal weights stays, and a weight of 0 never counts.
                if weight > slot.0 {
                    *slot = (weight, Some(coding));
                }
            }
        }
        match best {
            (_, Some(coding)) => Some(coding),
            (_, None) if gzip_is_named => None,
            (_, None) => any.1,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// An element of the header that can be offered.
enum CodingRange {
    Any,
    Coding(Coding),
}

// === impl CodingRange ===

impl CodingRange {
    /// Returns the weight of an element, in thousandths, and what it names. Returns `None` if it is
    /// malformed or names an unknown coding.
    fn parse(piece: &[u8]) -> Option<(u16, Self)> {
        let mut parts = split(piece, b';');
        let range = match &*parts.next()?.trim_ascii().to_ascii_lowercase() {
            b"gzip" | b"x-gzip" => Self::Coding(Coding::Gzip),
            b"zstd" => Self::Coding(Coding::Zstd),
            b"*" => Self::Any,
            _ => return None,
        };
        Some((Parameters::parse(parts)?.weight()?, range))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const GZIP: Option<Coding> = Some(Coding::Gzip);
    const ZSTD: Option<Coding> = Some(Coding::Zstd);

    /// Headers, one per line; the coding if only gzip is offered; the coding if zstd is offered too.
    const TABLE: &[(&str, Option<Coding>, Option<Coding>)] = &[
        // Headers of real clients
        ("gzip", GZIP, GZIP), // Prometheus, VictoriaMetrics, Go
        ("gzip, deflate, br, zstd", GZIP, GZIP), // browsers
        ("gzip, deflate", GZIP, GZIP), // Python
        ("deflate, gzip, br, zstd", GZIP, GZIP), // curl --compressed
        // Nothing accepted
        ("", None, None),
        ("identity", None, None),
        ("br, deflate", None, None),
        ("gzip;q=0", None, None),
        ("gzip;q=0.000, zstd;q=0", None, None),
        ("identity;q=0", None, None),
        ("identity;q=0, gzip;q=0, *;q=0", None, None),
        ("*;q=0", None, None),
        // gzip whenever accepted
        ("identity, gzip;q=0.001", GZIP, GZIP),
        ("identity;q=0, gzip", GZIP, GZIP),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", GZIP, GZIP),
        ("*", GZIP, GZIP),
        ("*;q=0.1, br", GZIP, GZIP),
        ("gzip;q=0, *", None, None),
        ("*, gzip;q=0", None, None),
        ("gzip, *;q=0", GZIP, GZIP),
        ("X-GZIP", GZIP, GZIP),
        // zstd only if it is named and preferred
        ("zstd", None, ZSTD),
        ("ZSTD;Q=0.1", None, ZSTD),
        ("zstd, gzip", GZIP, ZSTD),
        ("gzip, zstd", GZIP, GZIP),
        ("zstd;q=0.5, gzip;q=0.6", GZIP, GZIP),
        ("gzip;q=0.5, zstd;q=0.6", GZIP, ZSTD),
        ("zstd;q=0, gzip;q=0.1", GZIP, GZIP),
        ("gzip;q=0, zstd;q=0.1", None, ZSTD),
        ("zstd;q=0.1, *", GZIP, ZSTD),
        // Spaces, empty elements, repeated headers
        (" , ;, gzip\t;  q=0.5 ,", GZIP, GZIP),
        ("br\nzstd;q=0.5\ngzip;q=0.5", GZIP, ZSTD),
        // Malformed elements are ignored, the others count
        ("gzip;q=2", None, None),
        ("gzip;q=-1, gzip;q=0.5", GZIP, GZIP),
        ("gzip;q=0.1234, zstd", None, ZSTD),
        ("gzip;q=, zstd", None, ZSTD),
        ("gzip;q=1;q=0", None, None),
        ("gz ip, g\u{e9}zip, zstd", None, ZSTD),
        ("gzip \"", None, None),
        ("\"gzip\"", None, None),
    ];

    #[test]
    fn every_row_of_the_table() {
        for (accept, gzip_alone, both) in TABLE {
            let mut headers = HeaderMap::new();
            for line in accept.lines() {
                let value = HeaderValue::from_bytes(line.as_bytes()).expect("a header value");
                headers.append(ACCEPT_ENCODING, value);
            }
            let negotiated = |offered: &[_]| Coding::negotiate(&headers, offered);
            assert_eq!(negotiated(&[Coding::Gzip]), *gzip_alone, "{accept:?}");
            let both_offered = [Coding::Gzip, Coding::Zstd];
            assert_eq!(negotiated(&both_offered), *both, "{accept:?}");
        }
    }

    #[test]
    fn no_header_accepts_nothing() {
        assert_eq!(Coding::negotiate(&HeaderMap::new(), &[Coding::Gzip]), None);
    }
}
