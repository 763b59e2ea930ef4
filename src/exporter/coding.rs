use super::elements::Element;
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
    pub(super) fn negotiate(headers: &HeaderMap, offered: &[Self]) -> Option<Self> {
        let mut best = (0, None);
        // `*` stands for gzip unless gzip is named.
        let mut accepts_any = false;
        let mut gzip_is_named = false;
        for Element { name, weight, .. } in Element::all(headers, ACCEPT_ENCODING) {
            let coding = match &*name {
                b"gzip" | b"x-gzip" => Self::Gzip,
                b"zstd" => Self::Zstd,
                b"*" => {
                    accepts_any |= weight > 0;
                    continue;
                }
                _ => continue,
            };
            gzip_is_named |= coding == Self::Gzip;
            // Strictly greater: the first of equal weights stays, and a weight of 0 never counts.
            if offered.contains(&coding) && weight > best.0 {
                best = (weight, Some(coding));
            }
        }
        match best {
            (_, None) if accepts_any && !gzip_is_named => Some(Self::Gzip),
            (_, coding) => coding,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
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
