//! A whole text.

use super::ForeignFamily;
use crate::Error;
use crate::registry::Kind;

/// Takes a whole text apart. What stands between HELP and TYPE is HELP
/// continued, for line feeds in it are not escaped.
///
/// # Errors
///
/// As [`ForeignFamily::add_samples`]; if samples come before any family; or names a family whose
/// type is missing or unknown.
pub(crate) fn parse(text: &str) -> Result<Vec<(&str, ForeignFamily<'_>)>, Error> {
    let mut families: Vec<(&str, ForeignFamily<'_>)> = Vec::new();
    let mut in_help = false;
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(name)) if !in_help => {
                let mut family = ForeignFamily::new(Kind::Unknown);
                words.next().unwrap_or("").clone_into(&mut family.help);
                families.push((name, family));
                in_help = true;
                continue;
            }
            (Some("#"), Some("EOF"), None) if !in_help => continue,
            _ => {}
        }
        let Some((name, family)) = families.last_mut() else {
            return Err(Error::new(format!(
                "{line:?} belongs to no family: metadata must come before samples"
            )));
        };
        if let Some(of_type) = metadata(line, "TYPE", name) {
            family.kind = Kind::from_text(of_type).ok_or_else(|| {
                Error::new(format!(
                    "family `{name}` is of the type {of_type:?}, which not both formats have: leave it out"
                ))
            })?;
            in_help = false;
        } else if in_help {
            family.help.push('\n');
            family.help.push_str(line);
        } else if let Some(unit) = metadata(line, "UNIT", name) {
            family.unit = Some(unit.to_owned());
        } else {
            family.add_sample(line)?;
        }
    }
    match families.last() {
        Some((name, _)) if in_help => Err(Error::new(format!(
            "family `{name}` has HELP and no TYPE: look at its encoder, and at its name"
        ))),
        _ => Ok(families),
    }
}

/// `# TYPE name counter` holds `counter`.
fn metadata<'a>(line: &'a str, keyword: &str, name: &str) -> Option<&'a str> {
    line.strip_prefix("# ")?
        .strip_prefix(keyword)?
        .strip_prefix(' ')?
        .strip_prefix(name)?
        .strip_prefix(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_may_have_line_feeds() {
        let text = "# HELP a say\n# HELP b\nmore\n# TYPE a counter\n# UNIT a x\na_total 1\n# EOF\n";
        let families = parse(text).unwrap();
        let [(name, family)] = &families[..] else {
            panic!("one family, not {families:?}");
        };
        assert_eq!((*name, family.kind), ("a", Kind::Counter));
        assert_eq!(family.help, "say\n# HELP b\nmore");
        assert_eq!(family.unit.as_deref(), Some("x"));
        assert_eq!(family.samples.len(), 1);
    }

    #[test]
    fn what_can_not_be_shown_is_named() {
        for (text, named) in [
            ("a 1", "a 1"),
            ("# HELP a .\n# TYPE a gauge\nnot a sample{", "not a sample{"),
            ("# HELP a .\n# TYPE a matrix\na 1", "\"matrix\""),
            ("# HELP a\n# TYPE b gauge\na 1", "`a`"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
