//! Rejects settings that have no effect.

use super::Options;
use crate::Error;
use crate::measured::Measured;
use crate::naming::Naming;

/// # Errors
///
/// Returns an error that names a setting without effect for this layer, which can only be a mistake.
pub(super) fn all_have_effect(options: &Options) -> Result<(), Error> {
    let no_effect = overruled(options)
        .or_else(|| about_heads(options))
        .or_else(|| about_messages(options))
        .or_else(|| without_labels(options))
        .or_else(|| about_items(options))
        .or_else(|| without_its_metric(options))
        .or_else(|| without_buckets(options));
    match no_effect {
        None => Ok(()),
        Some((setting, why)) => Err(Error::new(format!("`{setting}` would do nothing: {why}"))),
    }
}

/// A setting, and why it has no effect.
type NoEffect = (&'static str, String);

/// Naming presets that a later preset replaces.
fn overruled(options: &Options) -> Option<NoEffect> {
    let [setting, .., last] = &options.naming_setters[..] else {
        return None;
    };
    Some((
        setting,
        format!("`{last}` after it gives the metrics other names; leave one out"),
    ))
}

/// Settings that read heads, without heads.
fn about_heads(options: &Options) -> Option<NoEffect> {
    let mut labels = options.labels.iter();
    let label = labels.find(|label| !label.is_of_message());
    let of_heads = [
        ("filter", options.filter.is_some()),
        ("label", label.is_some()),
        ("exemplars", options.exemplars.is_some()),
        ("stream_duration_seconds", options.streams.is_some()),
        ("stream_requests", options.stream_requests.is_some()),
        (
            "queue_wait_seconds",
            options.timings.is_on(Measured::QueueWait),
        ),
    ];
    let setting = first(of_heads).filter(|_| !options.has_heads)?;
    let of = label.filter(|_| setting == "label");
    let of = of.map_or(String::new(), |label| format!("`{}`: ", label.name()));
    Some((
        setting,
        format!(
            "{of}it reads the heads of requests and responses, which unary and streaming services don't have. Remove it, or read messages by `Label::from_message` and `filter_messages`, or give `protocol_builder` a protocol of your own whose `Protocol::head` returns a head"
        ),
    ))
}

/// Settings that read messages, without messages.
fn about_messages(options: &Options) -> Option<NoEffect> {
    let mut labels = options.labels.iter();
    let label = labels.find(|label| label.is_of_message());
    let of_messages = [
        ("filter_messages", options.filter_messages.is_some()),
        ("label", label.is_some()),
    ];
    let setting = first(of_messages).filter(|_| !options.has_messages)?;
    let of = label.filter(|_| setting == "label");
    let of = of.map_or(String::new(), |label| format!("`{}`: ", label.name()));
    Some((
        setting,
        format!(
            "{of}it reads the messages of unary and streaming services. Requests of HTTP and gRPC have heads instead: use `Label::from_request` and `filter`"
        ),
    ))
}

/// Settings about request labels, without such labels.
fn without_labels(options: &Options) -> Option<NoEffect> {
    let of_labels = [
        ("declare", !options.declared.is_empty()),
        ("cardinality_limit", options.cardinality_limit.is_some()),
        ("series_idle_timeout", options.series_idle_timeout.is_some()),
    ];
    let is_labelled = |options: &Options| {
        let own = options.labels.iter().chain(&options.default_labels);
        own.count() > 0 || options.naming.is_open_telemetry()
    };
    let setting = first(of_labels).filter(|_| !is_labelled(options))?;
    Some((
        setting,
        "the layer has no request labels; add some by `label`".to_owned(),
    ))
}

/// Settings of a metric that the layer doesn't have.
fn without_its_metric(options: &Options) -> Option<NoEffect> {
    let has_streams = options.streams.is_some() || options.stream_requests.is_some();
    let has_sizes = options.naming.is_open_telemetry_http();
    let sizes =
        "only the conventions for HTTP that `open_telemetry` sets have histograms of body sizes";
    let all = [
        (
            "messages_total",
            options.messages && !options.counts_messages,
            "HTTP has no messages to count; gRPC and other protocols do",
        ),
        (
            "error_types",
            !options.error_types.is_empty() && options.naming.is_open_telemetry(),
            "error types stand at 0 on `errors_total`, which OpenTelemetry's conventions don't have",
        ),
        (
            "stream_buckets",
            options.stream_buckets.is_some() && !has_streams,
            "turn the metric on by `stream_duration_seconds` or `stream_requests`",
        ),
        (
            "body_size_buckets",
            options.body_size_buckets.is_some() && !has_sizes,
            sizes,
        ),
        (
            "request_body_size_buckets",
            options.request_body_size_buckets.is_some() && !has_sizes,
            sizes,
        ),
        (
            "response_body_size_buckets",
            options.response_body_size_buckets.is_some() && !has_sizes,
            sizes,
        ),
    ];
    let mut all = all.into_iter();
    let no_effect = all.find(|(_, has_no_effect, _)| *has_no_effect);
    if let Some((setting, _, why)) = no_effect {
        return Some((setting, why.to_owned()));
    }
    let mut timings = options.timings.all();
    let (timing, ..) = timings.find(|(_, is_on, has_buckets)| *has_buckets && !is_on)?;
    let why = format!("turn the metric on by `{}(true)`", timing.setter);
    Some((timing.buckets_setter, why))
}

/// Settings about items, without items.
fn about_items(options: &Options) -> Option<NoEffect> {
    let first_item = options.timings.is_on(Measured::FirstItem);
    let time_per_item = options.timings.is_on(Measured::TimePerItem);
    let of_items = [
        (
            "gen_ai",
            options.naming == Naming::GenAiServer && (first_item || time_per_item),
        ),
        ("items_total", options.items),
        ("first_item_seconds", first_item),
        ("item_gap_seconds", options.timings.is_on(Measured::ItemGap)),
        ("time_per_item_seconds", time_per_item),
    ];
    let finds = options.items_in_frames.is_some();
    match first(of_items) {
        Some(setting) if !options.counts_messages && !finds => Some((
            setting,
            "HTTP has no items by itself: say how many are in a frame of the body by `items_in_frames`".to_owned(),
        )),
        None if finds => Some((
            "items_in_frames",
            "turn on `first_item_seconds`, `item_gap_seconds`, `time_per_item_seconds` or `items_total`".to_owned(),
        )),
        Some(_) if finds && !options.has_heads => Some((
            "items_in_frames",
            "unary and streaming services have messages and no frames: count the items in each by `Message::items` or `message::items`".to_owned(),
        )),
        _ => None,
    }
}

/// Bounds of classic buckets, without classic buckets.
fn without_buckets(options: &Options) -> Option<NoEffect> {
    let bounds = [
        ("buckets", options.buckets.is_some()),
        ("stream_buckets", options.stream_buckets.is_some()),
    ];
    let mut timings = options.timings.all();
    let of_timing =
        timings.find_map(|(timing, _, has_buckets)| has_buckets.then_some(timing.buckets_setter));
    let setting = first(bounds).or(of_timing);
    let setting = setting.filter(|_| !options.classic_histograms)?;
    Some((
        setting,
        "`classic_histograms(false)` removes the buckets that have bounds".to_owned(),
    ))
}

/// Returns the name of the first setting that was options.
fn first<const N: usize>(settings: [(&'static str, bool); N]) -> Option<&'static str> {
    let mut settings = settings.into_iter();
    settings.find_map(|(setting, is_given)| is_given.then_some(setting))
}
