//! What the dashboard shows.

use crate::description::Description;
use crate::naming::{Naming, Selector};
use crate::objective::{BURNS, OBJECTIVE};
use tower::BoxError;

/// A diagram.
pub(crate) struct Panel {
    pub(crate) title: &'static str,
    /// For those to whom it is new.
    pub(crate) description: String,
    /// As Grafana names it.
    pub(crate) unit: &'static str,
    /// Each with its legend.
    pub(crate) queries: Vec<(String, String)>,
}

/// The window of rates: at least four scrapes.
const WINDOW: &str = "$__rate_interval";
/// The jobs that are chosen.
const SCOPE: &str = r#"job=~"$job""#;

/// Returns the panels, row by row.
///
/// # Errors
///
/// Names what the page doesn't have.
pub(crate) fn panels(naming: &Naming, page: &Description) -> Result<Vec<Panel>, BoxError> {
    let mut all = calls(naming);
    all.extend(metrics(&naming.scoped(SCOPE), page)?);
    Ok(all)
}

/// The outcomes of calls, in words that suit all namings.
fn calls(unscoped: &Naming) -> Vec<Panel> {
    let recorded = |name: String| format!("{name}{{{SCOPE}}}");
    let ratio = |what| vec![(recorded(unscoped.recorded(what)), legend("job"))];
    let burns = BURNS.iter().map(|burn| {
        let missed = recorded(unscoped.recorded_missed(burn.long));
        let legend = format!("{{{{job}}}} {}", burn.long);
        (format!("{missed} / {}", OBJECTIVE.budget()), legend)
    });
    let naming = unscoped.scoped(SCOPE);
    let route = naming.route;
    let slowest = naming
        .duration("bucket")
        .rate_by(&format!("{route}, le"), WINDOW);
    vec![
        panel(
            "Calls",
            "Calls that have ended, by route.",
            "reqps",
            vec![(naming.ended().rate_by(route, WINDOW), legend(route))],
        ),
        panel(
            "Errors",
            "Calls that failed, by the type of their first failure. Each type has a runbook.",
            "reqps",
            vec![(
                naming.errors().rate_by("error_type", WINDOW),
                legend("error_type"),
            )],
        ),
        panel(
            "Error ratio",
            "The share of calls that failed, without failures that are the callers' fault.",
            "percentunit",
            ratio("errors:ratio_rate"),
        ),
        panel(
            "Burn rate",
            "How fast the objective's budget is spent. At 1 it lasts exactly as long as its window.",
            "none",
            burns.collect(),
        ),
        panel(
            "Cancellations",
            "The share of callers that left before the end, apart from streams.",
            "percentunit",
            ratio("cancellations:ratio_rate"),
        ),
        panel(
            "Duration by route",
            "The time that 99 of 100 calls take at most.",
            "s",
            vec![(
                format!("histogram_quantile(0.99, {slowest})"),
                legend(route),
            )],
        ),
    ]
}

/// Metrics as the page describes them.
fn metrics(naming: &Naming, page: &Description) -> Result<Vec<Panel>, BoxError> {
    let described = |title, selector: &Selector, note: &str, unit, queries| {
        let description = format!("{}. {note}", page.help(&selector.name)?);
        Ok::<_, BoxError>(panel(title, description.trim_end(), unit, queries))
    };
    let quantile = |buckets: &Selector, q: &str| {
        format!(
            "histogram_quantile({q}, {})",
            buckets.rate_by("job, le", WINDOW)
        )
    };
    let quantiles = |title, buckets: Selector, note| {
        let queries = vec![
            (quantile(&buckets, "0.5"), "{{job}} p50".to_owned()),
            (quantile(&buckets, "0.99"), "{{job}} p99".to_owned()),
        ];
        described(title, &buckets, note, "s", queries)
    };
    let rate = |selector: &Selector| vec![(selector.rate_by("job", WINDOW), legend("job"))];
    let gauge = |expression: String, by: &str| {
        vec![(
            format!("{by} by (job, instance) ({expression})"),
            legend("instance"),
        )]
    };
    let [received, sent] = naming.bytes();
    let in_flight = naming.in_flight();
    let oldest = naming.metric("oldest_request_age_seconds");
    let longest = naming.metric("requests_longest_seconds");
    let polled = naming.metric("handler_poll_seconds_sum");
    let uptime = naming.selector("uptime_seconds");
    let overflow = naming.metric("label_overflow_total");
    let [open, limit] = ["process_open_fds", "process_max_fds"].map(|name| naming.selector(name));
    Ok(vec![
        quantiles("Duration", naming.duration("bucket"), "")?,
        quantiles(
            "Time to the head",
            naming.metric("response_head_seconds_bucket"),
            "Opt-in.",
        )?,
        quantiles(
            "Time to the first byte",
            naming.metric("first_byte_seconds_bucket"),
            "Opt-in.",
        )?,
        quantiles(
            "Time to the first item",
            naming.metric("first_item_seconds_bucket"),
            "Opt-in.",
        )?,
        quantiles(
            "Streams",
            naming.metric("stream_duration_seconds_bucket"),
            "Opt-in.",
        )?,
        described(
            "In flight",
            &in_flight,
            "",
            "short",
            gauge(in_flight.to_string(), "sum"),
        )?,
        described(
            "Oldest call in flight",
            &oldest,
            "A line that climbs is a call that hangs. Opt-in.",
            "s",
            gauge(oldest.to_string(), "max"),
        )?,
        described(
            "Longest call",
            &longest,
            "Opt-in.",
            "s",
            gauge(longest.to_string(), "max"),
        )?,
        described(
            "Time in polls",
            &polled,
            "Threads that handlers take up, at each moment. A handler that waits takes none. Opt-in.",
            "short",
            rate(&polled),
        )?,
        described("Bytes received", &received, "", "Bps", rate(&received))?,
        described("Bytes sent", &sent, "", "Bps", rate(&sent))?,
        described(
            "Uptime",
            &uptime,
            "A saw tooth is a crash loop.",
            "s",
            gauge(uptime.to_string(), "max"),
        )?,
        described(
            "File descriptors",
            &open,
            "The share of the limit. Needs `ProcessCollector`.",
            "percentunit",
            gauge(format!("{open} / {limit}"), "max"),
        )?,
        described("Label overflow", &overflow, "", "reqps", rate(&overflow))?,
    ])
}

fn panel(
    title: &'static str,
    description: &str,
    unit: &'static str,
    queries: Vec<(String, String)>,
) -> Panel {
    Panel {
        title,
        description: description.to_owned(),
        unit,
        queries,
    }
}

/// Returns a legend that is the value of a label.
fn legend(label: &str) -> String {
    format!("{{{{{label}}}}}")
}
