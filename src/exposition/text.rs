use super::number::{push_integer, push_seconds};
use super::{Format, TextEncoding};
use crate::block::Exemplar;
use crate::clock::WallTime;
use crate::escaping::{Escaping, is_metric_name, push_escaped};
use crate::labels::{ExtraLabel, LabelStr};
use crate::registry::{Kind, ends_in_unit};

/// A page that is being written.
pub(super) struct TextWriter {
    page: String,
    encoding: TextEncoding,
    /// The name of the current family, escaped.
    family: String,
    /// Whether names of the family and its samples are in quotes.
    quotes: bool,
    /// The common parts of consecutive lines: before and after the value of the label in which they differ.
    line_start: String,
    line_middle: String,
}

/// Writes samples that differ in one label.
pub(super) struct SampleWriter<'a> {
    page: &'a mut String,
    family: &'a str,
    /// The text before the label's value.
    start: &'a str,
    /// Where in `start` the labels begin.
    labels_at: usize,
    shows_created: bool,
    /// The text between the label's value and the sample's value.
    middle: &'a str,
}

/// Writes a sample's value.
pub(super) struct ValueWriter<'a>(&'a mut String);

// === impl TextWriter ===

impl TextWriter {
    /// Returns a writer with room for this many bytes, so that a large page is not copied while it grows.
    pub(super) fn with_capacity(bytes: usize, encoding: TextEncoding) -> Self {
        Self {
            page: String::with_capacity(bytes),
            encoding,
            family: String::new(),
            quotes: false,
            line_start: String::new(),
            line_middle: String::new(),
        }
    }

    pub(super) fn format(&self) -> Format {
        self.encoding.format
    }

    /// Returns whether samples say when their series began.
    pub(super) fn shows_created(&self) -> bool {
        self.encoding.shows_created()
    }

    /// Begins a family.
    pub(super) fn family(&mut self, name: &str, kind: Kind, unit: Option<&str>, help: &str) {
        let escaping = self.encoding.escaping;
        let escaped = kind.escaped(name, escaping);
        let may_have_unit = |unit: &&str| {
            self.format() == Format::OpenMetrics
                && kind.may_have_unit()
                && ends_in_unit(&escaped, unit)
        };
        let unit = unit.filter(may_have_unit);
        self.quotes = escaping == Escaping::AllowUtf8 && !is_metric_name(name);
        self.family.clear();
        push_escaped(&mut self.family, &escaped);
        let suffix = self.metadata_suffix(kind);
        self.comment("HELP", suffix);
        self.push_help(help);
        self.comment("TYPE", suffix);
        self.page.push_str(self.type_name(kind));
        if let Some(unit) = unit {
            self.comment("UNIT", suffix);
            self.page.push_str(unit);
        }
        self.page.push('\n');
    }

    /// Writes a sample of the family. `labels` is the text between the braces.
    pub(super) fn sample(
        &mut self,
        suffix: &str,
        labels: &str,
        value: impl FnOnce(&mut ValueWriter<'_>),
    ) {
        self.series(suffix, labels);
        self.page.push(' ');
        value(&mut ValueWriter(&mut self.page));
        self.page.push('\n');
    }

    /// Begins a sample of the family. `labels` is the text between the braces.
    pub(super) fn series(&mut self, suffix: &str, labels: &str) {
        if self.quotes {
            let comma = if labels.is_empty() { "" } else { "," };
            for part in ["{\"", &self.family, suffix, "\"", comma, labels, "}"] {
                self.page.push_str(part);
            }
            return;
        }
        self.page.push_str(&self.family);
        self.page.push_str(suffix);
        if !labels.is_empty() {
            self.page.push('{');
            self.page.push_str(labels);
            self.page.push('}');
        }
    }

    /// Writes when a counter or a histogram began, if the page shows it. `labels` is the text between the braces.
    pub(super) fn created(&mut self, labels: &str, created: WallTime) {
        if self.shows_created() {
            self.sample("_created", labels, |value| value.seconds(created.nanos()));
        }
    }

    /// Returns a writer for samples that differ in one extra label, which is sorted among the others. The family must be an
    /// automatic one, whose name is never in quotes.
    pub(super) fn samples_with<'a>(
        &'a mut self,
        suffix: &str,
        labels: LabelStr<'a>,
        extra: ExtraLabel,
    ) -> SampleWriter<'a> {
        let (before, after) = labels.around(extra);
        let extra = self.encoding.escaping.label(extra.name());
        self.line_start.clear();
        for part in [&self.family, suffix, "{", before, &extra, "=\""] {
            self.line_start.push_str(part);
        }
        self.line_middle.clear();
        for part in ["\"", after, "} "] {
            self.line_middle.push_str(part);
        }
        SampleWriter {
            shows_created: self.encoding.shows_created(),
            page: &mut self.page,
            labels_at: self.family.len() + suffix.len(),
            family: &self.family,
            start: &self.line_start,
            middle: &self.line_middle,
        }
    }

    /// Writes the end of a line as it is.
    pub(super) fn line(&mut self, parts: &[&str]) {
        for part in parts {
            self.page.push_str(part);
        }
        self.page.push('\n');
    }

    pub(super) fn escaping(&self) -> Escaping {
        self.encoding.escaping
    }

    pub(super) fn finish(mut self) -> String {
        if self.format() == Format::OpenMetrics {
            self.page.push_str("# EOF\n");
        }
        self.page
    }

    /// Ends the previous line of the family's metadata and begins the next one.
    fn comment(&mut self, keyword: &str, suffix: &str) {
        let line_feed = if keyword == "HELP" { "" } else { "\n" };
        let quote = if self.quotes { "\"" } else { "" };
        for part in [
            line_feed,
            "# ",
            keyword,
            " ",
            quote,
            &self.family,
            suffix,
            quote,
            " ",
        ] {
            self.page.push_str(part);
        }
    }

    /// Returns the suffix of the name in metadata. In 0.0.4 it is the suffix of the samples.
    fn metadata_suffix(&self, kind: Kind) -> &'static str {
        match (self.format(), kind) {
            (Format::Prometheus, Kind::Counter) => "_total",
            (Format::Prometheus, Kind::Info) => "_info",
            _ => "",
        }
    }

    /// Returns the name of the type. 0.0.4 has fewer types.
    fn type_name(&self, kind: Kind) -> &'static str {
        match (self.format(), kind) {
            (Format::Prometheus, Kind::Info | Kind::StateSet) => "gauge",
            (Format::Prometheus, Kind::PlainCounter) => "counter",
            (Format::Prometheus, Kind::Unknown) => "untyped",
            _ => kind.as_str(),
        }
    }

    /// Appends escaped help. Only OpenMetrics escapes quotes.
    fn push_help(&mut self, help: &str) {
        for c in help.chars() {
            match (c, self.format()) {
                ('\\', _) => self.page.push_str("\\\\"),
                ('\n', _) => self.page.push_str("\\n"),
                ('"', Format::OpenMetrics) => self.page.push_str("\\\""),
                (c, _) => self.page.push(c),
            }
        }
    }
}

// === impl SampleWriter ===

impl SampleWriter<'_> {
    /// Writes the sample with this value of the label.
    pub(super) fn sample(&mut self, escaped: &str, value: impl FnOnce(&mut ValueWriter<'_>)) {
        self.page.push_str(self.start);
        self.finish(escaped, value);
    }

    /// Writes when the sample with this value of the label began, if the page shows it.
    pub(super) fn created(&mut self, escaped: &str, created: WallTime) {
        if self.shows_created {
            let labels = &self.start[self.labels_at..];
            for part in [self.family, "_created", labels] {
                self.page.push_str(part);
            }
            self.finish(escaped, |value| value.seconds(created.nanos()));
        }
    }

    fn finish(&mut self, escaped: &str, value: impl FnOnce(&mut ValueWriter<'_>)) {
        self.page.push_str(escaped);
        self.page.push_str(self.middle);
        value(&mut ValueWriter(self.page));
        self.page.push('\n');
    }
}

// === impl ValueWriter ===

impl ValueWriter<'_> {
    pub(super) fn integer(&mut self, value: u64) {
        push_integer(self.0, value);
    }

    /// Writes nanoseconds as seconds.
    pub(super) fn seconds(&mut self, nanos: u128) {
        push_seconds(self.0, nanos);
    }

    /// Writes an exemplar, which OpenMetrics allows after a bucket's value. Its labels have 63 characters. The limit is
    /// 128 (OpenMetrics 1.0, "Exemplars").
    pub(super) fn exemplar(&mut self, exemplar: &Exemplar) {
        let Exemplar { trace, nanos, at } = exemplar;
        let (trace_id, span_id) = (trace.trace_id(), trace.span_id());
        let labels = format!(" # {{span_id=\"{span_id:016x}\",trace_id=\"{trace_id:032x}\"}} ");
        self.0.push_str(&labels);
        self.seconds((*nanos).into());
        self.0.push(' ');
        self.seconds((*at).into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(format: Format, kind: Kind, unit: Option<&str>) -> String {
        let mut text = TextWriter::with_capacity(0, format.into());
        text.family("y_x", kind, unit, "say \"a\\b\"\n");
        text.finish()
    }

    #[test]
    fn metadata_in_both_formats() {
        assert_eq!(
            family(Format::OpenMetrics, Kind::Counter, Some("x")),
            "# HELP y_x say \\\"a\\\\b\\\"\\n\n# TYPE y_x counter\n# UNIT y_x x\n# EOF\n"
        );
        assert_eq!(
            family(Format::Prometheus, Kind::Counter, Some("x")),
            "# HELP y_x_total say \"a\\\\b\"\\n\n# TYPE y_x_total counter\n"
        );
        assert!(family(Format::Prometheus, Kind::Info, None).ends_with("# TYPE y_x_info gauge\n"));
        assert!(family(Format::Prometheus, Kind::Unknown, None).ends_with("# TYPE y_x untyped\n"));
        assert!(
            family(Format::OpenMetrics, Kind::Unknown, None)
                .ends_with("# TYPE y_x unknown\n# EOF\n")
        );
    }
}
