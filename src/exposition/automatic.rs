use super::number::canonical;
use super::text::TextWriter;
use crate::labels::push_escaped;
use crate::recorder::Distribution;
use crate::registry::{Automatic, Endpoint, Metric};

/// Writes a family that layers fill: all of its series, in the order given.
pub(super) fn write(
    text: &mut TextWriter,
    name: &str,
    metric: &Automatic,
    endpoints: &[&Endpoint],
) {
    text.family(name, metric.kind, metric.unit, metric.help);
    for endpoint in endpoints {
        write_series(text, metric.metric, endpoint);
    }
}

fn write_series(text: &mut TextWriter, metric: Metric, endpoint: &Endpoint) {
    let families = &endpoint.families;
    let settings = &families.settings;
    match metric {
        Metric::Cancellations => write_counter(text, endpoint, families.end.cancellations()),
        Metric::RequestBytes => write_counter(text, endpoint, families.begin.request_bytes()),
        Metric::RequestMessages => write_counter(text, endpoint, families.begin.request_messages()),
        Metric::ResponseMessages => {
            write_counter(text, endpoint, families.head.response_messages());
        }
        Metric::Requests => write_counter(text, endpoint, families.end.requests()),
        Metric::ResponseBytes => write_counter(text, endpoint, families.head.response_bytes()),
        Metric::ConcurrentRequests => {
            let in_flight = families.begin.in_flight();
            text.sample("", endpoint.label_text.as_str(), |value| {
                value.integer(in_flight);
            });
        }
        Metric::Errors => write_errors(text, endpoint),
        Metric::FirstByteSeconds => {
            write_histogram(text, endpoint, &families.head.first_byte(settings));
        }
        Metric::RequestDurationSeconds => {
            write_histogram(text, endpoint, &families.end.duration(settings));
        }
        Metric::ResponseHeadSeconds => {
            write_histogram(text, endpoint, &families.head.response_head(settings));
        }
    }
}

fn write_counter(text: &mut TextWriter, endpoint: &Endpoint, count: u64) {
    text.sample("_total", endpoint.label_text.as_str(), |value| {
        value.integer(count);
    });
}

/// Declared types stand there from the start, others once they were met.
fn write_errors(text: &mut TextWriter, endpoint: &Endpoint) {
    let families = &endpoint.families;
    let around = endpoint.label_text.around("error_type");
    let mut shown: Vec<_> = families
        .error_types
        .iter()
        .map(|(index, name, declared)| (name, families.end.errors(index), declared))
        .filter(|(_, count, declared)| *declared || *count > 0)
        .collect();
    shown.sort_by_key(|(name, ..)| *name);
    let mut escaped = String::new();
    for (name, count, _) in shown {
        escaped.clear();
        push_escaped(&mut escaped, name.as_str());
        text.sample_with("_total", around, ("error_type", &escaped), |value| {
            value.integer(count);
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
    let mut count = 0;
    for (bound, cumulative) in spelt.zip(&distribution.cumulative) {
        count = *cumulative;
        text.sample_with("_bucket", around, ("le", &bound), |value| {
            value.integer(count);
        });
    }
    let labels = endpoint.label_text.as_str();
    text.sample("_sum", labels, |value| {
        value.seconds(distribution.sum_nanos.into());
    });
    text.sample("_count", labels, |value| value.integer(count));
}
