use super::Format;
use super::number::{push_integer, push_seconds};
use crate::labels::{Added, LabelStr};
use crate::recorder::Exemplar;
use crate::registry::Kind;

/// A page in the making.
pub(super) struct TextWriter {
    page: String,
    format: Format,
    /// The family that samples belong to.
    family: String,
    /// What lines have in common that follow each other: their beginnings, and what follows the label in which they
    /// differ.
    line_start: String,
    line_middle: String,
}

/// Samples that differ in one label.
pub(super) struct Samples<'a> {
    page: &'a mut String,
    /// Up to the label's value.
    start: &'a str,
    /// From there to the sample's.
    middle: &'a str,
}

/// The place of a sample's value.
pub(super) struct Value<'a>(&'a mut String);

// === impl TextWriter ===

impl TextWriter {
    /// With room for so many bytes: a large page would otherwise be moved about while it grows.
    pub(super) fn with_capacity(bytes: usize, format: Format) -> Self {
        Self {
            page: String::with_capacity(bytes),
            format,
            family: String::new(),
            line_start: String::new(),
            line_middle: String::new(),
        }
    }

    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// Begins a family.
    pub(super) fn family(&mut self, name: &str, kind: Kind, unit: Option<&str>, help: &str) {
        self.family.clear();
        self.family.push_str(name);
        let suffix = self.metadata_suffix(kind);
        self.comment("HELP", suffix);
        self.push_help(help);
        self.comment("TYPE", suffix);
        self.page.push_str(self.type_name(kind));
        let unit = unit.filter(|_| self.format == Format::OpenMetrics && kind.may_have_unit());
        if let Some(unit) = unit {
            self.comment("UNIT", suffix);
            self.page.push_str(unit);
        }
        self.page.push('\n');
    }

    /// A sample of the family: its suffix, its labels as they stand between
    /// braces, and what writes its value.
    pub(super) fn sample(
        &mut self,
        suffix: &str,
        labels: &str,
        value: impl FnOnce(&mut Value<'_>),
    ) {
        self.page.push_str(&self.family);
        self.page.push_str(suffix);
        if !labels.is_empty() {
            self.page.push('{');
            self.page.push_str(labels);
            self.page.push('}');
        }
        self.page.push(' ');
        value(&mut Value(&mut self.page));
        self.page.push('\n');
    }

    /// Samples that differ in one more label, which is at its place among the others.
    pub(super) fn samples_with<'a>(
        &'a mut self,
        suffix: &str,
        labels: LabelStr<'a>,
        added: Added,
    ) -> Samples<'a> {
        let (before, after) = labels.around(added);
        self.line_start.clear();
        for part in [&self.family, suffix, "{", before, added.name(), "=\""] {
            self.line_start.push_str(part);
        }
        self.line_middle.clear();
        for part in ["\"", after, "} "] {
            self.line_middle.push_str(part);
        }
        Samples {
            page: &mut self.page,
            start: &self.line_start,
            middle: &self.line_middle,
        }
    }

    /// A line of samples that is ready as it is.
    pub(super) fn line(&mut self, parts: &[&str]) {
        for part in parts {
            self.page.push_str(part);
        }
        self.page.push('\n');
    }

    pub(super) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.page.push_str("# EOF\n");
        }
        self.page
    }

    /// Begins a line of the family's metadata, and ends the one before.
    fn comment(&mut self, keyword: &str, suffix: &str) {
        let line_feed = if keyword == "HELP" { "" } else { "\n" };
        for part in [line_feed, "# ", keyword, " ", &self.family, suffix, " "] {
            self.page.push_str(part);
        }
    }

    /// In 0.0.4 metadata goes by the name of the samples.
    fn metadata_suffix(&self, kind: Kind) -> &'static str {
        match (self.format, kind) {
            (Format::Prometheus, Kind::Counter) => "_total",
            (Format::Prometheus, Kind::Info) => "_info",
            _ => "",
        }
    }

    /// 0.0.4 knows fewer types.
    fn type_name(&self, kind: Kind) -> &'static str {
        match (self.format, kind) {
            (Format::Prometheus, Kind::Info | Kind::StateSet) => "gauge",
            (Format::Prometheus, Kind::PlainCounter) => "counter",
            (Format::Prometheus, Kind::Unknown) => "untyped",
            _ => kind.as_str(),
        }
    }

    /// A quote is escaped in OpenMetrics only.
    fn push_help(&mut self, help: &str) {
        for c in help.chars() {
            match (c, self.format) {
                ('\\', _) => self.page.push_str("\\\\"),
                ('\n', _) => self.page.push_str("\\n"),
                ('"', Format::OpenMetrics) => self.page.push_str("\\\""),
                (c, _) => self.page.push(c),
            }
        }
    }
}

// === impl Samples ===

impl Samples<'_> {
    /// The sample with this value of the label.
    pub(super) fn sample(&mut self, escaped: &str, value: impl FnOnce(&mut Value<'_>)) {
        let Self {
            page,
            start,
            middle,
        } = self;
        page.push_str(start);
        page.push_str(escaped);
        page.push_str(middle);
        value(&mut Value(page));
        page.push('\n');
    }
}

// === impl Value ===

impl Value<'_> {
    pub(super) fn integer(&mut self, value: u64) {
        push_integer(self.0, value);
    }

    /// Nanoseconds, written as seconds.
    pub(super) fn seconds(&mut self, nanos: u128) {
        push_seconds(self.0, nanos);
    }

    /// What OpenMetrics allows after a bucket's value. Its labels have 63 characters, of the 128 that there may be.
    pub(super) fn exemplar(&mut self, exemplar: &Exemplar) {
        let Exemplar { trace, nanos, at } = exemplar;
        let (trace_id, span_id) = (trace.trace_id(), trace.span_id());
        let labels = format!(" # {{span_id=\"{span_id:016x}\",trace_id=\"{trace_id:032x}\"}} ");
        self.0.push_str(&labels);
        self.seconds((*nanos).into());
        self.0.push(' ');
        self.seconds(at.as_nanos());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(format: Format, kind: Kind, unit: Option<&str>) -> String {
        let mut text = TextWriter::with_capacity(0, format);
        text.family("x", kind, unit, "say \"a\\b\"\n");
        text.finish()
    }

    #[test]
    fn metadata_in_either_format() {
        assert_eq!(
            family(Format::OpenMetrics, Kind::Counter, Some("x")),
            "# HELP x say \\\"a\\\\b\\\"\\n\n# TYPE x counter\n# UNIT x x\n# EOF\n"
        );
        assert_eq!(
            family(Format::Prometheus, Kind::Counter, Some("x")),
            "# HELP x_total say \"a\\\\b\"\\n\n# TYPE x_total counter\n"
        );
        assert!(family(Format::Prometheus, Kind::Info, None).ends_with("# TYPE x_info gauge\n"));
        assert!(family(Format::Prometheus, Kind::Unknown, None).ends_with("# TYPE x untyped\n"));
        assert!(
            family(Format::OpenMetrics, Kind::Unknown, None).ends_with("# TYPE x unknown\n# EOF\n")
        );
    }
}
