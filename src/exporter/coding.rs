use super::elements::Element;
use crate::Error;
use bytes::Bytes;
use http::HeaderMap;
use http::header::ACCEPT_ENCODING;
use std::io;

/// A content coding that `Accept-Encoding` can name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coding {
    name: &'static str,
    encode: fn(&[u8]) -> io::Result<Vec<u8>>,
}

// === impl Coding ===

impl Coding {
    /// The codings of this build. There are none without the feature `compression`.
    pub(super) const OFFERED: &[Self] = &[
        #[cfg(feature = "compression")]
        Self {
            name: "gzip",
            encode: gzip,
        },
        #[cfg(feature = "zstd")]
        Self {
            name: "zstd",
            encode: zstd,
        },
    ];

    /// Returns the coding of `offered` that `Accept-Encoding` prefers, or `None` if it accepts none.
    ///
    /// gzip may be accepted by name or by `*`, even if `identity` is preferred. zstd must be named.
    pub(super) fn negotiate(headers: &HeaderMap, offered: &[Self]) -> Option<Self> {
        let named = |name: &[u8]| {
            let mut offered = offered.iter().copied();
            offered.find(|coding| coding.name.as_bytes() == name)
        };
        let mut best = (0, None);
        // `*` stands for gzip unless gzip is named.
        let mut accepts_any = false;
        let mut names_gzip = false;
        for Element { name, weight, .. } in Element::all(headers, ACCEPT_ENCODING) {
            let name = match &*name {
                b"x-gzip" => b"gzip",
                name => name,
            };
            accepts_any |= name == b"*" && weight > 0;
            names_gzip |= name == b"gzip";
            let coding = named(name);
            // Strictly greater: the first of equal weights stays, and a weight of 0 never counts.
            if coding.is_some() && weight > best.0 {
                best = (weight, coding);
            }
        }
        match best {
            (_, None) if accepts_any && !names_gzip => named(b"gzip"),
            (_, coding) => coding,
        }
    }

    pub(super) fn name(self) -> &'static str {
        self.name
    }

    /// Returns the page in this coding.
    pub(super) fn encode(self, page: &[u8]) -> Result<Bytes, Error> {
        match (self.encode)(page) {
            // The box has no spare capacity, which would stay allocated until the page has been read.
            Ok(encoded) => Ok(encoded.into_boxed_slice().into()),
            Err(error) => Err(Error::new("the page can't be compressed").with_source(error)),
        }
    }
}

impl PartialEq for Coding {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

// Pages are so repetitive that a higher level than the fastest hardly makes them smaller.

#[cfg(feature = "compression")]
fn gzip(page: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    io::Write::write_all(&mut encoder, page)?;
    encoder.finish()
}

#[cfg(feature = "zstd")]
fn zstd(page: &[u8]) -> io::Result<Vec<u8>> {
    zstd::bulk::compress(page, 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const GZIP: Option<&str> = Some("gzip");
    const ZSTD: Option<&str> = Some("zstd");

    /// Headers, one per line; the coding if only gzip is offered; the coding if zstd is offered too.
    const TABLE: &[(&str, Option<&str>, Option<&str>)] = &[
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

    fn offer(name: &'static str) -> Coding {
        let encode = |page: &[u8]| Ok(page.to_vec());
        Coding { name, encode }
    }

    #[test]
    fn every_row_of_the_table() {
        for (accept, gzip_alone, both) in TABLE {
            let mut headers = HeaderMap::new();
            for line in accept.lines() {
                let value = HeaderValue::from_bytes(line.as_bytes()).expect("a header value");
                headers.append(ACCEPT_ENCODING, value);
            }
            let offered = ["gzip", "zstd"].map(offer);
            let negotiated = |offered| Coding::negotiate(&headers, offered).map(Coding::name);
            assert_eq!(negotiated(&offered[..1]), *gzip_alone, "{accept:?}");
            assert_eq!(negotiated(&offered), *both, "{accept:?}");
            assert_eq!(negotiated(&[]), None, "{accept:?}");
        }
    }

    #[test]
    fn no_header_accepts_nothing() {
        assert_eq!(Coding::negotiate(&HeaderMap::new(), &[offer("gzip")]), None);
    }
}
