//! Parses a whole text into families.

use super::sample::{parse_quoted, unescape};
use super::{IncludedFamily, Sample};
use crate::Error;
use crate::registry::Kind;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::mem;

/// Parses a text in OpenMetrics, in the Prometheus text format 0.0.4, or as prometheus-client writes it, which is
/// OpenMetrics except for HELP.
///
/// A text that ends in `# EOF` is OpenMetrics. In any other text
///
/// - a counter whose samples have the family's own name is the OpenMetrics family without `_total`. If the name does not
///   end in `_total`, it is a counter only in format 0.0.4, and has unknown type in OpenMetrics;
/// - a family without metadata has unknown type;
/// - a gauge named after another family plus `_created` is part of that family;
/// - a whole timestamp is in milliseconds.
///
/// prometheus-client doesn't escape line feeds in HELP. Lines between a HELP and its TYPE therefore continue the HELP. A HELP
/// has no TYPE if a sample with the family's own name, or another HELP of it, comes first.
///
/// # Errors
///
/// Returns an error that names a line that is not a sample, an OpenMetrics sample before any metadata, or a family whose
/// type is not in both formats.
pub(crate) fn parse(text: &str) -> Result<Vec<NamedFamily<'_>>, Error> {
    let is_open_metrics = text.trim_end().ends_with("# EOF");
    let continued = continued_helps(text);
    let mut families = Vec::new();
    let mut help_of: Option<Cow<'_, str>> = None;
    for (place, line) in text.lines().enumerate() {
        let metadata = metadata(line);
        if let Some(name) = &help_of {
            if !matches!(&metadata, Some(("TYPE", of, _)) if of == name) {
                let family = open(&mut families, name, |_| true);
                let help = family.help.to_mut();
                help.extend(["\n", line]);
                continue;
            }
            help_of = None;
        }
        match metadata {
            Some(("HELP", name, help)) => {
                let family = open(&mut families, &name, |family| family.help.is_empty());
                family.help = help.into();
                help_of = continued.contains(&place).then_some(name);
            }
            Some(("TYPE", name, kind)) => {
                let is_new = |family: &IncludedFamily<'_>| family.kind == Kind::Unknown;
                open(&mut families, &name, is_new).kind =
                    Kind::from_text(kind).ok_or_else(|| {
                        Error::new(format!(
                            "family `{name}` has the type {kind:?}, which is not in both text formats: leave it out"
                        ))
                    })?;
            }
            Some(("UNIT", name, unit)) => {
                open(&mut families, &name, |_| true).unit = Some(unit.into());
            }
            _ if line.trim().is_empty() || line.trim_start().starts_with('#') => {}
            _ => add(&mut families, Sample::parse_line(line)?, is_open_metrics)?,
        }
    }
    if !is_open_metrics {
        families = with_created(families.into_iter().map(converted).collect());
    }
    for (name, family) in &mut families {
        family.help = match mem::take(&mut family.help) {
            Cow::Borrowed(help) => unescape(help),
            Cow::Owned(help) => unescape(&help).into_owned().into(),
        };
        for sample in &mut family.samples {
            sample.set_family(name, family.kind);
        }
    }
    Ok(families)
}

/// Returns the places of the HELP lines that have a TYPE.
fn continued_helps(text: &str) -> HashSet<usize> {
    let lines: Vec<&str> = text.lines().collect();
    let mut continued = HashSet::new();
    // The families of TYPE lines further down.
    let mut types = HashSet::new();
    for (place, line) in lines.iter().enumerate().rev() {
        match metadata(line) {
            Some(("TYPE", name, _)) => drop(types.insert(name)),
            Some(("HELP", name, _)) if types.remove(&name) => drop(continued.insert(place)),
            None if !types.is_empty() => {
                let sample = Sample::parse(line).filter(has_timestamp_if_any);
                sample.map(|sample| types.remove(&sample.name));
            }
            _ => {}
        }
    }
    continued
}

/// Whether the text after the value can be a timestamp. In a HELP that goes on, it is often a word.
fn has_timestamp_if_any(sample: &Sample<'_>) -> bool {
    let timestamp = sample.timestamp.as_deref();
    timestamp.is_none_or(|timestamp| timestamp.parse::<f64>().is_ok())
}

/// A family and its name.
pub(crate) type NamedFamily<'a> = (Cow<'a, str>, IncludedFamily<'a>);

/// Returns the last family if it has this name, has no samples yet and may continue, or else a new family.
fn open<'f, 'a>(
    families: &'f mut Vec<NamedFamily<'a>>,
    name: &Cow<'a, str>,
    may_continue: impl Fn(&IncludedFamily<'a>) -> bool,
) -> &'f mut IncludedFamily<'a> {
    let continues = |(last, family): &NamedFamily<'a>| {
        last == name && family.samples.is_empty() && may_continue(family)
    };
    if !families.last().is_some_and(continues) {
        let family = IncludedFamily {
            kind: Kind::Unknown,
            unit: None,
            help: Cow::default(),
            samples: Vec::new(),
        };
        families.push((name.clone(), family));
    }
    let last = families.len() - 1;
    &mut families[last].1
}

/// Adds a sample to the last family, or to a new one if it can't be a sample of the last one.
fn add<'a>(
    families: &mut Vec<NamedFamily<'a>>,
    sample: Sample<'a>,
    is_open_metrics: bool,
) -> Result<(), Error> {
    let may_have = |name: &str, kind: Kind| {
        let suffix = sample.name.strip_prefix(name);
        suffix.is_some_and(|suffix| {
            kind.suffixes().contains(&suffix) || (kind == Kind::Counter && suffix.is_empty())
        })
    };
    match families.last_mut() {
        Some((name, family)) if is_open_metrics || may_have(name, family.kind) => {
            family.samples.push(sample);
        }
        None if is_open_metrics => {
            return Err(Error::new(format!(
                "the sample `{}` belongs to no family: metadata must come before samples",
                sample.name
            )));
        }
        _ => {
            let name = sample.name.clone();
            open(families, &name, |_| false).samples.push(sample);
        }
    }
    Ok(())
}

/// Converts a family of format 0.0.4 to OpenMetrics.
fn converted((mut name, mut family): NamedFamily<'_>) -> NamedFamily<'_> {
    let mut samples = family.samples.iter();
    if family.kind == Kind::Counter && samples.all(|sample| sample.name == name) {
        match name.strip_suffix("_total") {
            Some(stem) => name = stem.to_owned().into(),
            None if family.samples.is_empty() => {}
            None => family.kind = Kind::PlainCounter,
        }
    }
    let samples = family.samples.iter_mut();
    samples.for_each(Sample::convert_timestamp_from_millis);
    (name, family)
}

/// Moves the samples of `_created` gauges of format 0.0.4 into the families that they belong to, as in OpenMetrics.
/// Python's client library writes such gauges.
fn with_created(families: Vec<NamedFamily<'_>>) -> Vec<NamedFamily<'_>> {
    const CREATED: &str = "_created";
    let (gauges, mut families): (Vec<_>, Vec<_>) = families
        .into_iter()
        .partition(|(name, family)| family.kind == Kind::Gauge && name.ends_with(CREATED));
    let owners = families.iter().enumerate();
    let owners = owners.filter(|(_, (_, family))| family.kind.has_created());
    let owners = owners.map(|(place, (name, _))| (name.clone(), place));
    // If there are several of one name, the first one owns them.
    let owners: HashMap<Cow<'_, str>, usize> = owners.rev().collect();
    for (name, gauge) in gauges {
        match name.strip_suffix(CREATED).and_then(|of| owners.get(of)) {
            Some(owner) => families[*owner].1.samples.extend(gauge.samples),
            None => families.push((name, gauge)),
        }
    }
    families
}

/// Returns the parts of a line such as `# TYPE name counter`, with any blanks in between: the keyword, the name of the
/// family, and the rest.
fn metadata(line: &str) -> Option<(&str, Cow<'_, str>, &str)> {
    let (keyword, rest) = word(line.trim_start().strip_prefix('#')?);
    let (name, rest) = match parse_quoted(rest.trim_start_matches(BLANKS)) {
        Some((name, rest)) => (unescape(name), rest),
        None => {
            let (name, rest) = word(rest);
            (name.into(), rest)
        }
    };
    let rest = match keyword {
        "HELP" => rest.strip_prefix(BLANKS).unwrap_or(rest),
        _ => rest.trim(),
    };
    (!name.is_empty()).then_some((keyword, name, rest))
}

const BLANKS: [char; 2] = [' ', '\t'];

/// Returns the first word, and the rest.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start_matches(BLANKS);
    text.split_at(text.find(BLANKS).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_help_may_contain_line_feeds() {
        let text = "# HELP a say\n# HELP b\nmore\n# TYPE a counter\n# UNIT a x\na_total 1\n# EOF\n";
        let families = parse(text).unwrap();
        let [(name, family)] = &families[..] else {
            panic!("one family, not {families:?}");
        };
        assert_eq!((&**name, family.kind), ("a", Kind::Counter));
        assert_eq!(family.help, "say\n# HELP b\nmore");
        assert_eq!(family.unit.as_deref(), Some("x"));
        assert_eq!(family.samples.len(), 1);
        // A line that begins as a sample of the family does.
        let (_, family) = &parse("# HELP a Queue\na 5 things\n# TYPE a gauge\na 2\n").unwrap()[0];
        assert_eq!(family.help, "Queue\na 5 things");
    }

    #[test]
    fn an_error_names_what_is_wrong() {
        for (text, named) in [
            ("a 1\n# EOF", "`a`"),
            ("# HELP a .\n# TYPE a gauge\nnot a sample{", "not a sample{"),
            ("# HELP a .\n# TYPE a matrix\na 1", "\"matrix\""),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    /// Returns each family with its type, its help, and its samples with their timestamps.
    fn outline(text: &str) -> Vec<String> {
        let families = parse(text).unwrap();
        let families = families.iter().map(|(name, family)| {
            let IncludedFamily {
                kind,
                help,
                samples,
                ..
            } = family;
            let samples: Vec<_> = samples
                .iter()
                .map(|sample| {
                    format!(
                        "{}@{}",
                        sample.name,
                        sample.timestamp.as_deref().unwrap_or("")
                    )
                })
                .collect();
            format!("{name} {kind:?} {help:?} {}", samples.join(" "))
        });
        families.collect()
    }

    #[test]
    fn both_formats_are_read() {
        let rows: [(&str, &[&str]); 19] = [
            // A counter with samples of its own name, with and without `_total`.
            (
                "# TYPE a_total counter\na_total 1",
                &["a Counter \"\" a_total@"],
            ),
            ("# TYPE a counter\na 1", &["a PlainCounter \"\" a@"]),
            ("# TYPE a counter\na_total 1", &["a Counter \"\" a_total@"]),
            (
                "# TYPE a_total counter\na_total_total 1",
                &["a_total Counter \"\" a_total_total@"],
            ),
            // Metadata may be missing, may be in any order, and may be mixed with comments.
            (
                "# HELP a A\na 1\nb 2\n",
                &["a Unknown \"A\" a@", "b Unknown \"\" b@"],
            ),
            (
                "# TYPE a gauge\n# HELP a A\n# by hand\n\n  a\t 1\n",
                &["a Gauge \"A\" a@"],
            ),
            (
                "# HELP a A\n# TYPE b gauge\nb 1\n",
                &["a Unknown \"A\" ", "b Gauge \"\" b@"],
            ),
            ("#\tTYPE  a \t gauge \na{} 1", &["a Gauge \"\" a@"]),
            // A HELP without a TYPE ends before its samples and before the next HELP of its family.
            (
                "# HELP a A\na 1\n# TYPE b gauge\nb 2\n# HELP a A\n# TYPE a gauge\na 3\n",
                &["a Unknown \"A\" a@", "b Gauge \"\" b@", "a Gauge \"A\" a@"],
            ),
            (
                "# HELP a A\n# TYPE b gauge\nb 2\n# HELP a A\n# TYPE a gauge\na 3\n",
                &["a Unknown \"A\" ", "b Gauge \"\" b@", "a Gauge \"A\" a@"],
            ),
            (
                "# HELP a A\na 1\n# TYPE b gauge\nb 2\n# TYPE a gauge\na 3\n",
                &["a Unknown \"A\" a@", "b Gauge \"\" b@", "a Gauge \"\" a@"],
            ),
            // `_created` gauges are part of their family.
            (
                "# TYPE a_total counter\na_total 1\n# TYPE a_created gauge\na_created 9\n# TYPE b gauge\nb 1\n",
                &["a Counter \"\" a_total@ a_created@", "b Gauge \"\" b@"],
            ),
            (
                "# TYPE a_created gauge\na_created 9\n# TYPE a summary\na_sum 1\na_count 1\n",
                &["a Summary \"\" a_sum@ a_count@ a_created@"],
            ),
            (
                "# TYPE a gauge\na 1\n# TYPE a_created gauge\na_created 9\n",
                &["a Gauge \"\" a@", "a_created Gauge \"\" a_created@"],
            ),
            // Whole timestamps are in milliseconds. Timestamps with a fraction are in seconds.
            ("a 1 1500", &["a Unknown \"\" a@1.500"]),
            ("a 1 -1500\n", &["a Unknown \"\" a@-1.500"]),
            ("a 1 1.5", &["a Unknown \"\" a@1.5"]),
            ("a 1 -", &["a Unknown \"\" a@-"]),
            (
                "# TYPE a gauge\na 1 1500\n# EOF\n",
                &["a Gauge \"\" a@1500"],
            ),
        ];
        for (text, expected) in rows {
            assert_eq!(outline(text), expected, "{text}");
        }
    }

    #[test]
    fn a_summary_is_one_series_whatever_its_name() {
        for name in ["a", "a_total", "a_sum", "a_count", "a_created", "a_bucket"] {
            let quantiles = format!("{name}{{quantile=\"0\"}} 1\n{name}{{quantile=\"1\"}} 2\n");
            let parts = format!("{name}_sum 3\n{name}_count 2\n");
            let text = format!("# TYPE {name} summary\n{quantiles}{parts}");
            let (_, family) = parse(&text).unwrap().remove(0);
            let samples = &family.samples;
            assert_eq!(samples.len(), 4);
            assert!(
                samples
                    .iter()
                    .all(|sample| sample.is_same_series(&samples[0])),
                "{text}"
            );
        }
    }

    #[test]
    fn many_families_cost_no_more_than_their_number() {
        // A quadratic parser would take minutes.
        let mut text = String::new();
        for number in 0..100_000 {
            text += &format!("# TYPE a{number}_total counter\na{number}_total 1\n");
            text += &format!("# TYPE a{number}_created gauge\na{number}_created 9\n");
        }
        let families = parse(&text).unwrap();
        assert_eq!(families.len(), 100_000);
        assert!(families.iter().all(|(_, family)| family.samples.len() == 2));
    }

    #[test]
    fn an_escaped_help_is_unescaped() {
        for (help, expected) in [
            (r"a\\b\nc", "a\\b\nc"),
            (r#"say \"a\""#, "say \"a\""),
            (r"C:\temp", r"C:\temp"),
            (r"a\", r"a\"),
        ] {
            let text = format!("# HELP a {help}\n# TYPE a gauge\n");
            let (_, family) = parse(&text).unwrap().remove(0);
            assert_eq!(family.help, expected);
        }
    }
}
