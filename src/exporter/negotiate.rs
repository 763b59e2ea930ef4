use crate::exposition::{Encoding, Format, Protobuf};
use http::HeaderMap;
use http::header::ACCEPT;
use std::borrow::Cow;

/// One of the ways to write the page down, as an `Accept` header can name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Representation {
    OpenMetrics(Version, Option<Escaping>),
    Prometheus,
    Protobuf(Protobuf, Option<Escaping>),
}

/// The versions of OpenMetrics that a scraper may name. They share one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V0_0_1,
    V1_0_0,
}

/// What a scraper wants done to names outside `[a-zA-Z0-9_:]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escaping {
    AllowUtf8,
    Underscores,
}

// === impl Representation ===

impl Representation {
    /// The one that `Accept` prefers, which is 0.0.4 text if it names none. Protobuf is among them
    /// if it is offered.
    ///
    /// Linear in the length of the headers, and total: there are no headers that it refuses.
    pub(super) fn negotiate(headers: &HeaderMap, protobuf: Option<Protobuf>) -> Self {
        let mut best = (0, Self::Prometheus);
        let named = |range| Self::of_range(range, protobuf);
        for value in headers.get_all(ACCEPT) {
            for (weight, named) in split(value.as_bytes(), b',').filter_map(named) {
                // Strictly more, so that the first of equals stays and a weight of 0 never counts.
                if weight > best.0 {
                    best = (weight, named);
                }
            }
        }
        best.1
    }

    pub(super) fn encoding(self) -> Encoding {
        match self {
            Self::OpenMetrics(..) => Encoding::Text(Format::OpenMetrics),
            Self::Prometheus => Encoding::Text(Format::Prometheus),
            Self::Protobuf(protobuf, _) => Encoding::Protobuf(protobuf),
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        use Escaping::{AllowUtf8, Underscores};
        use Version::{V0_0_1, V1_0_0};

        match self {
            Self::OpenMetrics(V1_0_0, None) => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8"
            }
            Self::OpenMetrics(V1_0_0, Some(AllowUtf8)) => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8"
            }
            Self::OpenMetrics(V1_0_0, Some(Underscores)) => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
            }
            Self::OpenMetrics(V0_0_1, None) => {
                "application/openmetrics-text; version=0.0.1; charset=utf-8"
            }
            Self::OpenMetrics(V0_0_1, Some(AllowUtf8)) => {
                "application/openmetrics-text; version=0.0.1; charset=utf-8; escaping=allow-utf-8"
            }
            Self::OpenMetrics(V0_0_1, Some(Underscores)) => {
                "application/openmetrics-text; version=0.0.1; charset=utf-8; escaping=underscores"
            }
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::Protobuf(_, None) => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
            Self::Protobuf(_, Some(AllowUtf8)) => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping=allow-utf-8"
            }
            Self::Protobuf(_, Some(Underscores)) => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping=underscores"
            }
        }
    }

    /// What a media range asks for and how much, in thousandths; nothing if it is malformed or
    /// names what is not offered.
    fn of_range(range: &[u8], protobuf: Option<Protobuf>) -> Option<(u16, Self)> {
        let mut parts = split(range, b';');
        let media_type = parts.next()?.trim_ascii();
        let is = |name: &str| media_type.eq_ignore_ascii_case(name.as_bytes());

        let parameters = Parameters::parse(parts)?;
        let weight = parameters.weight()?;
        let escaping = parameters.escaping.as_deref().and_then(Escaping::named);
        let named = if is("application/openmetrics-text") {
            let version = parameters.version.as_deref();
            Self::OpenMetrics(
                version.map_or(Some(Version::V1_0_0), Version::named)?,
                escaping,
            )
        } else if is("application/vnd.google.protobuf") && parameters.are_of_delimited_families() {
            Self::Protobuf(protobuf?, escaping)
        } else if is("text/plain") || is("text/*") || is("*/*") {
            Self::Prometheus
        } else {
            return None;
        };
        Some((weight, named))
    }
}

// === impl Version ===

impl Version {
    fn named(name: &[u8]) -> Option<Self> {
        match name {
            b"0.0.1" => Some(Self::V0_0_1),
            b"1.0.0" => Some(Self::V1_0_0),
            _ => None,
        }
    }
}

// === impl Escaping ===

impl Escaping {
    fn named(name: &[u8]) -> Option<Self> {
        match &*name.to_ascii_lowercase() {
            b"allow-utf-8" => Some(Self::AllowUtf8),
            // The latter two are not offered. Every scraper that can ask for them reads
            // underscores.
            b"underscores" | b"dots" | b"values" => Some(Self::Underscores),
            _ => None,
        }
    }
}

/// The parameters of a media range that count, without their quotes.
#[derive(Default)]
pub(super) struct Parameters<'a> {
    q: Option<Cow<'a, [u8]>>,
    version: Option<Cow<'a, [u8]>>,
    escaping: Option<Cow<'a, [u8]>>,
    proto: Option<Cow<'a, [u8]>>,
    encoding: Option<Cow<'a, [u8]>>,
}

// === impl Parameters ===

impl<'a> Parameters<'a> {
    pub(super) fn parse(parts: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let mut parameters = Self::default();
        // `;` may follow `;`, or nothing (RFC 9110, section 5.6.6).
        for part in parts
            .map(<[u8]>::trim_ascii)
            .filter(|part| !part.is_empty())
        {
            let equals = part.iter().position(|&byte| byte == b'=')?;
            let name = &part[..equals];
            let value = unquote(&part[equals + 1..])?;
            let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());

            let place = if is("q") {
                &mut parameters.q
            } else if is("version") {
                &mut parameters.version
            } else if is("escaping") {
                &mut parameters.escaping
            } else if is("proto") {
                &mut parameters.proto
            } else if is("encoding") {
                &mut parameters.encoding
            } else if is_token(name) {
                continue;
            } else {
                return None;
            };
            // Nothing says which of two values would count (RFC 6838, section 4.3).
            if place.replace(value).is_some() {
                return None;
            }
        }
        Some(parameters)
    }

    /// The weight in thousandths, which is full if there is none, and nothing if it is malformed.
    pub(super) fn weight(&self) -> Option<u16> {
        self.q.as_deref().map_or(Some(1000), thousandths)
    }

    /// Whether they say which message the page is made of, and that each comes after its length.
    fn are_of_delimited_families(&self) -> bool {
        let is = |value: &Option<Cow<'_, [u8]>>, known: &[u8]| {
            value
                .as_deref()
                .is_some_and(|value| value.eq_ignore_ascii_case(known))
        };
        is(&self.proto, b"io.prometheus.client.MetricFamily") && is(&self.encoding, b"delimited")
    }
}

/// The pieces of `text` between separators outside quoted strings. An unclosed quote reaches to the
/// end.
pub(super) fn split(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let mut escaped = false;
    text.split(move |&byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => return byte == separator && !quoted,
        }
        false
    })
}

/// The value of a parameter, which is a token or a quoted string (RFC 9110, section 5.6).
fn unquote(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    let Some(quoted) = value.strip_prefix(b"\"") else {
        return is_token(value).then_some(Cow::Borrowed(value));
    };
    let mut plain = Vec::with_capacity(quoted.len());
    let mut bytes = quoted.iter().copied();
    loop {
        match bytes.next()? {
            b'"' => break,
            b'\\' => plain.push(bytes.next()?),
            byte => plain.push(byte),
        }
    }
    bytes.next().is_none().then_some(Cow::Owned(plain))
}

fn is_token(text: &[u8]) -> bool {
    let is_token_byte =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(is_token_byte)
}

/// A weight: 0 to 1 with at most three decimals (RFC 9110, section 12.4.2).
fn thousandths(q: &[u8]) -> Option<u16> {
    let (whole, decimals) = match q {
        [whole] => (whole, &[][..]),
        [whole, b'.', decimals @ ..] => (whole, decimals),
        _ => return None,
    };
    if decimals.len() > 3 || !decimals.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = decimals.iter().chain(b"000").take(3);
    let fraction = digits.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    match whole {
        b'0' => Some(fraction),
        b'1' if fraction == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
    const V1: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    const V1_UTF8: &str =
        "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8";
    const V1_UNDERSCORES: &str =
        "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores";
    const V001: &str = "application/openmetrics-text; version=0.0.1; charset=utf-8";
    const V001_UTF8: &str =
        "application/openmetrics-text; version=0.0.1; charset=utf-8; escaping=allow-utf-8";
    const V001_UNDERSCORES: &str =
        "application/openmetrics-text; version=0.0.1; charset=utf-8; escaping=underscores";

    /// What is sent (one header a line, so that `""` sends none and `"\n"` an empty one), and what
    /// is answered.
    const TABLE: &[(&str, &str)] = &[
        // Prometheus 2.42
        (
            "application/openmetrics-text;version=1.0.0,\
             application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            V1,
        ),
        // Prometheus 3.5
        (
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            V1_UTF8,
        ),
        // Prometheus 3.5 with native histograms
        (
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
             encoding=delimited;q=0.6,\
             application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
             application/openmetrics-text;version=0.0.1;q=0.4,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
             text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            V1_UTF8,
        ),
        // VictoriaMetrics
        ("text/plain;version=0.0.4;q=1,*/*;q=0.1", TEXT),
        // A browser
        (
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8",
            TEXT,
        ),
        // Nothing in particular
        ("", TEXT),
        ("\n", TEXT),
        (",, ,", TEXT),
        ("*/*", TEXT),
        ("text/*", TEXT),
        ("text/plain", TEXT),
        ("text/plain;version=1.0.0;escaping=allow-utf-8", TEXT),
        ("text/plain;version=none-of-ours", TEXT),
        ("application/json", TEXT),
        ("application/*", TEXT),
        // The representations
        ("application/openmetrics-text", V1),
        ("application/openmetrics-text;version=1.0.0", V1),
        (
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            V1,
        ),
        ("application/openmetrics-text;version=0.0.1", V001),
        ("application/openmetrics-text;escaping=allow-utf-8", V1_UTF8),
        (
            "application/openmetrics-text;escaping=underscores",
            V1_UNDERSCORES,
        ),
        ("application/openmetrics-text;escaping=dots", V1_UNDERSCORES),
        (
            "application/openmetrics-text;escaping=values",
            V1_UNDERSCORES,
        ),
        ("application/openmetrics-text;escaping=unheard-of", V1),
        (
            "application/openmetrics-text;version=0.0.1;escaping=allow-utf-8",
            V001_UTF8,
        ),
        (
            "application/openmetrics-text;version=0.0.1;escaping=values",
            V001_UNDERSCORES,
        ),
        // A version that is not offered
        ("application/openmetrics-text;version=2.0.0", TEXT),
        ("application/openmetrics-text;version=\"\"", TEXT),
        (
            "application/openmetrics-text;version=2.0.0,\
             application/openmetrics-text;version=0.0.1;q=0.1",
            V001,
        ),
        // Types that are not offered
        (
            "application/json,application/openmetrics-text;q=0.2,text/plain;q=0.1",
            V1,
        ),
        (
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
             encoding=delimited,\
             text/plain;q=0.2,application/openmetrics-text;q=0.1",
            TEXT,
        ),
        // Weights
        ("text/plain;q=0.5,application/openmetrics-text;q=0.6", V1),
        ("text/plain;q=0.6,application/openmetrics-text;q=0.5", TEXT),
        ("*/*;q=0.6,application/openmetrics-text;q=0.5", TEXT),
        ("text/*;q=0.6,application/openmetrics-text;q=0.5", TEXT),
        (
            "text/plain;q=0.999,application/openmetrics-text;q=1.000",
            V1,
        ),
        ("text/plain;q=0.09,application/openmetrics-text;q=0.1", V1),
        ("text/plain;q=0.,application/openmetrics-text;q=0.001", V1),
        ("application/openmetrics-text;q=0.9,text/plain", TEXT),
        (
            "application/openmetrics-text;q=0.5;version=0.0.1,text/plain;q=0.4",
            V001,
        ),
        (
            "text/plain;version=0.0.4;q=0.1;more=1,application/openmetrics-text;q=0.2",
            V1,
        ),
        // Equal weights: the order they are sent in
        ("application/openmetrics-text,text/plain", V1),
        ("text/plain,application/openmetrics-text", TEXT),
        ("*/*,application/openmetrics-text", TEXT),
        ("application/openmetrics-text;q=1.0,*/*;q=1", V1),
        (
            "application/openmetrics-text;version=0.0.1,application/openmetrics-text;version=1.0.0",
            V001,
        ),
        // Weight 0
        ("application/openmetrics-text;q=0", TEXT),
        (
            "application/openmetrics-text;q=0.000,text/plain;q=0.0,*/*;q=0",
            TEXT,
        ),
        ("text/plain;q=0,application/openmetrics-text;q=0.001", V1),
        // Any case
        (
            "Application/OpenMetrics-TEXT;VERSION=0.0.1;Q=0.5,text/plain;q=0.4",
            V001,
        ),
        ("APPLICATION/OPENMETRICS-TEXT;Escaping=Allow-UTF-8", V1_UTF8),
        ("TEXT/PLAIN,application/openmetrics-text", TEXT),
        // Spaces, and semicolons with nothing between
        (
            " \ttext/plain ;\tq=0.1 , application/openmetrics-text ; version=0.0.1 ",
            V001,
        ),
        ("application/openmetrics-text;;version=0.0.1; ;", V001),
        // Quoted
        (
            r#"application/openmetrics-text;version="0.0.1";q="0.5",text/plain;q="0.4""#,
            V001,
        ),
        (r#"application/openmetrics-text;version="\0.\0.\1""#, V001),
        (
            r#"text/html;a="b,c;q=0",application/openmetrics-text;a=",;\"\\";q=0.5,*/*;q=0.1"#,
            V1,
        ),
        (
            r#"text/html;a=",application/openmetrics-text,",text/plain;q=0.1"#,
            TEXT,
        ),
        // Repeated headers
        ("text/plain;q=0.5\napplication/openmetrics-text", V1),
        ("application/openmetrics-text\ntext/plain", V1),
        ("text/plain\napplication/openmetrics-text", TEXT),
        (
            "\ntext/plain;q=0.1,*/*;q=0.2\napplication/openmetrics-text;q=0.3",
            V1,
        ),
        // Malformed: passed over, and what follows counts
        ("text/plain;q=,application/openmetrics-text;q=0.1", V1),
        ("text/plain;q,application/openmetrics-text;q=0.1", V1),
        ("text/plain;=1,application/openmetrics-text;q=0.1", V1),
        ("text/plain;a b=1,application/openmetrics-text;q=0.1", V1),
        ("text/plain;a=b c,application/openmetrics-text;q=0.1", V1),
        ("text/plain;a=\"b\"c,application/openmetrics-text;q=0.1", V1),
        (
            "text/plain;version = 0.0.4,application/openmetrics-text;q=0.1",
            V1,
        ),
        ("text/plain;q=high,application/openmetrics-text;q=0.1", V1),
        ("text/plain;q=-1,application/openmetrics-text;q=0.1", V1),
        ("text/plain;q=.9,application/openmetrics-text;q=0.1", V1),
        ("text/plain;q=0.9999,application/openmetrics-text;q=0.1", V1),
        ("text/plain;q=1.001,application/openmetrics-text;q=0.1", V1),
        ("text/plain;q=2,application/openmetrics-text;q=0.1", V1),
        ("text/plain;q=NaN,application/openmetrics-text;q=0.1", V1),
        ("text/plain;q=1e0,application/openmetrics-text;q=0.1", V1),
        (
            "text/plain;q=0.9;q=0.9,application/openmetrics-text;q=0.1",
            V1,
        ),
        (
            "application/openmetrics-text;version=1.0.0;version=0.0.1,*/*",
            TEXT,
        ),
        (
            "text,*,/,*/plain,text/,text/plain/x,te xt/plain,application/openmetrics-text;q=0.1",
            V1,
        ),
        ("\"text/plain\",application/openmetrics-text;q=0.1", V1),
        (
            "application/openmetrics-text;version=\"1.0.0,text/plain",
            TEXT,
        ),
        (
            "text/plain;a=\"unclosed\napplication/openmetrics-text;q=0.1",
            V1,
        ),
        (
            "text/plain;a=\"unclosed\\\napplication/openmetrics-text;q=0.1",
            V1,
        ),
        // Beyond ASCII
        ("text/plain;a=é,application/openmetrics-text;q=0.1", V1),
        ("téxt/plain,application/openmetrics-text;q=0.1", V1),
        ("application/openmetrics-text;a=\"é\",text/plain;q=0.1", V1),
    ];

    /// Where protobuf is not offered.
    fn negotiate(values: impl IntoIterator<Item = impl AsRef<[u8]>>) -> &'static str {
        Representation::negotiate(&accept(values), None).content_type()
    }

    fn accept(values: impl IntoIterator<Item = impl AsRef<[u8]>>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            let value = HeaderValue::from_bytes(value.as_ref()).expect("a header value");
            headers.append(ACCEPT, value);
        }
        headers
    }

    #[test]
    fn every_row_of_the_table() {
        for (accept, expected) in TABLE {
            assert_eq!(negotiate(accept.lines()), *expected, "Accept: {accept}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_spoil_their_own_range_alone() {
        let accept = b"\xff\xfe,text/plain;q=\xff,application/openmetrics-text;q=0.1";
        assert_eq!(negotiate([accept]), V1);
    }

    #[test]
    fn no_text_is_refused() {
        // Every text of up to six bytes of those that mean something, in a place where parameters
        // stand.
        let alphabet = b"\",;=\\q0. ";
        for length in 0..=6 {
            for number in 0..alphabet.len().pow(length) {
                let noise = (0..length)
                    .map(|place| alphabet[number / alphabet.len().pow(place) % alphabet.len()]);
                let accept: Vec<u8> = b"text/plain;".iter().copied().chain(noise).collect();
                assert_eq!(negotiate([accept]), TEXT);
            }
        }
    }

    #[test]
    fn hostile_headers_cost_no_more_than_their_length() {
        // Anything quadratic would take minutes over these.
        let pieces = [
            ",",
            ";",
            "\"",
            "\\",
            "\"\\",
            ";q=1",
            "*/*,",
            "\",",
            "a;\"",
            ";a=\"\\\"\"",
            "*/*;a=\"\",",
        ];
        for piece in pieces {
            assert_eq!(negotiate([piece.repeat(1 << 18)]), TEXT, "{piece}");
        }
    }
}

/// Where protobuf is offered.
#[cfg(all(test, feature = "protobuf"))]
mod protobuf_tests {
    use super::*;
    use http::HeaderValue;

    const PROTOBUF: &str = "application/vnd.google.protobuf; \
        proto=io.prometheus.client.MetricFamily; encoding=delimited";

    /// What is sent, one header a line, and how what is answered begins and ends.
    const TABLE: &[(&str, &str, &str)] = &[
        // Prometheus 2.42 with native histograms
        (
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
             encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,\
             application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            PROTOBUF,
            "",
        ),
        // Prometheus 3.5 with native histograms
        (
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
             encoding=delimited;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
             application/openmetrics-text;version=0.0.1;q=0.4,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
             text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            PROTOBUF,
            "; escaping=allow-utf-8",
        ),
        (
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
             encoding=delimited;escaping=dots",
            PROTOBUF,
            "; escaping=underscores",
        ),
        (
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
             encoding=delimited;escaping=unheard-of",
            PROTOBUF,
            "",
        ),
        // Any case, any order, quoted
        (
            "Application/VND.Google.Protobuf; ENCODING=\"Delimited\"; \
             Proto=\"io.prometheus.client.metricfamily\"; version=1; q=0.1",
            PROTOBUF,
            "",
        ),
        // Not named as it is offered
        ("application/vnd.google.protobuf", TEXT, ""),
        (
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily",
            TEXT,
            "",
        ),
        (
            "application/vnd.google.protobuf;encoding=delimited",
            TEXT,
            "",
        ),
        (
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text",
            TEXT,
            "",
        ),
        (
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
             encoding=compact-text,application/openmetrics-text;q=0.1",
            OPEN_METRICS,
            "",
        ),
        (
            "application/vnd.google.protobuf;proto=other.Message;encoding=delimited",
            TEXT,
            "",
        ),
        (
            "application/x-protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
            TEXT,
            "",
        ),
        // Never for a wildcard
        ("*/*", TEXT, ""),
        ("application/*", TEXT, ""),
        (
            "*/*;proto=io.prometheus.client.MetricFamily;encoding=delimited",
            TEXT,
            "",
        ),
        // Weights
        (
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
             encoding=delimited;q=0.1,text/plain;q=0.2",
            TEXT,
            "",
        ),
        (
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
             encoding=delimited;q=0.3,text/plain;q=0.2\napplication/openmetrics-text;q=0.3",
            PROTOBUF,
            "",
        ),
        (
            "application/openmetrics-text\napplication/vnd.google.protobuf;\
             proto=io.prometheus.client.MetricFamily;encoding=delimited",
            OPEN_METRICS,
            "",
        ),
        (
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
             encoding=delimited;q=0",
            TEXT,
            "",
        ),
        // Malformed
        (
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
             proto=io.prometheus.client.MetricFamily;encoding=delimited",
            TEXT,
            "",
        ),
        (
            "application/vnd.google.protobuf;proto=\"io.prometheus.client.MetricFamily;\
             encoding=delimited",
            TEXT,
            "",
        ),
    ];

    const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    #[test]
    fn every_row_of_the_table() {
        for (accept, expected, escaping) in TABLE {
            let mut headers = HeaderMap::new();
            for line in accept.lines() {
                headers.append(ACCEPT, HeaderValue::from_static(line));
            }
            let negotiated = Representation::negotiate(&headers, Protobuf::OFFERED);
            let content_type = negotiated.content_type();
            assert_eq!(content_type, format!("{expected}{escaping}"), "{accept}");
        }
    }
}
