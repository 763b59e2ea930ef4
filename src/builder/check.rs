//! Refuses settings that can only be a mistake.

use super::{Options, Traffic};
use crate::Error;
use crate::measured::Measured;
use crate::naming::Naming;
use crate::settings::Settings;
use std::time::Duration;

const HEADS: &str = "it reads the heads of requests and responses, which unary and streaming services don't have. Remove it, or read messages by `Label::from_message` and `filter_messages`, or give `protocol_builder` a protocol of your own whose `Protocol::head` returns a head";
const MESSAGES: &str = "it reads the messages of unary and streaming services. Requests of HTTP and gRPC have heads instead: use `Label::from_request` and `filter`";

/// # Errors
///
/// Returns an error that names a setting without effect for this layer, or one whose value 0 leaves nothing to measure.
pub(super) fn check(options: &Options) -> Result<(), Error> {
    let no_effect = overruled(options)
        .or_else(|| unread_label(options))
        .or_else(|| without_subject(options))
        .or_else(|| without_buckets(options));
    if let Some((setting, why)) = no_effect {
        return Err(Error::new(format!("`{setting}` would do nothing: {why}")));
    }
    let settings = &options.settings;
    let why = if settings.slow_polls == Some(Duration::ZERO) {
        "`slow_polls_total` has a bound of 0 s, so every poll would be slow: give some milliseconds"
    } else if settings.series_idle_timeout == Some(Duration::ZERO) {
        "`series_idle_timeout` is 0 s, so every label set would leave at once: give the time of several scrapes"
    } else if options.cardinality_limit == Some(0) {
        "`cardinality_limit` is 0, which leaves no room for a label set: give at least 1"
    } else {
        return Ok(());
    };
    Err(Error::new(why))
}

/// A setting, and why it has no effect.
type NoEffect = (&'static str, String);

/// A preset or buckets that later settings replace.
fn overruled(options: &Options) -> Option<NoEffect> {
    if let [(preset, _), .., (last, _)] = options.presets[..] {
        let why = format!("`{last}` after it gives the metrics other names; leave one out");
        return Some((preset, why));
    }
    let last = |of| options.given_buckets(of).map(|given| given.setter);
    let mut setters = options.buckets.iter().map(|given| given.setter);
    let setter =
        setters.find(|setter| !Measured::ALL.into_iter().any(|of| last(of) == Some(setter)))?;
    let why = "later settings replace its buckets; leave it out, or set the buckets of both body sizes before those of one";
    Some((setter, why.to_owned()))
}

/// A label that is read from what this layer's requests don't have.
fn unread_label(options: &Options) -> Option<NoEffect> {
    options.labels.iter().find_map(|label| {
        let why = match label.is_of_message() {
            true => no_messages(options)?,
            false => no_heads(options)?,
        };
        Some(("label", format!("`{}`: {why}", label.name())))
    })
}

fn no_heads(options: &Options) -> Option<&'static str> {
    (options.traffic == Traffic::Messages).then_some(HEADS)
}

fn no_messages(options: &Options) -> Option<&'static str> {
    matches!(options.traffic, Traffic::Http | Traffic::Heads).then_some(MESSAGES)
}

/// A setting about something that this layer doesn't have.
fn without_subject(options: &Options) -> Option<NoEffect> {
    let Settings {
        filter,
        filter_messages,
        exemplars,
        series_idle_timeout: idle_timeout,
        items_in_frames: in_frames,
        items: all_items,
        stream_requests,
        stream_responses,
        ..
    } = &options.settings;
    let limit = options.cardinality_limit;
    let is_http = options.traffic == Traffic::Http;
    let on = |measured| options.times[measured];
    let first_item = on(Measured::FirstItem);
    let item_gap = on(Measured::ItemGap);
    let time_per_item = on(Measured::TimePerItem);
    let has_items = *all_items || first_item || item_gap || time_per_item;
    let is_gen_ai = options.naming() == Naming::GenAiServer;

    // Why a setting would have no effect, if it would.
    let heads = no_heads(options);
    let messages = no_messages(options);
    let labels = (options.labels.is_empty() && options.default_labels.is_empty())
        .then_some("the layer has no request labels; add some by `label`");
    let counts = is_http.then_some("HTTP has no messages to count; gRPC and other protocols do");
    let errors = options.naming().is_open_telemetry().then_some(
        "error types stand at 0 on `errors_total`, which OpenTelemetry's conventions don't have",
    );
    let items = (is_http && in_frames.is_none()).then_some(
        "HTTP has no items by itself: say how many are in a frame of the body by `items_in_frames`",
    );
    let uses = (!has_items).then_some(
        "turn on `first_item_seconds`, `item_gap_seconds`, `time_per_item_seconds` or `items_total`",
    );
    let frames = heads.and(Some(
        "unary and streaming services have messages and no frames: count the items in each by `Message::items` or `message::items`",
    ));
    [
        ("filter", filter.is_some(), heads),
        ("exemplars", exemplars.is_some(), heads),
        ("stream_duration_seconds", stream_responses.is_some(), heads),
        ("stream_requests", stream_requests.is_some(), heads),
        ("queue_wait_seconds", on(Measured::QueueWait), heads),
        ("filter_messages", filter_messages.is_some(), messages),
        ("declare", !options.declared.is_empty(), labels),
        ("cardinality_limit", limit.is_some(), labels),
        ("series_idle_timeout", idle_timeout.is_some(), labels),
        ("messages_total", options.settings.messages, counts),
        ("error_types", !options.error_types.is_empty(), errors),
        ("gen_ai", is_gen_ai && (first_item || time_per_item), items),
        ("items_total", *all_items, items),
        ("first_item_seconds", first_item, items),
        ("item_gap_seconds", item_gap, items),
        ("time_per_item_seconds", time_per_item, items),
        ("items_in_frames", in_frames.is_some(), uses.or(frames)),
    ]
    .into_iter()
    .find_map(|(setting, is_given, why)| Some((setting, why.filter(|_| is_given)?.to_owned())))
}

/// Buckets for a histogram that this layer lacks, or that has no classic buckets.
fn without_buckets(options: &Options) -> Option<NoEffect> {
    Measured::ALL.into_iter().find_map(|measured| {
        let setter = options.given_buckets(measured)?.setter;
        let is_classic = !options.without_classic_histograms || measured.is_size();
        let why = match measured {
            _ if options.measures(measured) && is_classic => return None,
            _ if options.measures(measured) => {
                "`classic_histograms(false)` removes the buckets that have bounds".to_owned()
            }
            Measured::StreamDuration => {
                "turn the metric on by `stream_duration_seconds` or `stream_requests`".to_owned()
            }
            _ if measured.is_size() => {
                "only the conventions for HTTP that `open_telemetry` sets have histograms of body sizes"
                    .to_owned()
            }
            _ => {
                let switch = setter.replace("_buckets", "_seconds(true)");
                format!("turn the metric on by `{switch}`")
            }
        };
        Some((setter, why))
    })
}
