//! Writes included families, from the samples of their text.

use super::messages::{Count, Exemplar, FamilyWriter, MetricWriter, PageWriter, Timestamp};
use crate::registry::{IncludedFamily, Kind, Sample, allow_exemplar, parse_labels, unescape};
use std::borrow::Cow;

/// What a sample means in a family of its type.
enum Role {
    Value,
    Bucket(f64),
    Quantile(f64),
    Sum,
    Count,
    Created,
}

/// The samples of a metric by their roles. Samples of a histogram that differ only in `le` are one
/// metric.
#[derive(Default)]
struct MetricSamples<'s, 'a> {
    value: Option<&'s Sample<'a>>,
    /// Buckets with their bounds, or the values of a summary with their quantiles.
    buckets: Vec<(f64, &'s Sample<'a>)>,
    sum: Option<&'s Sample<'a>>,
    count: Option<&'s Sample<'a>>,
    created: Option<Timestamp>,
}

/// Adds the family if it has samples.
///
/// Samples that don't fit the family's type become untyped families of their own.
pub(super) fn write(page: &mut PageWriter, name: &str, family: &IncludedFamily<'_>) {
    let kind = family.kind;
    let (own, unmatched): (Vec<_>, Vec<_>) = family
        .samples
        .iter()
        .partition(|sample| role(kind, name, sample).is_some());
    if !own.is_empty() {
        page.family(name, kind, family.unit.as_deref(), &family.help, |page| {
            for samples in own.chunk_by(|a, b| a.is_same_series(b)) {
                let labels = unescaped(samples[0].series());
                MetricSamples::new(kind, name, samples).write(page, kind, labels);
            }
        });
    }
    write_untyped(page, &family.help, unmatched);
}

fn write_untyped(page: &mut PageWriter, help: &str, mut samples: Vec<&Sample<'_>>) {
    samples.sort_by(|a, b| a.name.cmp(&b.name));
    for samples in samples.chunk_by(|a, b| a.name == b.name) {
        page.family(&samples[0].name, Kind::Unknown, None, help, |page| {
            for sample in samples {
                page.metric(unescaped(sample.pairs()), |metric| {
                    metric.untyped(sample.number);
                    write_timestamp(metric, sample);
                });
            }
        });
    }
}

fn role(kind: Kind, family: &str, sample: &Sample<'_>) -> Option<Role> {
    let suffix = sample.name.strip_prefix(family)?;
    match (kind, suffix) {
        (Kind::Counter, "_total") | (Kind::Info, "_info") => Some(Role::Value),
        (Kind::Gauge | Kind::PlainCounter | Kind::StateSet | Kind::Unknown, "") => {
            Some(Role::Value)
        }
        (Kind::Histogram, "_bucket") => sample.bound().map(Role::Bucket),
        (Kind::Summary, "") => sample.label("quantile")?.parse().ok().map(Role::Quantile),
        (Kind::Histogram | Kind::Summary, "_sum") => Some(Role::Sum),
        (Kind::Histogram | Kind::Summary, "_count") => Some(Role::Count),
        (Kind::Histogram | Kind::Summary | Kind::Counter, "_created") => Some(Role::Created),
        _ => None,
    }
}

// === impl MetricSamples ===

impl<'s, 'a> MetricSamples<'s, 'a> {
    fn new(kind: Kind, family: &str, samples: &[&'s Sample<'a>]) -> Self {
        let mut series = Self {
            created: samples[0].created.map(Timestamp::from),
            ..Self::default()
        };
        for sample in samples {
            match role(kind, family, sample) {
                Some(Role::Value) => series.value = Some(sample),
                Some(Role::Bucket(bound) | Role::Quantile(bound)) => {
                    series.buckets.push((bound, sample));
                }
                Some(Role::Sum) => series.sum = Some(sample),
                Some(Role::Count) => series.count = Some(sample),
                Some(Role::Created) => series.created = Some(Timestamp::new(sample.number)),
                None => {}
            }
        }
        // The samples have the order in which their encoder wrote them.
        series.buckets.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        series
    }

    fn write(&self, family: &mut FamilyWriter<'_>, kind: Kind, labels: Vec<(&str, Cow<'_, str>)>) {
        match (kind, self.value) {
            (Kind::Histogram, _) => family.metric(labels, |metric| self.write_histogram(metric)),
            (Kind::Summary, _) => family.metric(labels, |metric| self.write_summary(metric)),
            (_, Some(value)) => family.metric(labels, |metric| {
                self.write_number(metric, kind, value);
            }),
            // There is only a `_created` sample.
            (_, None) => {}
        }
    }

    fn write_number(&self, metric: &mut MetricWriter<'_>, kind: Kind, sample: &Sample<'_>) {
        let value = sample.number;
        match kind {
            Kind::Counter => metric.counter(value, exemplar(kind, sample).as_ref(), self.created),
            Kind::PlainCounter => metric.counter(value, None, None),
            Kind::Unknown => metric.untyped(value),
            _ => metric.gauge(value),
        }
        write_timestamp(metric, sample);
    }

    fn write_summary(&self, metric: &mut MetricWriter<'_>) {
        let total = self.count.map(|sample| sample.number as u64);
        let sum = self.sum.map(|sample| sample.number);
        let quantiles = self.buckets.iter();
        let quantiles = quantiles.map(|(quantile, sample)| (*quantile, sample.number));
        metric.summary(total, sum, quantiles, self.created);
        let first = self.buckets.first().map(|(_, sample)| *sample);
        if let Some(sample) = self.count.or(first) {
            write_timestamp(metric, sample);
        }
    }

    fn write_histogram(&self, metric: &mut MetricWriter<'_>) {
        let last = self.buckets.last().map(|(_, sample)| *sample);
        let total = self.count.or(last);
        let total_count = total.map_or(Count::Integer(0), count);
        metric.histogram(total_count, self.sum.map(|sum| sum.number), |histogram| {
            for (bound, sample) in &self.buckets {
                let exemplar = exemplar(Kind::Histogram, sample);
                // The bucket of `+Inf` equals the count. It is needed only for an exemplar.
                if *bound < f64::INFINITY || exemplar.is_some() {
                    histogram.bucket(count(sample), *bound, exemplar.as_ref());
                }
            }
            if let Some(created) = self.created {
                histogram.created(created);
            }
        });
        if let Some(total) = total {
            write_timestamp(metric, total);
        }
    }
}

/// Returns the count as an integer if it is whole, even if it is written as a float: not all readers
/// of this format know the fields for floats.
fn count(sample: &Sample<'_>) -> Count {
    let number = sample.number;
    match sample.value.parse() {
        Ok(count) => Count::Integer(count),
        Err(_) if number >= 0.0 && number.fract() == 0.0 => Count::Integer(number as u64),
        Err(_) => Count::Float(number),
    }
}

fn write_timestamp(metric: &mut MetricWriter<'_>, sample: &Sample<'_>) {
    let seconds = sample.timestamp.as_deref();
    let seconds = seconds.and_then(|seconds| seconds.parse().ok());
    if let Some(seconds) = seconds {
        metric.timestamp(Timestamp::new(seconds));
    }
}

/// Returns the exemplar of a sample, or `None` if it is malformed. The sample stays.
fn exemplar<'a>(kind: Kind, sample: &Sample<'a>) -> Option<Exemplar<'a>> {
    let text = sample.exemplar?;
    if !allow_exemplar(kind, &sample.name, text) {
        return None;
    }
    let (labels, rest) = parse_labels(text)?;
    let (value, timestamp) = value_and_timestamp(rest.trim_start());
    Some(Exemplar {
        labels: labels
            .into_iter()
            .map(|(name, value)| (name, unescape(value)))
            .collect(),
        value,
        timestamp,
    })
    .filter(|exemplar| !exemplar.value.is_nan())
}

/// Parses a number and the optional timestamp after it. A malformed number is NaN.
fn value_and_timestamp(text: &str) -> (f64, Option<Timestamp>) {
    let mut numbers = text.split(' ').map(str::parse);
    let value = numbers.next().and_then(Result::ok);
    let timestamp = numbers.next().and_then(Result::ok);
    (value.unwrap_or(f64::NAN), timestamp.map(Timestamp::new))
}

fn unescaped<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<(&'a str, Cow<'a, str>)> {
    labels
        .map(|(name, value)| (name, unescape(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::escaping::Escaping;
    use crate::registry::parse;

    /// Returns the page of the families in a text.
    fn page_of(text: &str) -> Vec<u8> {
        let mut page = PageWriter::new(Escaping::AllowUtf8);
        for (name, mut family) in parse(text).unwrap() {
            // Sorts the samples. Families that break a rule never get here, so errors don't matter.
            let _invalid = family.arrange(&name);
            write(&mut page, &name, &family);
        }
        page.into_bytes()
    }

    /// Returns the page that `write` writes.
    fn page(write: impl FnOnce(&mut PageWriter)) -> Vec<u8> {
        let mut page = PageWriter::new(Escaping::AllowUtf8);
        write(&mut page);
        page.into_bytes()
    }

    const NO_LABELS: [(&str, &str); 0] = [];

    #[test]
    fn numbers_keep_their_type_labels_and_order() {
        let text = "# HELP a Of \\ \"a\"\nb\n# TYPE a counter\n# UNIT a a\n\
             a_total{z=\"2\",y=\"\\\"\"} 1\na_total{y=\"\"} 2.5\na_created{y=\"\"} 1.5\n\
             # HELP b \n# TYPE b gauge\nb inf 7.5\n\
             # HELP c \n# TYPE c info\nc_info{v=\"1\"} 1\n\
             # HELP d \n# TYPE d unknown\nd -2\n\
             # HELP e \n# TYPE e gauge\n";
        let expected = page(|page| {
            page.family("a", Kind::Counter, None, "Of \\ \"a\"\nb", |family| {
                family.metric([("y", "")], |metric| {
                    metric.counter(2.5, None, Some(Timestamp::new(1.5)));
                });
                family.metric([("y", "\""), ("z", "2")], |metric| {
                    metric.counter(1.0, None, None);
                });
            });
            page.family("b", Kind::Gauge, None, "", |family| {
                family.metric(NO_LABELS, |metric| {
                    metric.gauge(f64::INFINITY);
                    metric.timestamp(Timestamp::new(7.5));
                });
            });
            page.family("c", Kind::Info, None, "", |family| {
                family.metric([("v", "1")], |metric| metric.gauge(1.0));
            });
            page.family("d", Kind::Unknown, None, "", |family| {
                family.metric(NO_LABELS, |metric| metric.untyped(-2.0));
            });
        });
        assert_eq!(page_of(text), expected);
    }

    #[test]
    fn the_samples_of_a_histogram_are_one_metric() {
        let text = "# HELP a \n# TYPE a histogram\n\
             a_sum{x=\"1\"} 2.5\na_count{x=\"1\"} 4\n\
             a_bucket{le=\"+Inf\",x=\"1\"} 4\n\
             a_bucket{le=\"2.0\",x=\"1\"} 3 # {t=\"7\"} 1.5 2.0\n\
             a_bucket{le=\"0.5\",x=\"1\"} 1\n\
             a_created{x=\"1\"} 3.5\n\
             a_bucket{le=\"1\",x=\"0\"} 0.5\n\
             a_bucket{le=\"+Inf\",x=\"0\"} 1.5 # {} 9\n";
        let second = Exemplar {
            labels: vec![("t".into(), "7".into())],
            value: 1.5,
            timestamp: Some(Timestamp::new(2.0)),
        };
        let last = Exemplar {
            labels: Vec::new(),
            value: 9.0,
            timestamp: None,
        };
        let expected = page(|page| {
            page.family("a", Kind::Histogram, None, "", |family| {
                family.metric([("x", "0")], |metric| {
                    metric.histogram(Count::Float(1.5), None, |histogram| {
                        histogram.bucket(Count::Float(0.5), 1.0, None);
                        histogram.bucket(Count::Float(1.5), f64::INFINITY, Some(&last));
                    });
                });
                family.metric([("x", "1")], |metric| {
                    metric.histogram(Count::Integer(4), Some(2.5), |histogram| {
                        histogram.bucket(Count::Integer(1), 0.5, None);
                        histogram.bucket(Count::Integer(3), 2.0, Some(&second));
                        histogram.created(Timestamp::new(3.5));
                    });
                });
            });
        });
        assert_eq!(page_of(text), expected);
    }

    #[test]
    fn samples_that_do_not_fit_their_family_are_untyped_families() {
        let text = "# HELP a Asked\n# TYPE a summary\n\
             a_sum 3\na{quantile=\"0.5\"} 1\na_count 2\n\
             # HELP b \n# TYPE b histogram\nb_bucket{le=\"x\"} 1\nb_count 2\n";
        let expected = page(|page| {
            page.family("a", Kind::Summary, None, "Asked", |family| {
                family.metric(NO_LABELS, |metric| {
                    metric.summary(Some(2), Some(3.0), [(0.5, 1.0)], None);
                });
            });
            page.family("b", Kind::Histogram, None, "", |family| {
                family.metric(NO_LABELS, |metric| {
                    metric.histogram(Count::Integer(2), None, |_| {});
                });
            });
            page.family("b_bucket", Kind::Unknown, None, "", |family| {
                family.metric([("le", "x")], |metric| metric.untyped(1.0));
            });
        });
        assert_eq!(page_of(text), expected);
    }

    #[test]
    fn whole_counts_are_integers() {
        for (text, expected) in [
            ("a 0", Count::Integer(0)),
            ("a 18446744073709551615", Count::Integer(u64::MAX)),
            ("a 4.0 7", Count::Integer(4)),
            ("a 1e+06", Count::Integer(1_000_000)),
            ("a 0.5", Count::Float(0.5)),
            ("a -1", Count::Float(-1.0)),
            ("a +Inf", Count::Float(f64::INFINITY)),
        ] {
            let found = Sample::parse(text).as_ref().map(count);
            assert_eq!(found, Some(expected), "{text}");
        }
    }

    #[test]
    fn malformed_exemplars_are_left_out() {
        for (text, expected) in [
            (
                r#"a_total 1 # {t="7",s="8"} 0.5 3.25"#,
                Some((vec![("s", "8"), ("t", "7")], 0.5, Some(3.25))),
            ),
            (r"a_total 1 # {} 2", Some((vec![], 2.0, None))),
            ("a_total 1", None),
            (r#"a_total 1 # {t="7} 1"#, None),
            (r#"a_total 1 # {t="7"} x"#, None),
            (r#"a_total 1 # {t="7"}"#, None),
        ] {
            let found = Sample::parse(text).map(|sample| {
                let expected = expected.map(|(labels, value, timestamp)| Exemplar {
                    labels: labels
                        .into_iter()
                        .map(|(name, value): (&str, &str)| (name.into(), value.into()))
                        .collect(),
                    value,
                    timestamp: timestamp.map(Timestamp::new),
                });
                assert_eq!(exemplar(Kind::Counter, &sample), expected, "{text}");
            });
            assert_eq!(found, Some(()), "{text}");
        }
    }
}
