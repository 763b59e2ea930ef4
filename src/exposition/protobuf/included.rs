//! Writes included families, from the samples of their text.

use super::messages::{Exemplar, FamilyWriter, PageWriter, Timestamp};
use crate::registry::{IncludedFamily, Kind, Sample, parse_labels, unescape};

/// Adds the family if it has samples. They must be sorted.
pub(super) fn write(page: &mut PageWriter, name: &str, family: &IncludedFamily<'_>) {
    let IncludedFamily {
        kind,
        unit,
        help,
        samples,
    } = family;
    if !samples.is_empty() {
        page.family(name, *kind, unit.as_deref(), help, |family| {
            for samples in samples.chunk_by(Sample::is_same_series) {
                write_metric(family, name, *kind, samples);
            }
        });
    }
}

/// Adds a metric. Samples of a histogram that differ only in `le` are one metric.
fn write_metric(family: &mut FamilyWriter<'_>, name: &str, kind: Kind, samples: &[Sample<'_>]) {
    let part = |suffix: &str| {
        let mut samples = samples.iter();
        samples.find(|sample| sample.name[name.len()..] == *suffix)
    };
    let value = match kind {
        Kind::Counter => part("_total"),
        _ => samples.first(),
    };
    // A counter may have only a `_created` sample.
    let Some(value) = value else {
        return;
    };
    let created = part("_created").map(|sample| Timestamp::new(sample.number));
    let created = created.or(value.created.map(Timestamp::from));
    let sum = part("_sum").map(|sample| sample.number);
    let total = part("_count").map(count);
    let labels = value.series().map(|(name, value)| (name, unescape(value)));
    family.metric(labels, |metric| {
        match kind {
            Kind::Counter | Kind::PlainCounter => {
                metric.counter(value.number, exemplar(value).as_ref(), created);
            }
            Kind::Gauge | Kind::Info | Kind::StateSet => metric.gauge(value.number),
            Kind::Unknown => metric.untyped(value.number),
            Kind::Summary => {
                let quantile = |sample: &Sample<'_>| sample.label("quantile")?.parse().ok();
                let quantiles = samples.iter().filter(|sample| sample.name == name);
                let quantiles =
                    quantiles.filter_map(|sample| Some((quantile(sample)?, sample.number)));
                // The samples have the order in which their encoder wrote them.
                let mut quantiles: Vec<(f64, f64)> = quantiles.collect();
                quantiles.sort_by(|(a, _), (b, _)| a.total_cmp(b));
                metric.summary(total, sum, quantiles, created);
            }
            Kind::Histogram => {
                let buckets = samples.iter();
                let buckets = buckets.filter_map(|sample| Some((sample.bound()?, sample)));
                let last = || buckets.clone().next_back();
                let total = total.or_else(|| Some(count(last()?.1)));
                metric.histogram(total.unwrap_or_default(), sum, |histogram| {
                    for (bound, sample) in buckets {
                        let exemplar = exemplar(sample);
                        histogram.bucket(count(sample), bound, exemplar.as_ref());
                    }
                    histogram.created(created);
                });
            }
        }
        // All samples of a metric have the same.
        let timestamp = value.timestamp.as_deref();
        if let Some(seconds) = timestamp.and_then(|seconds| seconds.parse().ok()) {
            metric.timestamp(Timestamp::new(seconds));
        }
    });
}

/// Returns a count, which is whole even if it is written as a float.
fn count(sample: &Sample<'_>) -> u64 {
    let count = sample.value.parse();
    count.unwrap_or(sample.number as u64)
}

/// Returns the exemplar of a sample, or `None` if it is malformed. The sample stays.
fn exemplar<'a>(sample: &Sample<'a>) -> Option<Exemplar<'a>> {
    let (labels, numbers) = parse_labels(sample.exemplar?)?;
    let labels = labels.into_iter();
    let labels = labels.map(|(name, value)| (name, unescape(value)));
    let mut numbers = numbers.split_ascii_whitespace().map(str::parse);
    Some(Exemplar {
        labels: labels.collect(),
        value: numbers.next()?.ok()?,
        timestamp: numbers.next().and_then(Result::ok).map(Timestamp::new),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::escaping::Escaping;
    use crate::registry::parse;
    use std::borrow::Cow;

    /// Returns the page of the families in a text.
    fn page_of(text: &str) -> Vec<u8> {
        let mut page = PageWriter::new(Escaping::AllowUtf8);
        for (name, mut family) in parse(text).unwrap() {
            family.sort_and_check(&name).unwrap();
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
        let text = "# HELP x_a Of \\ \"a\"\nb\n# TYPE x_a counter\n# UNIT x_a a\n\
             x_a_total{z=\"2\",y=\"\\\"\"} 1\nx_a_total{y=\"\"} 2.5\nx_a_created{y=\"\"} 1.5\n\
             # HELP b \n# TYPE b gauge\nb inf 7.5\n\
             # HELP c \n# TYPE c info\nc_info{v=\"1\"} 1\n\
             # HELP d \n# TYPE d unknown\nd -2\n\
             # HELP e \n# TYPE e gauge\n";
        let expected = page(|page| {
            page.family(
                "x_a",
                Kind::Counter,
                Some("a"),
                "Of \\ \"a\"\nb",
                |family| {
                    family.metric([("y", "")], |metric| {
                        metric.counter(2.5, None, Some(Timestamp::new(1.5)));
                    });
                    family.metric([("y", "\""), ("z", "2")], |metric| {
                        metric.counter(1.0, None, None);
                    });
                },
            );
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
             a_bucket{le=\"0.5\",x=\"1\"} 1\n\
             a_bucket{le=\"2.0\",x=\"1\"} 3 # {t=\"7\"} 1.5 2.0\n\
             a_bucket{le=\"+Inf\",x=\"1\"} 4\n\
             a_created{x=\"1\"} 3.5\n\
             a_bucket{le=\"1\",x=\"0\"} 5\n\
             a_bucket{le=\"+Inf\",x=\"0\"} 15 # {} 9\n";
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
                    metric.histogram(15, None, |histogram| {
                        histogram.bucket(5, 1.0, None);
                        histogram.bucket(15, f64::INFINITY, Some(&last));
                    });
                });
                family.metric([("x", "1")], |metric| {
                    metric.histogram(4, Some(2.5), |histogram| {
                        histogram.bucket(1, 0.5, None);
                        histogram.bucket(3, 2.0, Some(&second));
                        histogram.created(Some(Timestamp::new(3.5)));
                    });
                });
            });
        });
        assert_eq!(page_of(text), expected);
    }

    #[test]
    fn the_samples_of_a_summary_are_one_metric() {
        let text = "# HELP a Asked\n# TYPE a summary\n\
             a_sum 3 7\na{quantile=\"0.9\"} 2 7\na{quantile=\"0.5\"} 1 7\na_count 2 7\n";
        let expected = page(|page| {
            page.family("a", Kind::Summary, None, "Asked", |family| {
                family.metric(NO_LABELS, |metric| {
                    metric.summary(Some(2), Some(3.0), [(0.5, 1.0), (0.9, 2.0)], None);
                    metric.timestamp(Timestamp::new(0.007));
                });
            });
        });
        assert_eq!(page_of(text), expected);
    }

    /// A label of that name on the sum or the count tells series apart, as any other.
    #[test]
    fn only_samples_without_a_suffix_are_quantiles() {
        let text = "# HELP a Asked\n# TYPE a summary\na_sum{quantile=\"0.5\"} 3\na_count{quantile=\"0.5\"} 1\n";
        let expected = page(|page| {
            page.family("a", Kind::Summary, None, "Asked", |family| {
                family.metric([("quantile", Cow::Borrowed("0.5"))], |metric| {
                    metric.summary(Some(1), Some(3.0), [], None);
                });
            });
        });
        assert_eq!(page_of(text), expected);
    }

    #[test]
    fn counts_may_be_written_as_floats() {
        for (text, expected) in [
            ("a 0", 0),
            ("a 18446744073709551615", u64::MAX),
            ("a 4.0 7", 4),
            ("a 1e+06", 1_000_000),
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
                assert_eq!(exemplar(&sample), expected, "{text}");
            });
            assert_eq!(found, Some(()), "{text}");
        }
    }
}
