//! That all settings do something.

use super::Given;
use crate::Error;

/// # Errors
///
/// Names the setting that would do nothing for this layer: nobody would have asked for it but by mistake.
pub(super) fn all_do_something(given: &Given) -> Result<(), Error> {
    let idle = overruled(given)
        .or_else(|| about_heads(given))
        .or_else(|| about_messages(given))
        .or_else(|| without_labels(given))
        .or_else(|| without_its_metric(given))
        .or_else(|| without_buckets(given));
    match idle {
        None => Ok(()),
        Some((setting, why)) => Err(Error::new(format!("`{setting}` would do nothing: {why}"))),
    }
}

/// A setting, and why it would do nothing.
type Idle = (&'static str, String);

/// Names that a later setting takes away.
fn overruled(given: &Given) -> Option<Idle> {
    let [setting, .., last] = &given.named_by[..] else {
        return None;
    };
    Some((
        setting,
        format!("`{last}` after it gives the metrics other names; leave one out"),
    ))
}

/// What looks at heads, where there are none.
fn about_heads(given: &Given) -> Option<Idle> {
    let mut labels = given.labels.iter();
    let label = labels.find(|label| !label.is_of_message());
    let of_heads = [
        ("filter", given.filter.is_some()),
        ("label", label.is_some()),
        ("exemplars", given.exemplars.is_some()),
        ("stream_duration_seconds", given.streams.is_some()),
        ("stream_requests", given.stream_requests.is_some()),
    ];
    let setting = first(of_heads).filter(|_| !given.has_heads)?;
    let of = label.filter(|_| setting == "label");
    let of = of.map_or(String::new(), |label| format!("`{}`: ", label.name()));
    Some((
        setting,
        format!(
            "{of}it is about the heads of requests and responses, which unary and streaming services don't have. Take it out, or use what looks at messages, `Label::from_message` and `filter_messages`, or give a protocol of your own whose `Protocol::head` makes one to `protocol_builder`"
        ),
    ))
}

/// What looks at messages, where there are none.
fn about_messages(given: &Given) -> Option<Idle> {
    let mut labels = given.labels.iter();
    let label = labels.find(|label| label.is_of_message());
    let of_messages = [
        ("filter_messages", given.filter_messages.is_some()),
        ("label", label.is_some()),
    ];
    let setting = first(of_messages).filter(|_| !given.has_messages)?;
    let of = label.filter(|_| setting == "label");
    let of = of.map_or(String::new(), |label| format!("`{}`: ", label.name()));
    Some((
        setting,
        format!(
            "{of}it is about the messages of unary and streaming services, and HTTP has none. Use what looks at heads, `Label::from_request` and `filter`"
        ),
    ))
}

/// What is about labels of requests, where there are none.
fn without_labels(given: &Given) -> Option<Idle> {
    let of_labels = [
        ("declare", !given.declared.is_empty()),
        ("cardinality_limit", given.cardinality_limit.is_some()),
        ("series_idle_timeout", given.series_idle_timeout.is_some()),
    ];
    let is_labelled = |given: &Given| {
        let own = given.labels.iter().chain(&given.default_labels);
        own.count() > 0 || given.naming.is_open_telemetry()
    };
    let setting = first(of_labels).filter(|_| !is_labelled(given))?;
    Some((
        setting,
        "no label is read from calls; give some by `label`".to_owned(),
    ))
}

/// What belongs to metrics that are not there.
fn without_its_metric(given: &Given) -> Option<Idle> {
    let has_streams = given.streams.is_some() || given.stream_requests.is_some();
    let has_sizes = given.naming.is_open_telemetry();
    let sizes = "sizes are of the conventions that `open_telemetry` sets";
    let all = [
        (
            "messages_total",
            given.messages && !given.counts_messages,
            "HTTP has no messages; gRPC and other protocols have",
        ),
        (
            "error_types",
            !given.error_types.is_empty() && given.naming.is_open_telemetry(),
            "types of errors stand at 0 on `errors_total`, which the conventions that `open_telemetry` sets don't have",
        ),
        (
            "response_head_buckets",
            given.response_head_buckets.is_some() && !given.response_head_seconds,
            "say `response_head_seconds(true)` to have the metric",
        ),
        (
            "first_byte_buckets",
            given.first_byte_buckets.is_some() && !given.first_byte_seconds,
            "say `first_byte_seconds(true)` to have the metric",
        ),
        (
            "stream_buckets",
            given.stream_buckets.is_some() && !has_streams,
            "say what is a stream, by `stream_duration_seconds` or `stream_requests`",
        ),
        (
            "body_size_buckets",
            given.body_size_buckets.is_some() && !has_sizes,
            sizes,
        ),
        (
            "request_body_size_buckets",
            given.request_body_size_buckets.is_some() && !has_sizes,
            sizes,
        ),
        (
            "response_body_size_buckets",
            given.response_body_size_buckets.is_some() && !has_sizes,
            sizes,
        ),
    ];
    let mut all = all.into_iter();
    let (setting, _, why) = all.find(|(_, is_idle, _)| *is_idle)?;
    Some((setting, why.to_owned()))
}

/// Bounds of buckets that are not there.
fn without_buckets(given: &Given) -> Option<Idle> {
    let bounds = [
        ("buckets", given.buckets.is_some()),
        (
            "response_head_buckets",
            given.response_head_buckets.is_some(),
        ),
        ("first_byte_buckets", given.first_byte_buckets.is_some()),
        ("stream_buckets", given.stream_buckets.is_some()),
    ];
    let setting = first(bounds).filter(|_| !given.classic_histograms)?;
    Some((
        setting,
        "`classic_histograms(false)` takes away the buckets that have bounds".to_owned(),
    ))
}

/// The first setting that is given.
fn first<const N: usize>(settings: [(&'static str, bool); N]) -> Option<&'static str> {
    let mut settings = settings.into_iter();
    settings.find_map(|(setting, is_given)| is_given.then_some(setting))
}
