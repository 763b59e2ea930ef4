//! The grammar of `Accept` and `Accept-Encoding` (RFC 9110, sections 5.6 and 12.4).

use std::borrow::Cow;

/// The known parameters of a list element, unquoted.
#[derive(Default)]
pub(super) struct Parameters<'a> {
    q: Option<Cow<'a, [u8]>>,
    pub(super) version: Option<Cow<'a, [u8]>>,
    pub(super) escaping: Option<Cow<'a, [u8]>>,
    proto: Option<Cow<'a, [u8]>>,
    encoding: Option<Cow<'a, [u8]>>,
}

// === impl Parameters ===

impl<'a> Parameters<'a> {
    pub(super) fn parse(parts: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let mut parameters = Self::default();
        // A parameter may be empty: `;;`, or `;` at the end (RFC 9110, section 5.6.6).
        for part in parts
            .map(<[u8]>::trim_ascii)
            .filter(|part| !part.is_empty())
        {
            let equals = part.iter().position(|&byte| byte == b'=')?;
            let name = &part[..equals];
            let value = unquote(&part[equals + 1..])?;
            let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());

            let slot = if is("q") {
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
            // A parameter must not be repeated (RFC 6838, section 4.3).
            if slot.replace(value).is_some() {
                return None;
            }
        }
        Some(parameters)
    }

    /// Returns the weight in thousandths. It is 1000 if there is none, and `None` if it is malformed.
    pub(super) fn weight(&self) -> Option<u16> {
        self.q.as_deref().map_or(Some(1000), thousandths)
    }

    /// Returns whether the parameters name Prometheus' protobuf message and its encoding.
    pub(super) fn name_delimited_families(&self) -> bool {
        let is = |value: &Option<Cow<'_, [u8]>>, known: &[u8]| {
            let value = value.as_deref();
            value.is_some_and(|value| value.eq_ignore_ascii_case(known))
        };
        is(&self.proto, b"io.prometheus.client.MetricFamily") && is(&self.encoding, b"delimited")
    }
}

/// Splits `text` at separators outside quoted strings. An unclosed quote extends to the end.
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

/// Returns the value of a parameter that is a token or a quoted string (RFC 9110, section 5.6).
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

/// Parses a weight: 0 to 1 with at most three decimals (RFC 9110, section 12.4.2).
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

    #[test]
    fn weights_are_thousandths() {
        for (q, expected) in [
            ("0", Some(0)),
            ("0.", Some(0)),
            ("0.000", Some(0)),
            ("0.001", Some(1)),
            ("0.1", Some(100)),
            ("0.09", Some(90)),
            ("0.999", Some(999)),
            ("1", Some(1000)),
            ("1.", Some(1000)),
            ("1.000", Some(1000)),
            ("", None),
            (".9", None),
            ("00", None),
            ("-1", None),
            ("+1", None),
            ("1.001", None),
            ("2", None),
            ("0.9999", None),
            ("0.1 ", None),
            ("0,1", None),
            ("1e0", None),
            ("NaN", None),
        ] {
            assert_eq!(thousandths(q.as_bytes()), expected, "{q:?}");
        }
    }

    #[test]
    fn separators_in_quotes_do_not_split() {
        for (text, pieces) in [
            ("", &[""][..]),
            (",", &["", ""]),
            ("a,b", &["a", "b"]),
            (r#"a=",",b"#, &[r#"a=",""#, "b"]),
            (r#"a="\",",b"#, &[r#"a="\",""#, "b"]),
            (r#"a="\\",b"#, &[r#"a="\\""#, "b"]),
            (r#"a\",b"#, &[r#"a\",b"#]),
            (r#"a=",b"#, &[r#"a=",b"#]),
        ] {
            let split: Vec<&[u8]> = split(text.as_bytes(), b',').collect();
            let expected: Vec<&[u8]> = pieces.iter().map(|piece| piece.as_bytes()).collect();
            assert_eq!(split, expected, "{text}");
        }
    }
}
