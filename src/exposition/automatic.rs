//! The families that layers fill: what they hold, and how that is written.

use super::Format;
use super::number::canonical;
use super::text::{TextWriter, Value};
use crate::classify::ErrorType;
use crate::labels::{Carrier, LabelText, push_escaped};
use crate::recorder::{Detail, Distribution, EndSeries, Families, Row, Series, Settings, Shelf};
use crate::registry::{AUTOMATIC, Automatic, Endpoint, Metric, Table};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A family, and the endpoints that have samples in it.
pub(super) type Family<'a> = (&'static Automatic, Vec<&'a Endpoint>);

/// What the samples of one label set say.
pub(super) enum Reading {
    Counter(u64),
    Gauge(u64),
    /// Of durations.
    Histogram(Distribution),
    /// Of sizes.
    Sizes(Distribution),
    /// A counter for each error type, in the order of their names.
    Errors(Vec<(ErrorType, u64)>),
}

/// The labels of samples: as text, and as pairs for those who write their own.
pub(super) struct SampleLabels<'a> {
    pub(super) text: Arc<LabelText>,
    pub(super) pairs: &'a dyn Fn() -> Vec<(&'a str, &'a str)>,
}

/// The families of all endpoints, by name.
pub(super) fn families(table: &Table) -> BTreeMap<String, Family<'_>> {
    let mut families: BTreeMap<String, Family<'_>> = BTreeMap::new();
    for ((prefix, _), endpoint) in &table.endpoints {
        let settings = &endpoint.families.settings;
        for metric in AUTOMATIC.iter().filter(|metric| metric.is_on(settings)) {
            families
                .entry(metric.full_name(prefix))
                .or_insert_with(|| (metric, Vec::new()))
                .1
                .push(endpoint);
        }
    }
    families
}

/// Reads what the endpoint has recorded by now, label set by label set in their order.
pub(super) fn read(
    metric: Metric,
    endpoint: &Endpoint,
    detail: Detail,
    show: &mut dyn FnMut(&SampleLabels<'_>, Reading),
) {
    let families = &endpoint.families;
    let Families { settings, rows, .. } = &**families;
    let begin = &mut Rows::new(endpoint, Carrier::Begin, &rows.begin);
    let head = &mut Rows::new(endpoint, Carrier::Head, &rows.head);
    let end = &mut Rows::new(endpoint, Carrier::End, &rows.end);
    let duration = &mut Rows::new(endpoint, Carrier::Duration, &rows.duration);
    use Reading::{Counter, Gauge, Histogram, Sizes};
    match metric {
        Metric::Cancellations => end.each(show, |row| Counter(row.series.cancellations())),
        Metric::ActiveRequests | Metric::ConcurrentRequests => {
            begin.each(show, |row| Gauge(row.series.in_flight()));
        }
        Metric::Errors => end.each(show, |row| Reading::Errors(errors(families, row))),
        Metric::FirstByteSeconds => head.each(show, |row| {
            Histogram(row.series.first_byte(settings, detail))
        }),
        Metric::LabelOverflow => show(
            &SampleLabels {
                text: endpoint.label_text.clone(),
                pairs: &|| endpoint.labels.iter().collect(),
            },
            Counter(families.sets.overflowed()),
        ),
        Metric::RequestBodySizeBytes => {
            duration.each(show, |row| Sizes(row.series.request_sizes(settings)));
        }
        Metric::RequestBytes => begin.each(show, |row| Counter(row.series.request_bytes())),
        Metric::RequestDurationSeconds => {
            duration.each(show, |row| Histogram(row.series.duration(settings, detail)));
        }
        Metric::RequestMessages => begin.each(show, |row| Counter(row.series.request_messages())),
        Metric::Requests => end.each(show, |row| Counter(row.series.requests())),
        Metric::ResponseBodySizeBytes => {
            duration.each(show, |row| Sizes(row.series.response_sizes(settings)));
        }
        Metric::ResponseBytes => head.each(show, |row| Counter(row.series.response_bytes())),
        Metric::ResponseHeadSeconds => {
            head.each(show, |row| {
                Histogram(row.series.response_head(settings, detail))
            });
        }
        Metric::ResponseMessages => head.each(show, |row| Counter(row.series.response_messages())),
        Metric::StreamDurationSeconds => {
            duration.each(show, |row| {
                Histogram(row.series.stream_duration(settings, detail))
            });
        }
    }
}

/// The rows of metrics that carry the same labels.
struct Rows<'a, S: 'static> {
    endpoint: &'a Endpoint,
    carrier: Carrier,
    shelf: &'a Shelf<S>,
}

impl<'a, S: Series> Rows<'a, S> {
    fn new(endpoint: &'a Endpoint, carrier: Carrier, shelf: &'a Shelf<S>) -> Self {
        Self {
            endpoint,
            carrier,
            shelf,
        }
    }

    fn each(
        &self,
        show: &mut dyn FnMut(&SampleLabels<'_>, Reading),
        read: impl Fn(&'static Row<S>) -> Reading,
    ) {
        for row in self.shelf.shown() {
            let pairs = || self.endpoint.pairs(self.carrier, row);
            let labels = SampleLabels {
                text: row.text(|| LabelText::new(pairs())),
                pairs: &pairs,
            };
            show(&labels, read(row));
        }
    }
}

/// Writes a family: all of its series, in the order given.
pub(super) fn write(text: &mut TextWriter, name: &str, (metric, endpoints): &Family<'_>) {
    text.family(name, metric.kind, metric.unit, metric.help);
    for endpoint in endpoints {
        let settings = &endpoint.families.settings;
        let bounds = bounds(metric.metric, settings);
        read(
            metric.metric,
            endpoint,
            Detail::Classic,
            &mut |labels, reading| {
                let labels = &labels.text;
                match reading {
                    Reading::Counter(count) => {
                        text.sample("_total", labels.as_str(), |value| value.integer(count));
                    }
                    Reading::Gauge(count) => {
                        text.sample("", labels.as_str(), |value| value.integer(count));
                    }
                    Reading::Histogram(distribution) => {
                        write_histogram(text, labels, bounds, &distribution, |sum| {
                            sum.seconds(distribution.sum.into());
                        });
                    }
                    Reading::Sizes(sizes) => {
                        write_histogram(text, labels, bounds, &sizes, |sum| {
                            sum.integer(sizes.sum);
                        });
                    }
                    Reading::Errors(counts) => write_errors(text, labels, &counts),
                }
            },
        );
    }
}

/// The bounds of a histogram's buckets, in seconds or bytes.
pub(super) fn bounds(metric: Metric, settings: &Settings) -> &[f64] {
    let Settings {
        buckets,
        streams,
        sizes,
        ..
    } = settings;
    let of_its_own = match metric {
        Metric::StreamDurationSeconds => streams.as_ref().map(|streams| &streams.buckets),
        Metric::RequestBodySizeBytes | Metric::ResponseBodySizeBytes => sizes.as_ref(),
        _ => None,
    };
    of_its_own.unwrap_or(buckets).shown()
}

/// Declared types stand there from the start where the label set does, others once they were met.
fn errors(families: &Families, row: &Row<EndSeries>) -> Vec<(ErrorType, u64)> {
    let mut shown: Vec<_> = families
        .error_types
        .all()
        .into_iter()
        .map(|(index, name, declared)| (name, row.series.errors(index), declared))
        .filter(|(_, count, declared)| *declared && row.is_declared() || *count > 0)
        .map(|(name, count, _)| (name, count))
        .collect();
    shown.sort_unstable();
    shown
}

fn write_errors(text: &mut TextWriter, labels: &LabelText, counts: &[(ErrorType, u64)]) {
    let around = labels.around("error_type");
    let mut escaped = String::new();
    for (name, count) in counts {
        escaped.clear();
        push_escaped(&mut escaped, name.as_str());
        text.sample_with("_total", around, ("error_type", &escaped), |value| {
            value.integer(*count);
        });
    }
}

fn write_histogram(
    text: &mut TextWriter,
    labels: &LabelText,
    bounds: &[f64],
    distribution: &Distribution,
    sum: impl FnOnce(&mut Value<'_>),
) {
    let around = labels.around("le");
    let spelt = bounds
        .iter()
        .map(|bound| canonical(*bound))
        .chain(["+Inf".to_owned()]);
    let shows_exemplars = text.format() == Format::OpenMetrics;
    let exemplars = distribution.exemplars.iter().filter(|_| shows_exemplars);
    let mut exemplars = exemplars.map(Option::as_ref);
    for (bound, count) in spelt.zip(&distribution.cumulative) {
        let exemplar = exemplars.next().flatten();
        text.sample_with("_bucket", around, ("le", &bound), |value| {
            value.integer(*count);
            if let Some(exemplar) = exemplar {
                value.exemplar(exemplar);
            }
        });
    }
    text.sample("_sum", labels.as_str(), sum);
    text.sample("_count", labels.as_str(), |value| {
        value.integer(distribution.count());
    });
}
