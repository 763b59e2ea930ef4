//! The families that layers fill: what they hold, and how that is written.

use super::number::canonical;
use super::text::TextWriter;
use crate::classify::ErrorType;
use crate::labels::push_escaped;
use crate::recorder::Distribution;
use crate::registry::{AUTOMATIC, Automatic, Endpoint, Metric, Table};
use std::collections::BTreeMap;

/// A family, and the endpoints that have samples in it.
pub(super) type Family<'a> = (&'static Automatic, Vec<&'a Endpoint>);

/// What one endpoint's samples say.
pub(super) enum Reading {
    Counter(u64),
    Gauge(u64),
    Histogram(Distribution),
    /// A counter for each error type, in the order of their names.
    Errors(Vec<(ErrorType, u64)>),
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

/// Reads what the endpoint has recorded by now.
pub(super) fn read(metric: Metric, endpoint: &Endpoint) -> Reading {
    let families = &endpoint.families;
    let settings = &families.settings;
    match metric {
        Metric::Cancellations => Reading::Counter(families.end.cancellations()),
        Metric::ConcurrentRequests => Reading::Gauge(families.begin.in_flight()),
        Metric::Errors => Reading::Errors(errors(endpoint)),
        Metric::FirstByteSeconds => Reading::Histogram(families.head.first_byte(settings)),
        Metric::RequestBytes => Reading::Counter(families.begin.request_bytes()),
        Metric::RequestDurationSeconds => Reading::Histogram(families.end.duration(settings)),
        Metric::RequestMessages => Reading::Counter(families.begin.request_messages()),
        Metric::Requests => Reading::Counter(families.end.requests()),
        Metric::ResponseBytes => Reading::Counter(families.head.response_bytes()),
        Metric::ResponseHeadSeconds => Reading::Histogram(families.head.response_head(settings)),
        Metric::ResponseMessages => Reading::Counter(families.head.response_messages()),
    }
}

/// Writes a family: all of its series, in the order given.
pub(super) fn write(text: &mut TextWriter, name: &str, (metric, endpoints): &Family<'_>) {
    text.family(name, metric.kind, metric.unit, metric.help);
    for endpoint in endpoints {
        let labels = endpoint.label_text.as_str();
        match read(metric.metric, endpoint) {
            Reading::Counter(count) => text.sample("_total", labels, |value| value.integer(count)),
            Reading::Gauge(count) => text.sample("", labels, |value| value.integer(count)),
            Reading::Histogram(distribution) => write_histogram(text, endpoint, &distribution),
            Reading::Errors(counts) => write_errors(text, endpoint, &counts),
        }
    }
}

/// Declared types stand there from the start, others once they were met.
fn errors(endpoint: &Endpoint) -> Vec<(ErrorType, u64)> {
    let families = &endpoint.families;
    let mut shown: Vec<_> = families
        .error_types
        .all()
        .into_iter()
        .map(|(index, name, declared)| (name, families.end.errors(index), declared))
        .filter(|(_, count, declared)| *declared || *count > 0)
        .map(|(name, count, _)| (name, count))
        .collect();
    shown.sort_unstable();
    shown
}

fn write_errors(text: &mut TextWriter, endpoint: &Endpoint, counts: &[(ErrorType, u64)]) {
    let around = endpoint.label_text.around("error_type");
    let mut escaped = String::new();
    for (name, count) in counts {
        escaped.clear();
        push_escaped(&mut escaped, name.as_str());
        text.sample_with("_total", around, ("error_type", &escaped), |value| {
            value.integer(*count);
        });
    }
}

fn write_histogram(text: &mut TextWriter, endpoint: &Endpoint, distribution: &Distribution) {
    let around = endpoint.label_text.around("le");
    let bounds = endpoint.families.settings.buckets.seconds();
    let spelt = bounds
        .iter()
        .map(|bound| canonical(*bound))
        .chain(["+Inf".to_owned()]);
    for (bound, count) in spelt.zip(&distribution.cumulative) {
        text.sample_with("_bucket", around, ("le", &bound), |value| {
            value.integer(*count);
        });
    }
    let labels = endpoint.label_text.as_str();
    text.sample("_sum", labels, |value| {
        value.seconds(distribution.sum_nanos.into());
    });
    text.sample("_count", labels, |value| {
        value.integer(distribution.count());
    });
}
