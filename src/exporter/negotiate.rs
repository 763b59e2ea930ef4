use super::parameters::{Parameters, split};
use crate::escaping::Escaping;
use crate::exposition::{Encoding, Format, Protobuf, TextEncoding};
use http::HeaderMap;
use http::header::ACCEPT;
use std::borrow::Cow;
use std::cmp::Reverse;

/// A representation of the page that `Accept` can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Representation {
    OpenMetrics(OpenMetricsVersion, Option<Escaping>),
    Prometheus(Option<Escaping>),
    Protobuf(Protobuf, Option<Escaping>),
}

/// The versions of OpenMetrics that a scraper may name. The page is the same for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OpenMetricsVersion {
    V0_0_1,
    V1_0_0,
}

// === impl Representation ===

impl Representation {
    /// Returns the representation that `Accept` prefers, or 0.0.4 text if it names none. `protobuf`
    /// is `Some` if protobuf is offered.
    ///
    /// Takes time linear in the length of the headers and accepts any header.
    pub(super) fn negotiate(headers: &HeaderMap, protobuf: Option<Protobuf>) -> Self {
        let mut preferences = Preferences::default();
        let parse = |range| MediaRange::parse(range, protobuf);
        for value in headers.get_all(ACCEPT) {
            for (weight, range) in split(value.as_bytes(), b',').filter_map(parse) {
                preferences.add(weight, range);
            }
        }
        preferences.preferred().unwrap_or(Self::Prometheus(None))
    }

    /// `created` tells whether text shows created timestamps.
    pub(super) fn encoding(self, created: bool) -> Encoding {
        let (format, escaping) = match self {
            Self::OpenMetrics(_, escaping) => (Format::OpenMetrics, escaping),
            Self::Prometheus(escaping) => (Format::Prometheus, escaping),
            Self::Protobuf(protobuf, escaping) => {
                return Encoding::Protobuf(protobuf, escaping.unwrap_or(Escaping::Underscores));
            }
        };
        Encoding::Text(TextEncoding {
            format,
            escaping: escaping.unwrap_or(Escaping::Underscores),
            created,
        })
    }

    pub(super) fn content_type(self) -> Cow<'static, str> {
        let (media_type, escaping) = match self {
            Self::OpenMetrics(OpenMetricsVersion::V1_0_0, escaping) => {
                (Format::OpenMetrics.content_type(), escaping)
            }
            Self::OpenMetrics(OpenMetricsVersion::V0_0_1, escaping) => (
                "application/openmetrics-text; version=0.0.1; charset=utf-8",
                escaping,
            ),
            Self::Prometheus(escaping) => (Format::Prometheus.content_type(), escaping),
            Self::Protobuf(_, escaping) => (
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
                escaping,
            ),
        };
        match escaping {
            None => media_type.into(),
            Some(escaping) => format!("{media_type}; escaping={}", escaping.as_str()).into(),
        }
    }
}

// === impl OpenMetricsVersion ===

impl OpenMetricsVersion {
    fn from_name(name: &[u8]) -> Option<Self> {
        match name {
            b"0.0.1" => Some(Self::V0_0_1),
            b"1.0.0" => Some(Self::V1_0_0),
            _ => None,
        }
    }
}

/// A media range that matches an offered representation, from the most to the least specific.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MediaRange {
    Exactly(Representation),
    AnyText,
    Any,
}

// === impl MediaRange ===

impl MediaRange {
    /// Returns the weight of a range, in thousandths, and what it matches. Returns `None` if it is
    /// malformed or names what is not offered.
    fn parse(range: &[u8], protobuf: Option<Protobuf>) -> Option<(u16, Self)> {
        let mut parts = split(range, b';');
        let media_type = parts.next()?.trim_ascii();
        let is = |name: &str| media_type.eq_ignore_ascii_case(name.as_bytes());

        let parameters = Parameters::parse(parts)?;
        let weight = parameters.weight()?;
        let range = if is("application/openmetrics-text") {
            Self::Exactly(open_metrics(&parameters)?)
        } else if is("application/vnd.google.protobuf") && parameters.name_delimited_families() {
            Self::Exactly(Representation::Protobuf(protobuf?, escaping(&parameters)))
        } else if is("text/plain") {
            Self::Exactly(Representation::Prometheus(escaping(&parameters)))
        } else if is("text/*") {
            Self::AnyText
        } else if is("*/*") {
            Self::Any
        } else {
            return None;
        };
        Some((weight, range))
    }
}

fn open_metrics(parameters: &Parameters<'_>) -> Option<Representation> {
    let version = parameters.version.as_deref();
    Some(Representation::OpenMetrics(
        version.map_or(
            Some(OpenMetricsVersion::V1_0_0),
            OpenMetricsVersion::from_name,
        )?,
        escaping(parameters),
    ))
}

fn escaping(parameters: &Parameters<'_>) -> Option<Escaping> {
    parameters.escaping.as_deref().and_then(Escaping::from_name)
}

/// The range of the highest weight for each kind of range; the first one wins a tie.
#[derive(Default)]
struct Preferences {
    /// How many ranges were added.
    count: usize,
    /// OpenMetrics and protobuf, which no wildcard selects.
    named: Option<Preference>,
    plain_text: Option<Preference>,
    any_text: Option<Preference>,
    anything: Option<Preference>,
}

#[derive(Clone, Copy)]
struct Preference {
    weight: u16,
    position: usize,
    representation: Representation,
}

// === impl Preferences ===

impl Preferences {
    fn add(&mut self, weight: u16, range: MediaRange) {
        let (slot, representation) = match range {
            MediaRange::Exactly(text @ Representation::Prometheus(_)) => {
                (&mut self.plain_text, text)
            }
            MediaRange::Exactly(named) => (&mut self.named, named),
            MediaRange::AnyText => (&mut self.any_text, Representation::Prometheus(None)),
            MediaRange::Any => (&mut self.anything, Representation::Prometheus(None)),
        };
        let position = self.count;
        self.count += 1;
        if slot.is_none_or(|there| weight > there.weight) {
            *slot = Some(Preference {
                weight,
                position,
                representation,
            });
        }
    }

    /// Returns the representation of the highest weight, or `None` if all weights are 0.
    fn preferred(self) -> Option<Representation> {
        // The most specific range sets the weight of the text format (RFC 9110, section 12.5.1):
        // `text/plain;q=0, */*` refuses it.
        let text = self.plain_text.or(self.any_text).or(self.anything);
        [self.named, text]
            .into_iter()
            .flatten()
            .filter(|preference| preference.weight > 0)
            .min_by_key(|preference| (Reverse(preference.weight), preference.position))
            .map(|preference| preference.representation)
    }
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
