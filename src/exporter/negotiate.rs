use super::parameters::{Parameters, split};
use crate::exposition::{Encoding, Format, Protobuf};
use http::HeaderMap;
use http::header::ACCEPT;
use std::cmp::Reverse;

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
        let mut wishes = Wishes::default();
        let parse = |range| Range::parse(range, protobuf);
        for value in headers.get_all(ACCEPT) {
            for (weight, range) in split(value.as_bytes(), b',').filter_map(parse) {
                wishes.add(weight, range);
            }
        }
        wishes.first().unwrap_or(Self::Prometheus)
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
            Self::OpenMetrics(V1_0_0, None) => Format::OpenMetrics.content_type(),
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
            Self::Prometheus => Format::Prometheus.content_type(),
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

/// What a media range stands for, from the most specific to the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Range {
    Exactly(Representation),
    AnyText,
    Anything,
}

// === impl Range ===

impl Range {
    /// What a range stands for and how much it weighs, in thousandths; nothing if it is malformed or
    /// names what is not offered.
    fn parse(range: &[u8], protobuf: Option<Protobuf>) -> Option<(u16, Self)> {
        let mut parts = split(range, b';');
        let media_type = parts.next()?.trim_ascii();
        let is = |name: &str| media_type.eq_ignore_ascii_case(name.as_bytes());

        let parameters = Parameters::parse(parts)?;
        let weight = parameters.weight()?;
        let range = if is("application/openmetrics-text") {
            Self::Exactly(open_metrics(&parameters)?)
        } else if is("application/vnd.google.protobuf") && parameters.are_of_delimited_families() {
            Self::Exactly(Representation::Protobuf(protobuf?, escaping(&parameters)))
        } else if is("text/plain") {
            Self::Exactly(Representation::Prometheus)
        } else if is("text/*") {
            Self::AnyText
        } else if is("*/*") {
            Self::Anything
        } else {
            return None;
        };
        Some((weight, range))
    }
}

fn open_metrics(parameters: &Parameters<'_>) -> Option<Representation> {
    let version = parameters.version.as_deref();
    Some(Representation::OpenMetrics(
        version.map_or(Some(Version::V1_0_0), Version::named)?,
        escaping(parameters),
    ))
}

fn escaping(parameters: &Parameters<'_>) -> Option<Escaping> {
    parameters.escaping.as_deref().and_then(Escaping::named)
}

/// The heaviest of the ranges that stand for the same, and of equals the first.
#[derive(Default)]
struct Wishes {
    /// How many there were.
    heard: usize,
    /// For what is only shown to those who name it.
    named: Option<Wish>,
    plain_text: Option<Wish>,
    any_text: Option<Wish>,
    anything: Option<Wish>,
}

#[derive(Clone, Copy)]
struct Wish {
    weight: u16,
    position: usize,
    representation: Representation,
}

// === impl Wishes ===

impl Wishes {
    fn add(&mut self, weight: u16, range: Range) {
        let (place, representation) = match range {
            Range::Exactly(Representation::Prometheus) => {
                (&mut self.plain_text, Representation::Prometheus)
            }
            Range::Exactly(named) => (&mut self.named, named),
            Range::AnyText => (&mut self.any_text, Representation::Prometheus),
            Range::Anything => (&mut self.anything, Representation::Prometheus),
        };
        let position = self.heard;
        self.heard += 1;
        if place.is_none_or(|there| weight > there.weight) {
            *place = Some(Wish {
                weight,
                position,
                representation,
            });
        }
    }

    /// The heaviest of all, unless all weigh nothing.
    fn first(self) -> Option<Representation> {
        // The most specific range says what the text weighs, whatever the others do (RFC 9110,
        // section 12.5.1): `text/plain;q=0, */*` has no use for it.
        let text = self.plain_text.or(self.any_text).or(self.anything);
        [self.named, text]
            .into_iter()
            .flatten()
            .filter(|wish| wish.weight > 0)
            .min_by_key(|wish| (Reverse(wish.weight), wish.position))
            .map(|wish| wish.representation)
    }
}

/// What is answered to whom stands in `tests/answers`.
#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

    // What is answered to whom stands in `tests/answers`, where it is asked for.

    fn negotiate(accept: impl AsRef<[u8]>) -> &'static str {
        let value = HeaderValue::from_bytes(accept.as_ref()).expect("a header value");
        let headers = HeaderMap::from_iter([(ACCEPT, value)]);
        Representation::negotiate(&headers, None).content_type()
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
                assert_eq!(negotiate(accept), TEXT);
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
            assert_eq!(negotiate(piece.repeat(1 << 18)), TEXT, "{piece}");
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
