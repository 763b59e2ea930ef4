//! Refuses settings that can only be a mistake.

use super::Options;
use crate::Error;
use crate::measured::Measured;
use crate::naming::Naming;
use std::time::Duration;

const HEADS: &str = "it reads the heads of requests and responses, which unary and streaming services don't have. Remove it, or read messages by `Label::from_message` and `filter_messages`, or give `protocol_builder` a protocol of your own whose `Protocol::head` returns a head";
const MESSAGES: &str = "it reads the messages of unary and streaming services. Requests of HTTP and gRPC have heads instead: use `Label::from_request` and `filter`";

/// # Errors
///
/// Returns an error that names a setting without effect for this layer.
pub(super) fn all_have_effect(options: &Options) -> Result<(), Error> {
    let no_effect = overruled(options)
        .or_else(|| unread_label(options))
        .or_else(|| without_subject(options))
        .or_else(|| without_buckets(options));
    match no_effect {
        None => Ok(()),
        Some((setting, why)) => Err(Error::new(format!("`{setting}` would do nothing: {why}"))),
    }
}

/// # Errors
///
/// Returns an error that names a setting whose value 0 leaves nothing to measure.
pub(super) fn none_is_zero(options: &Options) -> Result<(), Error> {
    let zero = Some(Duration::ZERO);
    let zeros = [
        (
            options.settings.slow_polls == zero,
            "`slow_polls_total` has a bound of 0 s, so every poll would be slow: give some milliseconds",
        ),
        (
            options.settings.series_idle_timeout == zero,
            "`series_idle_timeout` is 0 s, so every label set would leave at once: give the time of several scrapes",
        ),
        (
            options.cardinality_limit == Some(0),
            "`cardinality_limit` is 0, which leaves no room for a label set: give at least 1",
        ),
    ];
    match zeros.into_iter().find(|(is_zero, _)| *is_zero) {
        None => Ok(()),
        Some((_, why)) => Err(Error::new(why)),
    }
}

/// A setting, and why it has no effect.
type NoEffect = (&'static str, String);

/// Whether each of these settings is given.
type Given<'a> = &'a [(&'static str, bool)];

/// A preset that a later preset replaces.
fn overruled(options: &Options) -> Option<NoEffect> {
    let [(preset, _), .., (last, _)] = options.presets[..] else {
        return None;
    };
    let why = format!("`{last}` after it gives the metrics other names; leave one out");
    Some((preset, why))
}

/// A label that is read from what this layer's requests don't have.
fn unread_label(options: &Options) -> Option<NoEffect> {
    options.labels.iter().find_map(|label| {
        let (is_unread, why) = match label.is_of_message() {
            true => (options.without_messages, MESSAGES),
            false => (options.without_heads, HEADS),
        };
        is_unread.then(|| ("label", format!("`{}`: {why}", label.name())))
    })
}

/// A setting about something that this layer doesn't have, or that another setting replaces.
fn without_subject(options: &Options) -> Option<NoEffect> {
    let settings = &options.settings;
    let streams = settings.streams.clone().unwrap_or_default();
    let finds_items = settings.items_in_frames.is_some();
    let [first_item, item_gap, time_per_item] = [
        Measured::FirstItem,
        Measured::ItemGap,
        Measured::TimePerItem,
    ]
    .map(|time| options.times[time]);
    let has_items = settings.items || first_item || item_gap || time_per_item;
    let is_gen_ai = options.naming() == Naming::GenAiServer;

    // Whether a subject is missing, why, and the settings about it.
    let subjects: [(bool, &str, Given<'_>); 9] = [
        (
            options.without_heads,
            HEADS,
            &[
                ("filter", settings.filter.is_some()),
                ("exemplars", settings.exemplars.is_some()),
                ("stream_duration_seconds", streams.of_responses.is_some()),
                ("stream_requests", streams.of_requests.is_some()),
                ("queue_wait_seconds", options.times[Measured::QueueWait]),
            ],
        ),
        (
            options.without_messages,
            MESSAGES,
            &[("filter_messages", settings.filter_messages.is_some())],
        ),
        (
            options.labels.is_empty() && options.default_labels.is_empty(),
            "the layer has no request labels; add some by `label`",
            &[
                ("declare", !options.declared.is_empty()),
                ("cardinality_limit", options.cardinality_limit.is_some()),
                (
                    "series_idle_timeout",
                    settings.series_idle_timeout.is_some(),
                ),
            ],
        ),
        (
            options.without_message_counts,
            "HTTP has no messages to count; gRPC and other protocols do",
            &[("messages_total", settings.messages)],
        ),
        (
            options.naming().is_open_telemetry(),
            "error types stand at 0 on `errors_total`, which OpenTelemetry's conventions don't have",
            &[("error_types", !options.error_types.is_empty())],
        ),
        (
            options.without_message_counts && !finds_items,
            "HTTP has no items by itself: say how many are in a frame of the body by `items_in_frames`",
            &[
                ("gen_ai", is_gen_ai && (first_item || time_per_item)),
                ("items_total", settings.items),
                ("first_item_seconds", first_item),
                ("item_gap_seconds", item_gap),
                ("time_per_item_seconds", time_per_item),
            ],
        ),
        (
            !has_items,
            "turn on `first_item_seconds`, `item_gap_seconds`, `time_per_item_seconds` or `items_total`",
            &[("items_in_frames", finds_items)],
        ),
        (
            options.without_heads,
            "unary and streaming services have messages and no frames: count the items in each by `Message::items` or `message::items`",
            &[("items_in_frames", finds_items)],
        ),
        (
            options.measures(Measured::RequestSize)
                && options.buckets.has(Measured::RequestSize)
                && options.buckets.has(Measured::ResponseSize),
            "`request_body_size_buckets` and `response_body_size_buckets` replace it",
            &[("body_size_buckets", options.body_size_buckets.is_some())],
        ),
    ];
    for (is_missing, why, settings) in subjects {
        let mut settings = settings.iter();
        if is_missing && let Some((setting, _)) = settings.find(|(_, is_given)| *is_given) {
            return Some((setting, why.to_owned()));
        }
    }
    None
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
