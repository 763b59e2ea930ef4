use super::number::push_seconds;
use super::{Format, TextEncoding};
use crate::clock::WallTime;
use crate::escaping::{Escaping, escaped, is_metric_name};
use crate::labels::{ExtraLabel, LabelStr};
use crate::registry::{Kind, ends_in_unit};

/// A page that is being written.
pub(super) struct TextWriter {
    pub(super) encoding: TextEncoding,
    page: String,
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
    text: &'a mut TextWriter,
    /// Where in `line_start` the labels begin.
    labels_at: usize,
}

// === impl TextWriter ===

impl TextWriter {
    /// Returns a writer with room for this many bytes.
    pub(super) fn with_capacity(bytes: usize, encoding: TextEncoding) -> Self {
        Self {
            encoding,
            page: String::with_capacity(bytes),
            family: String::new(),
            quotes: false,
            line_start: String::new(),
            line_middle: String::new(),
        }
    }

    /// Begins a family.
    pub(super) fn family(&mut self, name: &str, kind: Kind, unit: Option<&str>, help: &str) {
        let TextEncoding {
            format, escaping, ..
        } = self.encoding;
        let escaped_name = kind.escaped(name, escaping);
        self.quotes = escaping == Escaping::AllowUtf8 && !is_metric_name(name);
        self.family = escaped(&escaped_name).into_owned();
        // In 0.0.4 the name in metadata has the suffix of the samples, only HELP in OpenMetrics escapes quotes, and there are
        // fewer types.
        let (suffix, kind_name) = match (format, kind) {
            (Format::Prometheus, Kind::Counter) => ("_total", "counter"),
            (Format::Prometheus, Kind::PlainCounter) => ("", "counter"),
            (Format::Prometheus, Kind::Info) => ("_info", "gauge"),
            (Format::Prometheus, Kind::StateSet) => ("", "gauge"),
            (Format::Prometheus, Kind::Unknown) => ("", "untyped"),
            _ => ("", kind.as_str()),
        };
        let help = match format {
            Format::OpenMetrics => escaped(help),
            Format::Prometheus => help.replace('\\', r"\\").replace('\n', r"\n").into(),
        };
        self.metadata("HELP", suffix, &help);
        self.metadata("TYPE", suffix, kind_name);
        if let Some(unit) = unit
            && format == Format::OpenMetrics
            && kind.may_have_unit()
            && ends_in_unit(&escaped_name, unit)
        {
            self.metadata("UNIT", suffix, unit);
        }
    }

    fn metadata(&mut self, keyword: &str, suffix: &str, text: &str) {
        let quote = if self.quotes { "\"" } else { "" };
        let name = [quote, &self.family, suffix, quote];
        self.page.extend(["# ", keyword, " "]);
        self.page.extend(name);
        self.page.extend([" ", text, "\n"]);
    }

    /// Writes a sample of the family. `labels` is the text between the braces. `value` appends the value, and what follows it on
    /// the line.
    pub(super) fn sample(&mut self, suffix: &str, labels: &str, value: impl FnOnce(&mut String)) {
        let Self { page, family, .. } = self;
        if self.quotes {
            let comma = if labels.is_empty() { "" } else { "," };
            page.extend(["{\"", family, suffix, "\"", comma, labels, "}"]);
        } else {
            page.push_str(family);
            page.push_str(suffix);
            if !labels.is_empty() {
                page.push('{');
                page.push_str(labels);
                page.push('}');
            }
        }
        page.push(' ');
        value(page);
        page.push('\n');
    }

    /// Writes when a counter or a histogram began, if the page shows it. `labels` is the text between the braces.
    pub(super) fn created(&mut self, labels: &str, created: WallTime) {
        if self.encoding.shows_created() {
            self.sample("_created", labels, |page| {
                push_seconds(page, created.nanos());
            });
        }
    }

    /// Returns a writer for samples that differ in one extra label, which is sorted among the others. The family must be an
    /// automatic one, whose name is never in quotes.
    pub(super) fn samples_with(
        &mut self,
        suffix: &str,
        labels: LabelStr<'_>,
        extra: ExtraLabel,
    ) -> SampleWriter<'_> {
        let (before, after) = labels.around(extra);
        let extra = self.encoding.escaping.label(extra.name());
        self.line_start.clear();
        self.line_start
            .extend([&self.family, suffix, "{", before, &extra, "=\""]);
        self.line_middle.clear();
        self.line_middle.extend(["\"", after, "} "]);
        SampleWriter {
            labels_at: self.family.len() + suffix.len(),
            text: self,
        }
    }

    pub(super) fn finish(mut self) -> String {
        if self.encoding.format == Format::OpenMetrics {
            self.page.push_str("# EOF\n");
        }
        self.page
    }
}

// === impl SampleWriter ===

impl SampleWriter<'_> {
    /// Writes the sample with this value of the label. `value` appends the sample's value, and what follows it on the line.
    pub(super) fn sample(&mut self, escaped: &str, value: impl FnOnce(&mut String)) {
        self.text.page.push_str(&self.text.line_start);
        self.finish(escaped, value);
    }

    /// Writes when the sample with this value of the label began, if the page shows it.
    pub(super) fn created(&mut self, escaped: &str, created: WallTime) {
        let text = &mut *self.text;
        if text.encoding.shows_created() {
            let labels = &text.line_start[self.labels_at..];
            text.page.extend([&text.family, "_created", labels]);
            self.finish(escaped, |page| push_seconds(page, created.nanos()));
        }
    }

    fn finish(&mut self, escaped: &str, value: impl FnOnce(&mut String)) {
        let page = &mut self.text.page;
        page.push_str(escaped);
        page.push_str(&self.text.line_middle);
        value(page);
        page.push('\n');
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
