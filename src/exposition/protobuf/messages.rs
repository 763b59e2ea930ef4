//! The messages of a page.
//!
//! Fields have the names, numbers and types of Prometheus' [data model][proto], version 0.6.
//!
//! [proto]: https://github.com/prometheus/client_model/blob/v0.6.1/io/prometheus/client/metrics.proto

use super::native;
use super::wire::Fields;
use crate::clock::WallTime;
use crate::escaping::Escaping;
use crate::registry::{Kind, ends_in_unit};
use std::borrow::Cow;

/// A page that is being written: messages of the type `MetricFamily`, each preceded by its length.
#[derive(Debug)]
pub(super) struct PageWriter {
    fields: Fields,
    escaping: Escaping,
}

/// A `MetricFamily` that is being written.
pub(super) struct FamilyWriter<'a> {
    fields: &'a mut Fields,
    escaping: Escaping,
}

/// A `Metric` that is being written: one series, or all series of one histogram.
pub(super) struct MetricWriter<'a>(&'a mut Fields);

/// A `Histogram` that is being written.
pub(super) struct HistogramWriter<'a>(&'a mut Fields);

#[derive(Debug, PartialEq)]
pub(super) struct Exemplar<'a> {
    pub(super) labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    pub(super) value: f64,
    pub(super) timestamp: Option<Timestamp>,
}

/// A time since 1970.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Timestamp {
    micros: i64,
}

// === impl PageWriter ===

impl PageWriter {
    /// Returns a writer of names in this escaping.
    pub(super) fn new(escaping: Escaping) -> Self {
        Self {
            fields: Fields::default(),
            escaping,
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.fields.into_bytes()
    }

    /// Adds a family. It has the name of its samples, as in 0.0.4 text.
    pub(super) fn family(
        &mut self,
        name: &str,
        kind: Kind,
        unit: Option<&str>,
        help: &str,
        write: impl FnOnce(&mut FamilyWriter<'_>),
    ) {
        // A `MetricType`, by its number.
        let (suffix, metric_type) = match kind {
            Kind::Counter => ("_total", 0),
            Kind::PlainCounter => ("", 0),
            Kind::Gauge | Kind::StateSet => ("", 1),
            Kind::Info => ("_info", 1),
            Kind::Summary => ("", 2),
            // `UNTYPED`
            Kind::Unknown => ("", 3),
            Kind::Histogram => ("", 4),
        };
        let escaping = self.escaping;
        let name = kind.escaped(name, escaping);
        self.fields.delimited(|fields| {
            fields.string(1, &format!("{name}{suffix}"));
            fields.string(2, help);
            fields.uint(3, metric_type);
            write(&mut FamilyWriter { fields, escaping });
            // Prometheus 3 refuses pages with any other unit.
            if let Some(unit) = unit.filter(|unit| ends_in_unit(&name, unit)) {
                fields.string(5, unit);
            }
        });
    }
}

// === impl FamilyWriter ===

impl FamilyWriter<'_> {
    /// Adds a metric. Its labels must be sorted by name.
    pub(super) fn metric<'a>(
        &mut self,
        labels: impl IntoIterator<Item = (&'a str, impl AsRef<str>)>,
        write: impl FnOnce(&mut MetricWriter<'_>),
    ) {
        let Self { fields, escaping } = self;
        let labels = labels.into_iter();
        let labels = labels.map(|(name, value)| (escaping.label(name), value));
        fields.message(4, |metric| {
            metric.messages(1, labels, write_label);
            write(&mut MetricWriter(metric));
        });
    }
}

fn write_label((name, value): (impl AsRef<str>, impl AsRef<str>), label: &mut Fields) {
    label.string(1, name.as_ref());
    label.string(2, value.as_ref());
}

// === impl MetricWriter ===

impl MetricWriter<'_> {
    pub(super) fn gauge(&mut self, value: f64) {
        self.0.message(2, |gauge| gauge.double(1, value));
    }

    pub(super) fn counter(
        &mut self,
        value: f64,
        exemplar: Option<&Exemplar<'_>>,
        created: Option<Timestamp>,
    ) {
        self.0.message(3, |counter| {
            counter.double(1, value);
            counter.messages(2, exemplar, Exemplar::write);
            counter.messages(3, created, Timestamp::write);
        });
    }

    pub(super) fn untyped(&mut self, value: f64) {
        self.0.message(5, |untyped| untyped.double(1, value));
    }

    /// Adds a summary. Each quantile comes with its value.
    pub(super) fn summary(
        &mut self,
        count: Option<u64>,
        sum: Option<f64>,
        quantiles: impl IntoIterator<Item = (f64, f64)>,
        created: Option<Timestamp>,
    ) {
        self.0.message(4, |summary| {
            if let Some(count) = count {
                summary.uint(1, count);
            }
            if let Some(sum) = sum {
                summary.double(2, sum);
            }
            summary.messages(3, quantiles, |(quantile, value), message| {
                message.double(1, quantile);
                message.double(2, value);
            });
            summary.messages(4, created, Timestamp::write);
        });
    }

    /// Sets when the numbers were read, if that is not now.
    pub(super) fn timestamp(&mut self, timestamp: Timestamp) {
        self.0.int(6, (timestamp.micros + 500).div_euclid(1_000));
    }

    pub(super) fn histogram(
        &mut self,
        count: u64,
        sum: Option<f64>,
        write: impl FnOnce(&mut HistogramWriter<'_>),
    ) {
        self.0.message(7, |histogram| {
            histogram.uint(1, count);
            if let Some(sum) = sum {
                histogram.double(2, sum);
            }
            write(&mut HistogramWriter(histogram));
        });
    }
}

// === impl HistogramWriter ===

impl HistogramWriter<'_> {
    /// Adds a classic bucket, which counts observations at or below `bound`. Bounds must ascend.
    ///
    /// The bucket of `+Inf` equals the count. It is left out unless it has an exemplar.
    pub(super) fn bucket(&mut self, cumulative: u64, bound: f64, exemplar: Option<&Exemplar<'_>>) {
        if bound == f64::INFINITY && exemplar.is_none() {
            return;
        }
        self.0.message(3, |bucket| {
            bucket.uint(1, cumulative);
            bucket.double(2, bound);
            bucket.messages(3, exemplar, Exemplar::write);
        });
    }

    pub(super) fn created(&mut self, created: Option<Timestamp>) {
        self.0.messages(15, created, Timestamp::write);
    }

    /// Adds the buckets of a native histogram: the count of the one around 0, and index and count of the others.
    pub(super) fn native(&mut self, zero: u64, buckets: &[(i32, u64)]) {
        native::write(self.0, zero, buckets);
    }

    /// Adds an exemplar of a native histogram, whose buckets have no field for it. It must have a timestamp.
    pub(super) fn exemplar(&mut self, exemplar: &Exemplar<'_>) {
        self.0.message(16, |message| exemplar.write(message));
    }
}

// === impl Exemplar ===

impl Exemplar<'_> {
    fn write(&self, message: &mut Fields) {
        let Self {
            labels,
            value,
            timestamp,
        } = self;
        let labels = labels.iter().map(|(name, value)| (name, value));
        message.messages(1, labels, write_label);
        message.double(2, *value);
        message.messages(3, *timestamp, Timestamp::write);
    }
}

// === impl Timestamp ===

impl Timestamp {
    /// A float has a precision of about a microsecond for today's times.
    pub(super) fn new(seconds: f64) -> Self {
        // The cast saturates.
        let micros = (seconds * 1e6).round() as i64;
        Self { micros }
    }

    /// Writes a `google.protobuf.Timestamp`. Its nanoseconds count forward from the second, even before
    /// 1970.
    fn write(self, message: &mut Fields) {
        let Self { micros } = self;
        message.int(1, micros.div_euclid(1_000_000));
        message.int(2, micros.rem_euclid(1_000_000) * 1_000);
    }
}

impl From<WallTime> for Timestamp {
    fn from(time: WallTime) -> Self {
        Self {
            micros: i64::try_from(time.nanos() / 1_000).unwrap_or(i64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(write: impl FnOnce(&mut MetricWriter<'_>)) -> Vec<u8> {
        let mut fields = Fields::default();
        write(&mut MetricWriter(&mut fields));
        fields.into_bytes()
    }

    const NO_LABELS: [(&str, &str); 0] = [];

    #[test]
    fn a_family_byte_for_byte() {
        let mut page = PageWriter::new(Escaping::AllowUtf8);
        page.family(
            "read_bytes",
            Kind::Counter,
            Some("bytes"),
            "Read",
            |family| {
                family.metric([("a", "1"), ("b", "")], |metric| {
                    metric.counter(3.0, None, None);
                });
            },
        );
        page.family("b", Kind::Info, Some("x"), "", |family| {
            family.metric(NO_LABELS, |metric| metric.gauge(1.0));
        });
        let expected: &[&[u8]] = &[
            &[18 + 6 + 2 + 28 + 7],
            b"\x0a\x10read_bytes_total",
            b"\x12\x04Read",
            b"\x18\x00", // a counter
            &[0x22, 8 + 7 + 11],
            b"\x0a\x06\x0a\x01a\x12\x011",
            b"\x0a\x05\x0a\x01b\x12\x00",
            b"\x1a\x09\x09\0\0\0\0\0\0\x08\x40",
            b"\x2a\x05bytes",
            &[8 + 2 + 2 + 13],
            b"\x0a\x06b_info",
            b"\x12\x00",
            b"\x18\x01", // a gauge
            b"\x22\x0b\x12\x09\x09\0\0\0\0\0\0\xf0\x3f",
        ];
        assert_eq!(page.into_bytes(), expected.concat());
    }

    #[test]
    fn types_have_the_numbers_of_the_data_model() {
        for (kind, name, number) in [
            (Kind::Counter, "x_total", 0),
            (Kind::Gauge, "x", 1),
            (Kind::Info, "x_info", 1),
            (Kind::PlainCounter, "x", 0),
            (Kind::Unknown, "x", 3),
            (Kind::Histogram, "x", 4),
        ] {
            let mut page = PageWriter::new(Escaping::AllowUtf8);
            page.family("x", kind, None, "", |_| {});
            let length = name.len() as u8;
            let before = [length + 6, 0x0a, length];
            let expected = [&before, name.as_bytes(), &[0x12, 0, 0x18, number]].concat();
            assert_eq!(page.into_bytes(), expected, "{kind:?}");
        }
    }

    #[test]
    fn a_unit_is_shown_where_the_name_ends_in_it() {
        for (name, unit, expected) in [
            ("read_bytes", "bytes", true),
            ("bytes", "bytes", false),
            ("readbytes", "bytes", false),
            ("bytes_read", "bytes", false),
        ] {
            assert_eq!(ends_in_unit(name, unit), expected, "{name}");
        }
    }

    #[test]
    fn numbers_byte_for_byte() {
        let two = [0x09, 0, 0, 0, 0, 0, 0, 0, 0x40];
        let bytes = metric(|metric| metric.untyped(2.0));
        assert_eq!(bytes, [&[0x2a, 9][..], &two].concat());
        let bytes = metric(|metric| metric.timestamp(Timestamp::new(0.3)));
        assert_eq!(bytes, [0x30, 0xac, 0x02]);
    }

    #[test]
    fn a_summary_byte_for_byte() {
        let bytes = metric(|metric| metric.summary(Some(2), Some(3.0), [(0.5, 1.0)], None));
        let expected: &[&[u8]] = &[
            &[0x22, 2 + 9 + 20],         // 4: a summary
            b"\x08\x02",                 // 1: count
            b"\x11\0\0\0\0\0\0\x08\x40", // 2: sum, 1.5 times two to the 1
            &[0x1a, 9 + 9],              // 3: a quantile
            b"\x09\0\0\0\0\0\0\xe0\x3f", // 1: 0.5
            b"\x11\0\0\0\0\0\0\xf0\x3f", // 2: 1.0
        ];
        assert_eq!(bytes, expected.concat());
    }

    #[test]
    fn a_classic_histogram_byte_for_byte() {
        let exemplar = Exemplar {
            labels: vec![("t".into(), "7".into())],
            value: 0.5,
            timestamp: Some(Timestamp::new(2.25)),
        };
        let bytes = metric(|metric| {
            metric.histogram(300, Some(-0.0), |histogram| {
                histogram.bucket(5, 0.5, Some(&exemplar));
                histogram.bucket(7, 2.0, None);
                // It equals the count.
                histogram.bucket(300, f64::INFINITY, None);
                histogram.created(Some(Timestamp::new(-0.5)));
                histogram.exemplar(&exemplar);
            });
        });
        let half = b"\0\0\0\0\0\0\xe0\x3f";
        let expected: &[&[u8]] = &[
            &[0x3a, 3 + 9 + 41 + 13 + 19 + 29],
            b"\x08\xac\x02",           // 1: count
            b"\x11\0\0\0\0\0\0\0\x80", // 2: sum
            &[0x1a, 2 + 9 + 28],       // 3: a bucket
            b"\x08\x05\x11",
            half,
            &[0x1a, 8 + 9 + 9], // with an exemplar
            b"\x0a\x06\x0a\x01t\x12\x017\x11",
            half,
            // 250,000,000 is 0b1110111_0011010_1100101_0000000.
            b"\x1a\x07\x08\x02\x10\x80\xe5\x9a\x77",
            &[0x1a, 2 + 9], // 3: another one
            b"\x08\x07\x11\0\0\0\0\0\0\0\x40",
            &[0x7a, 11 + 6], // 15: half a second before 1970
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x10\x80\xca\xb5\xee\x01",
            &[0x82, 0x01, 8 + 9 + 9], // 16: an exemplar outside of the buckets
            b"\x0a\x06\x0a\x01t\x12\x017\x11",
            half,
            b"\x1a\x07\x08\x02\x10\x80\xe5\x9a\x77",
        ];
        assert_eq!(bytes, expected.concat());
    }
}
