//! The families that layers fill: what they hold, and how that is written.

use super::Format;
use super::number::canonical;
use super::shown::{End, Shown};
use super::text::{TextWriter, Value};
use crate::classify::ErrorType;
use crate::labels::{Added, LabelText, push_escaped};
use crate::recorder::{Detail, Distribution, Place, Settings};
use crate::registry::{AUTOMATIC, Automatic, Metric, Table};
use std::collections::BTreeMap;
use std::rc::Rc;

/// A family, and the endpoints that have samples in it.
pub(super) type Family<'a> = (&'static Automatic, Vec<Rc<Shown<'a>>>);

/// What the samples of one label set say.
pub(super) enum Reading<'r> {
    Counter(u64),
    Gauge(u64),
    /// Of durations.
    Histogram(&'r Distribution),
    /// Of sizes.
    Sizes(&'r Distribution),
    /// A counter for each error type, in the order of their names.
    Errors(Vec<(ErrorType, u64)>),
}

/// The labels of samples: as text, and as pairs for those who write their own.
pub(super) struct SampleLabels<'a> {
    pub(super) text: &'a LabelText,
    pub(super) pairs: &'a dyn Fn() -> Vec<(&'a str, &'a str)>,
}

/// The families of all endpoints, by name, with what they have recorded by now.
pub(super) fn families(table: &Table, detail: Detail) -> BTreeMap<String, Family<'_>> {
    let endpoints = table.endpoints.iter();
    let mut spelt = Spelt::default();
    let endpoints: Vec<_> = endpoints
        .map(|((prefix, _), endpoint)| {
            let bounds = spelt.of(endpoint.families.settings.buckets.shown());
            (prefix, Rc::new(Shown::read(endpoint, detail, bounds)))
        })
        .collect();
    let mut families: BTreeMap<String, Family<'_>> = BTreeMap::new();
    for of_prefix in endpoints.chunk_by(|(a, _), (b, _)| a == b) {
        for metric in &AUTOMATIC {
            let shown = of_prefix.iter().map(|(_, shown)| shown);
            let has = |shown: &&Rc<Shown<'_>>| shown.metrics[metric.metric as usize];
            let mut shown = shown.filter(has).cloned().peekable();
            if shown.peek().is_some() {
                let name = metric.full_name(of_prefix[0].0);
                let (_, endpoints) = families.entry(name).or_insert((metric, Vec::new()));
                endpoints.extend(shown);
            }
        }
    }
    families
}

/// What the endpoint shows of a metric, label set by label set in their order.
pub(super) fn each<'r>(
    metric: Metric,
    shown: &'r Shown<'_>,
    show: &mut dyn FnMut(&SampleLabels<'_>, Reading<'r>),
) {
    use Reading::{Counter, Errors, Gauge, Histogram, Sizes};
    let Shown {
        endpoint,
        begin,
        head,
        end,
        duration,
        error_types,
        metrics: _,
        bounds: _,
    } = shown;
    match metric {
        Metric::ActiveRequests | Metric::ConcurrentRequests => {
            begin.each(show, |begin| Gauge(begin.in_flight));
        }
        Metric::RequestBytes => begin.each(show, |begin| Counter(begin.bytes)),
        Metric::RequestMessages => begin.each(show, |begin| Counter(begin.messages)),

        Metric::FirstByteSeconds => head.each(show, |head| head.first_byte.as_ref().map(Histogram)),
        Metric::ResponseBytes => head.each(show, |head| Counter(head.bytes)),
        Metric::ResponseHeadSeconds => head.each(show, |head| head.head.as_ref().map(Histogram)),
        Metric::ResponseMessages => head.each(show, |head| Counter(head.messages)),

        Metric::Cancellations => end.each(show, |end| Counter(end.cancellations)),
        Metric::Errors => end.each(show, |end| Errors(errors(error_types, end))),
        Metric::Requests => end.each(show, |end| Counter(end.requests)),

        Metric::RequestBodySizeBytes => {
            duration.each(show, |read| Some(Sizes(&read.sizes.as_ref()?[0])));
        }
        Metric::RequestDurationSeconds => duration.each(show, |read| Histogram(&read.calls)),
        Metric::ResponseBodySizeBytes => {
            duration.each(show, |read| Some(Sizes(&read.sizes.as_ref()?[1])));
        }
        Metric::StreamDurationSeconds => {
            duration.each(show, |read| read.streams.as_ref().map(Histogram));
        }

        Metric::LabelOverflow => show(
            &SampleLabels {
                text: &endpoint.label_text,
                pairs: &|| endpoint.labels.iter().collect(),
            },
            Counter(endpoint.families.sets.overflowed()),
        ),
    }
}

/// Writes a family: all of its series, in the order given.
pub(super) fn write(text: &mut TextWriter, name: &str, (metric, endpoints): &Family<'_>) {
    text.family(name, metric.kind, metric.unit, metric.help);
    let mut spelt = Spelt::default();
    for endpoint in endpoints {
        let bounds = match metric.metric {
            Metric::StreamDurationSeconds
            | Metric::RequestBodySizeBytes
            | Metric::ResponseBodySizeBytes => spelt.of(bounds(metric.metric, endpoint.settings())),
            _ => endpoint.bounds.clone(),
        };
        each(metric.metric, endpoint, &mut |labels, reading| {
            let labels = labels.text;
            match reading {
                Reading::Counter(count) => {
                    text.sample("_total", labels.as_str(), |value| value.integer(count));
                }
                Reading::Gauge(count) => {
                    text.sample("", labels.as_str(), |value| value.integer(count));
                }
                Reading::Histogram(durations) => {
                    write_histogram(text, labels, &bounds, durations, |sum| {
                        sum.seconds(durations.sum.into());
                    });
                }
                Reading::Sizes(sizes) => {
                    write_histogram(text, labels, &bounds, sizes, |sum| sum.integer(sizes.sum));
                }
                Reading::Errors(counts) => write_errors(text, labels, &counts),
            }
        });
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
fn errors(error_types: &[Place], end: &End) -> Vec<(ErrorType, u64)> {
    let counts = end.errors.as_ref();
    let count = |place: usize| counts.map_or(0, |counts| counts[place]);
    let all = error_types.iter();
    let all = all.map(|(name, place, declared)| (*name, count(*place), *declared));
    all.filter(|(_, count, declared)| *declared && end.is_declared || *count > 0)
        .map(|(name, count, _)| (name, count))
        .collect()
}

/// The bounds of buckets as they are spelt, `+Inf` included. Most layers have those of the one before.
#[derive(Default)]
struct Spelt {
    bounds: Option<Vec<f64>>,
    texts: Rc<[String]>,
}

impl Spelt {
    fn of(&mut self, bounds: &[f64]) -> Rc<[String]> {
        if self.bounds.as_deref() != Some(bounds) {
            let texts = bounds.iter().map(|bound| canonical(*bound));
            self.texts = texts.chain(["+Inf".to_owned()]).collect();
            self.bounds = Some(bounds.to_vec());
        }
        self.texts.clone()
    }
}

fn write_errors(text: &mut TextWriter, labels: &LabelText, counts: &[(ErrorType, u64)]) {
    let mut samples = text.samples_with("_total", labels, Added::ErrorType);
    let mut escaped = String::new();
    for (name, count) in counts {
        escaped.clear();
        push_escaped(&mut escaped, name.as_str());
        samples.sample(&escaped, |value| value.integer(*count));
    }
}

fn write_histogram(
    text: &mut TextWriter,
    labels: &LabelText,
    bounds: &[String],
    distribution: &Distribution,
    sum: impl FnOnce(&mut Value<'_>),
) {
    let shows_exemplars = text.format() == Format::OpenMetrics;
    let exemplars = distribution.exemplars.iter().filter(|_| shows_exemplars);
    let mut exemplars = exemplars.map(Option::as_ref);
    let mut samples = text.samples_with("_bucket", labels, Added::Le);
    for (bound, count) in bounds.iter().zip(&distribution.cumulative) {
        let exemplar = exemplars.next().flatten();
        samples.sample(bound, |value| {
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
