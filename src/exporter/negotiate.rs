use super::elements::Element;
use crate::escaping::Escaping;
use crate::exposition::{Encoding, Format, Protobuf, TextEncoding};
use http::HeaderMap;
use http::header::ACCEPT;
use std::borrow::Cow;
use std::cmp::Reverse;

/// A representation of the page that `Accept` can name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Representation {
    media_type: MediaType,
    /// The escaping that is named, if any is.
    escaping: Option<Escaping>,
}

/// The page is the same for both versions of OpenMetrics.
#[derive(Clone, Copy, Debug)]
enum MediaType {
    OpenMetrics0_0_1,
    OpenMetrics1_0_0,
    PlainText,
    Protobuf(Protobuf),
}

/// A media range that matches an offered representation.
#[derive(Clone, Copy, Debug)]
enum MediaRange {
    /// OpenMetrics or protobuf, which no wildcard selects.
    Named,
    PlainText,
    AnyText,
    Anything,
}

// === impl Representation ===

impl Representation {
    const PLAIN_TEXT: Self = Self {
        media_type: MediaType::PlainText,
        escaping: None,
    };

    /// Returns the representation that `Accept` prefers, or 0.0.4 text if it names none. `protobuf`
    /// is `Some` if protobuf is offered.
    pub(super) fn negotiate(headers: &HeaderMap, protobuf: Option<Protobuf>) -> Self {
        // The highest weight for each kind of range. The first one wins a tie.
        let mut preferences = [None; 4];
        for (position, element) in Element::all(headers, ACCEPT).enumerate() {
            if let Some((range, representation)) = Self::matching(&element, protobuf) {
                let preference = (element.weight, Reverse(position));
                let slot = &mut preferences[range as usize];
                if slot.is_none_or(|(there, _)| preference > there) {
                    *slot = Some((preference, representation));
                }
            }
        }
        let [named, plain_text, any_text, anything] = preferences;
        // The most specific range sets the weight of the text format (RFC 9110, section 12.5.1):
        // `text/plain;q=0, */*` refuses it.
        let text = plain_text.or(any_text).or(anything);
        let accepted = named.into_iter().chain(text);
        let accepted = accepted.filter(|((weight, _), _)| *weight > 0);
        accepted
            .max_by_key(|(preference, _)| *preference)
            .map_or(Self::PLAIN_TEXT, |(_, representation)| representation)
    }

    /// Returns the offered representation that an element matches.
    fn matching(element: &Element<'_>, protobuf: Option<Protobuf>) -> Option<(MediaRange, Self)> {
        let escaping = element.parameter("escaping").and_then(Escaping::from_name);
        let of_type = |media_type| Self {
            media_type,
            escaping,
        };
        Some(match &*element.name {
            b"application/openmetrics-text" => match element.parameter("version") {
                Some(b"0.0.1") => (MediaRange::Named, of_type(MediaType::OpenMetrics0_0_1)),
                Some(b"1.0.0") | None => (MediaRange::Named, of_type(MediaType::OpenMetrics1_0_0)),
                Some(_) => return None,
            },
            b"application/vnd.google.protobuf" if names_delimited_families(element) => {
                (MediaRange::Named, of_type(MediaType::Protobuf(protobuf?)))
            }
            b"text/plain" => (MediaRange::PlainText, of_type(MediaType::PlainText)),
            b"text/*" => (MediaRange::AnyText, Self::PLAIN_TEXT),
            b"*/*" => (MediaRange::Anything, Self::PLAIN_TEXT),
            _ => return None,
        })
    }

    /// `created` tells whether text shows created timestamps.
    pub(super) fn encoding(self, created: bool) -> Encoding {
        let escaping = self.escaping.unwrap_or(Escaping::Underscores);
        let format = match self.media_type {
            MediaType::OpenMetrics0_0_1 | MediaType::OpenMetrics1_0_0 => Format::OpenMetrics,
            MediaType::PlainText => Format::Prometheus,
            MediaType::Protobuf(protobuf) => return Encoding::Protobuf(protobuf, escaping),
        };
        Encoding::Text(TextEncoding {
            format,
            escaping,
            created,
        })
    }

    pub(super) fn content_type(self) -> Cow<'static, str> {
        let media_type = match self.media_type {
            MediaType::OpenMetrics0_0_1 => {
                "application/openmetrics-text; version=0.0.1; charset=utf-8"
            }
            MediaType::OpenMetrics1_0_0 => Format::OpenMetrics.content_type(),
            MediaType::PlainText => Format::Prometheus.content_type(),
            MediaType::Protobuf(_) => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        };
        match self.escaping {
            None => media_type.into(),
            Some(escaping) => format!("{media_type}; escaping={}", escaping.as_str()).into(),
        }
    }
}

/// Returns whether the parameters name Prometheus' protobuf message and its encoding.
fn names_delimited_families(element: &Element<'_>) -> bool {
    let is = |name, known: &[u8]| {
        let value = element.parameter(name);
        value.is_some_and(|value| value.eq_ignore_ascii_case(known))
    };
    is("proto", b"io.prometheus.client.MetricFamily") && is("encoding", b"delimited")
}

// `tests/answers` has the table of real headers.
#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

    fn negotiate(accept: impl AsRef<[u8]>) -> Cow<'static, str> {
        let value = HeaderValue::from_bytes(accept.as_ref()).expect("a header value");
        let headers = HeaderMap::from_iter([(ACCEPT, value)]);
        Representation::negotiate(&headers, None).content_type()
    }

    #[test]
    fn every_header_is_accepted() {
        // Every text of up to six bytes that have a meaning, in place of parameters.
        let alphabet = b"\",;=\\q0. ";
        for length in 0..=6 {
            for number in 0..alphabet.len().pow(length) {
                let noise = (0..length)
                    .map(|digit| alphabet[number / alphabet.len().pow(digit) % alphabet.len()]);
                let accept: Vec<u8> = b"text/plain;".iter().copied().chain(noise).collect();
                assert_eq!(negotiate(accept), TEXT);
            }
        }
    }

    #[test]
    fn hostile_headers_cost_no_more_than_their_length() {
        // A quadratic parser would take minutes.
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

#[cfg(all(test, feature = "protobuf"))]
mod protobuf_tests {
    use super::*;
    use http::HeaderValue;

    const PROTOBUF: &str = "application/vnd.google.protobuf; \
        proto=io.prometheus.client.MetricFamily; encoding=delimited";

    /// `Accept` headers, one per line; the content type that is expected; the escaping at its end.
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
            "; escaping=dots",
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
        // Parameters that are missing or wrong
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
        // No wildcard selects it
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
