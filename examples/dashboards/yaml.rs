//! As much of YAML as rules need.

use std::fmt;

/// A value, with keys in the order in which people read them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Yaml {
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Yaml>),
    Map(Vec<(String, Yaml)>),
}

pub(crate) fn list(items: impl IntoIterator<Item = Yaml>) -> Yaml {
    Yaml::List(items.into_iter().collect())
}

pub(crate) fn map<K: Into<String>>(entries: impl IntoIterator<Item = (K, Yaml)>) -> Yaml {
    let entries = entries.into_iter();
    Yaml::Map(entries.map(|(key, value)| (key.into(), value)).collect())
}

// === impl Yaml ===

impl Yaml {
    /// Writes the value after its key or dash.
    fn write(&self, out: &mut fmt::Formatter<'_>, indent: usize) -> fmt::Result {
        let margin = " ".repeat(indent);
        match self {
            Self::Bool(value) => writeln!(out, " {value}"),
            Self::Number(value) => writeln!(out, " {value}"),
            Self::Text(text) if text.contains('\n') => {
                writeln!(out, " |-")?;
                text.lines()
                    .try_for_each(|line| writeln!(out, "{margin}{line}"))
            }
            Self::Text(text) => writeln!(out, " {}", quoted(text)),
            Self::List(items) if items.is_empty() => writeln!(out, " []"),
            Self::Map(entries) if entries.is_empty() => writeln!(out, " {{}}"),
            Self::List(items) => {
                writeln!(out)?;
                items.iter().try_for_each(|item| {
                    write!(out, "{margin}-")?;
                    item.write_item(out, indent + 2)
                })
            }
            Self::Map(entries) => {
                writeln!(out)?;
                write_entries(out, entries, indent, &margin)
            }
        }
    }

    /// Writes the value after a dash, where a map begins on the same line.
    fn write_item(&self, out: &mut fmt::Formatter<'_>, indent: usize) -> fmt::Result {
        match self {
            Self::Map(entries) if !entries.is_empty() => write_entries(out, entries, indent, " "),
            other => other.write(out, indent),
        }
    }
}

impl fmt::Display for Yaml {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Map(entries) => write_entries(out, entries, 0, ""),
            other => other.write(out, 0),
        }
    }
}

impl From<bool> for Yaml {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<f64> for Yaml {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<&str> for Yaml {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Yaml {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// Writes entries, the first of them after `first`.
fn write_entries(
    out: &mut fmt::Formatter<'_>,
    entries: &[(String, Yaml)],
    indent: usize,
    first: &str,
) -> fmt::Result {
    let margin = " ".repeat(indent);
    let margins = std::iter::once(first).chain(std::iter::repeat(&*margin));
    for ((key, value), margin) in entries.iter().zip(margins) {
        write!(out, "{margin}{key}:")?;
        let deeper = indent + 2;
        value.write(out, deeper)?;
    }
    Ok(())
}

/// Quotes a line unless it is a duration or a plain word, which can only be text.
fn quoted(text: &str) -> String {
    let duration = text.strip_suffix(['s', 'm', 'h', 'd']).unwrap_or_default();
    if !duration.is_empty() && duration.chars().all(|c| c.is_ascii_digit()) {
        return text.to_owned();
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_-/.:".contains(c);
    let starts_as_word = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_constant = matches!(
        text,
        "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
    );
    if starts_as_word && text.chars().all(is_word) && !text.ends_with(':') && !is_constant {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        for plain in [
            "page",
            "job:errors:ratio_rate5m",
            "5m",
            "https://a.example/b.md",
        ] {
            assert_eq!(quoted(plain), plain);
        }
        for (text, expected) in [
            ("", "''"),
            ("5", "'5'"),
            ("1e3", "'1e3'"),
            ("true", "'true'"),
            ("up == 0", "'up == 0'"),
            ("key:", "'key:'"),
            ("# no comment", "'# no comment'"),
            ("can't", "'can''t'"),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }

    #[test]
    fn values_are_indented() {
        let rule = map([
            ("expr", "a\n  / b".into()),
            ("labels", map([("severity", "page".into())])),
            ("ratio", 0.999.into()),
        ]);
        let page = map([("rules", list([rule, "next".into()])), ("none", list([]))]);
        let expected = "\
rules:
  - expr: |-
      a
        / b
    labels:
      severity: page
    ratio: 0.999
  - next
none: []
";
        assert_eq!(page.to_string(), expected);
    }
}
