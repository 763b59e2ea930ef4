//! The grammar of `Accept` and `Accept-Encoding` (RFC 9110, sections 5.6 and 12.4).

use http::header::{AsHeaderName, HeaderMap};
use std::borrow::Cow;
use std::collections::HashMap;

/// An element of the list in a header.
pub(super) struct Element<'a> {
    /// What is accepted, in lower case.
    pub(super) name: Vec<u8>,
    /// In thousandths.
    pub(super) weight: u16,
    /// By their names in lower case, unquoted.
    parameters: HashMap<Vec<u8>, Cow<'a, [u8]>>,
}

// === impl Element ===

impl<'a> Element<'a> {
    /// Returns the elements of a header that may be repeated. Leaves out those that are malformed.
    ///
    /// Takes time linear in the length of the headers and accepts any header.
    pub(super) fn all(
        headers: &'a HeaderMap,
        header: impl AsHeaderName,
    ) -> impl Iterator<Item = Self> {
        let values = headers.get_all(header).into_iter();
        let elements = values.flat_map(|value| split(value.as_bytes(), b','));
        elements.filter_map(Self::parse)
    }

    fn parse(element: &'a [u8]) -> Option<Self> {
        let mut parts = split(element, b';').map(<[u8]>::trim_ascii);
        let name = parts.next()?.to_ascii_lowercase();
        let mut parameters = HashMap::new();
        // A parameter may be empty: `;;`, or `;` at the end (RFC 9110, section 5.6.6).
        for part in parts.filter(|part| !part.is_empty()) {
            let equals = part.iter().position(|&byte| byte == b'=')?;
            let name = &part[..equals];
            let value = unquote(&part[equals + 1..])?;
            // A parameter must not be repeated (RFC 6838, section 4.3).
            let repeated = parameters.insert(name.to_ascii_lowercase(), value);
            if repeated.is_some() || !is_token(name) {
                return None;
            }
        }
        let weight = match parameters.get(b"q".as_slice()) {
            Some(q) => thousandths(q)?,
            None => 1000,
        };
        Some(Self {
            name,
            weight,
            parameters,
        })
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&[u8]> {
        self.parameters.get(name.as_bytes()).map(|value| &**value)
    }
}

/// Splits `text` at separators outside quoted strings. An unclosed quote extends to the end.
fn split(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
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
