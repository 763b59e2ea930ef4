//! The dashboard, as Grafana imports it.

use crate::description::Description;
use crate::naming::{Naming, Selector};
use crate::objective::{BURNS, OBJECTIVE};
use serde_json::{Value, json};
use tower::BoxError;

/// A panel: a title, what it says to whom it is new, a unit of Grafana's, and its queries with their legends.
struct Panel {
    title: &'static str,
    description: &'static str,
    unit: &'static str,
    queries: Vec<(String, String)>,
}

const PANELS_IN_A_ROW: usize = 3;
const WIDTH: usize = 24 / PANELS_IN_A_ROW;
const HEIGHT: usize = 8;

/// The window of rates: at least four scrapes.
const WINDOW: &str = "$__rate_interval";
const SCOPE: &str = r#"job=~"$job""#;

/// Returns the dashboard of a naming.
///
/// # Errors
///
/// Names what a query has and the page doesn't.
pub(crate) fn dashboard(naming: &Naming, page: &Description) -> Result<Value, BoxError> {
    let panels = panels(naming);
    for (expression, _) in panels.iter().flat_map(|panel| &panel.queries) {
        page.check(expression)?;
    }
    let panels = panels.iter().enumerate();
    let panels: Vec<Value> = panels.map(|(index, panel)| panel.json(index)).collect();
    let datasource = json!({
        "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus",
    });
    let job = json!({
        "name": "job", "label": "Job", "type": "query", "datasource": source(),
        "query": {"query": format!("label_values({}, job)", naming.ended().name), "refId": "job"},
        "refresh": 2, "sort": 1, "multi": true, "includeAll": true, "allValue": ".+",
    });
    Ok(json!({
        "title": naming.title,
        "uid": format!("tower-openmetrics-{}", naming.directory.replace('_', "-")),
        "tags": ["tower-openmetrics"],
        "schemaVersion": 39,
        "editable": true,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [datasource, job]},
        "panels": panels,
    }))
}

fn panels(naming: &Naming) -> Vec<Panel> {
    let recorded_of = |name: String| format!("{name}{{{SCOPE}}}");
    let burns = BURNS.iter().map(|burn| {
        let missed = recorded_of(naming.recorded_missed(burn.long));
        (
            format!("{missed} / {}", OBJECTIVE.budget()),
            format!("{{{{job}}}} {}", burn.long),
        )
    });
    let burns = burns.collect();
    let ratio = |what| vec![(recorded_of(naming.recorded(what)), legend("job"))];
    let naming = naming.scoped(SCOPE);
    let rate = |selector: &Selector, labels: &str| selector.rate_by(labels, WINDOW);
    let quantile = |buckets: &Selector, q: &str| {
        format!("histogram_quantile({q}, {})", rate(buckets, "job, le"))
    };
    let quantiles = |buckets: Selector| {
        vec![
            (quantile(&buckets, "0.5"), "{{job}} p50".to_owned()),
            (quantile(&buckets, "0.99"), "{{job}} p99".to_owned()),
        ]
    };
    let [received, sent] = naming.bytes();
    let in_flight = naming.in_flight();
    let panel = |title, description, unit, queries| Panel {
        title,
        description,
        unit,
        queries,
    };
    vec![
        panel(
            "Calls",
            "Calls that ended, by route.",
            "reqps",
            vec![(rate(&naming.ended(), naming.route), legend(naming.route))],
        ),
        panel(
            "Errors",
            "Calls that failed, by the type of their first failure. Each type has a runbook.",
            "reqps",
            vec![(rate(&naming.errors(), "error_type"), legend("error_type"))],
        ),
        panel(
            "Error ratio",
            "The share that failed, without failures that are the callers' fault.",
            "percentunit",
            ratio("errors:ratio_rate"),
        ),
        panel(
            "Duration",
            "From the beginning of a call to the end of its answer, apart from streams.",
            "s",
            quantiles(naming.duration("bucket")),
        ),
        panel(
            "Duration by route",
            "The 99th percentile.",
            "s",
            vec![(
                format!(
                    "histogram_quantile(0.99, {})",
                    rate(&naming.duration("bucket"), &format!("{}, le", naming.route))
                ),
                legend(naming.route),
            )],
        ),
        panel(
            "Burn rate",
            "How fast the objective's budget is spent. At 1 it lasts exactly as long as its window.",
            "none",
            burns,
        ),
        panel(
            "In flight",
            "Calls begun and not ended.",
            "short",
            vec![(
                format!("sum by (job, instance) ({in_flight})"),
                legend("instance"),
            )],
        ),
        panel(
            "Cancellations",
            "The share of callers that left before the end, apart from streams.",
            "percentunit",
            ratio("cancellations:ratio_rate"),
        ),
        panel(
            "Bytes",
            "Of bodies.",
            "Bps",
            vec![
                (rate(&received, "job"), "{{job}} received".to_owned()),
                (rate(&sent, "job"), "{{job}} sent".to_owned()),
            ],
        ),
        panel(
            "Time to the head",
            "Opt-in: `response_head_seconds`.",
            "s",
            quantiles(naming.metric("response_head_seconds_bucket")),
        ),
        panel(
            "Time to the first byte",
            "Opt-in: `first_byte_seconds`.",
            "s",
            quantiles(naming.metric("first_byte_seconds_bucket")),
        ),
        panel(
            "Streams",
            "How long answers last that stay open by intent. Opt-in: `stream_duration_seconds`.",
            "s",
            quantiles(naming.metric("stream_duration_seconds_bucket")),
        ),
        panel(
            "Uptime",
            "A saw tooth is a crash loop.",
            "s",
            vec![(
                format!(
                    "max by (job, instance) ({})",
                    naming.selector("uptime_seconds")
                ),
                legend("instance"),
            )],
        ),
        panel(
            "File descriptors",
            "The share that is open. Needs the crate's `ProcessCollector`.",
            "percentunit",
            vec![(
                format!(
                    "max by (job, instance) ({} / {})",
                    naming.selector("process_open_fds"),
                    naming.selector("process_max_fds")
                ),
                legend("instance"),
            )],
        ),
        panel(
            "Label overflow",
            "Calls under `_OTHER`, because there was no room for their labels.",
            "reqps",
            vec![(
                rate(&naming.metric("label_overflow_total"), "job"),
                legend("job"),
            )],
        ),
    ]
}

// === impl Panel ===

impl Panel {
    fn json(&self, index: usize) -> Value {
        let Self {
            title,
            description,
            unit,
            queries,
        } = self;
        let targets = queries.iter().zip('A'..).map(|((expression, legend), id)| {
            json!({
                "refId": id, "datasource": source(), "expr": expression, "legendFormat": legend,
            })
        });
        json!({
            "id": index + 1,
            "type": "timeseries",
            "title": title,
            "description": description,
            "datasource": source(),
            "gridPos": {
                "x": index % PANELS_IN_A_ROW * WIDTH,
                "y": index / PANELS_IN_A_ROW * HEIGHT,
                "w": WIDTH,
                "h": HEIGHT,
            },
            "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
            "options": {
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": true},
                "tooltip": {"mode": "multi", "sort": "desc"},
            },
            "targets": targets.collect::<Vec<_>>(),
        })
    }
}

/// Returns a legend that is the value of a label.
fn legend(label: &str) -> String {
    format!("{{{{{label}}}}}")
}

fn source() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}
