use super::parameters::{Parameters, split};
use crate::exposition::Format;
use http::HeaderMap;
use http::header::ACCEPT;
use std::cmp::Reverse;

/// One of the ways to write the page down, as an `Accept` header can name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Representation {
    OpenMetrics(Version, Option<Escaping>),
    Prometheus,
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
    /// The one that `Accept` prefers, which is 0.0.4 text if it names none.
    ///
    /// Linear in the length of the headers, and total: there are no headers that it refuses.
    pub(super) fn negotiate(headers: &HeaderMap) -> Self {
        let mut wishes = Wishes::default();
        for value in headers.get_all(ACCEPT) {
            for (weight, range) in split(value.as_bytes(), b',').filter_map(Range::parse) {
                wishes.add(weight, range);
            }
        }
        wishes.first().unwrap_or(Self::Prometheus)
    }

    pub(super) fn format(self) -> Format {
        match self {
            Self::OpenMetrics(..) => Format::OpenMetrics,
            Self::Prometheus => Format::Prometheus,
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
    fn parse(range: &[u8]) -> Option<(u16, Self)> {
        let mut parts = split(range, b';');
        let media_type = parts.next()?.trim_ascii();
        let is = |name: &str| media_type.eq_ignore_ascii_case(name.as_bytes());

        let parameters = Parameters::parse(parts)?;
        let weight = parameters.weight()?;
        let range = if is("application/openmetrics-text") {
            Self::Exactly(open_metrics(&parameters)?)
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
    let escaping = parameters.escaping.as_deref();
    Some(Representation::OpenMetrics(
        version.map_or(Some(Version::V1_0_0), Version::named)?,
        escaping.and_then(Escaping::named),
    ))
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
        Representation::negotiate(&headers).content_type()
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
