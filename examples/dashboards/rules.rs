//! Recording rules and alerts as Prometheus reads them, and their tests as promtool does.

use crate::alerts::{Alert, alerts};
use crate::description::Description;
use crate::naming::{Naming, Selector, WINDOW};
use crate::objective::{OBJECTIVE, Objective};
use crate::scenario::{Fired, Scenario};
use crate::yaml::{Yaml, list, map};
use tower::BoxError;

/// A recorded expression.
#[derive(Debug)]
struct Recording {
    name: String,
    expression: String,
}

/// Returns the rules of a naming. What they record may then be used elsewhere.
///
/// # Errors
///
/// Names what an expression has and the page doesn't.
pub(crate) fn rules(
    naming: &Naming,
    page: &mut Description,
    runbooks: &str,
) -> Result<Yaml, BoxError> {
    // In one group, which Prometheus evaluates from top to bottom.
    let mut rules = Vec::new();
    for Recording { name, expression } in recordings(naming) {
        page.check(&expression)?;
        page.record(&name);
        rules.push(map([("record", name.into()), ("expr", expression.into())]));
    }
    for alert in alerts(naming) {
        for rule in &alert.rules {
            page.check(&rule.expression)?;
            rules.push(map([
                ("alert", alert.name.into()),
                ("expr", rule.expression.clone().into()),
                ("for", rule.wait.into()),
                ("labels", labels(&rule.labels)),
                ("annotations", annotations(&alert, runbooks, None)),
            ]));
        }
    }
    let group = map([
        (
            "name",
            format!("tower-openmetrics-{}", naming.directory).into(),
        ),
        ("rules", list(rules)),
    ]);
    Ok(map([("groups", list([group]))]))
}

/// Returns the rules as the Prometheus Operator reads them.
pub(crate) fn manifest(naming: &Naming, rules: Yaml) -> Yaml {
    let name = format!("tower-openmetrics-{}", naming.directory).replace('_', "-");
    map([
        ("apiVersion", "monitoring.coreos.com/v1".into()),
        ("kind", "PrometheusRule".into()),
        ("metadata", map([("name", name.into())])),
        ("spec", rules),
    ])
}

fn labels<'a>(labels: impl IntoIterator<Item = &'a (&'static str, &'static str)>) -> Yaml {
    let labels = labels.into_iter();
    map(labels.map(|(name, value)| (*name, (*value).into())))
}

fn recordings(naming: &Naming) -> Vec<Recording> {
    let record = |what: &str, expression: String| Recording {
        name: naming.recorded(what),
        expression,
    };
    let quantile = |q: &str| {
        let buckets = naming.duration("bucket").rate_by("job, le", WINDOW);
        format!("histogram_quantile({q}, {buckets})")
    };
    let mut all = vec![
        record("requests:rate", naming.ended().rate_by("job", WINDOW)),
        record("errors:ratio_rate", naming.share(&naming.failed(), WINDOW)),
        record(
            "overloaded:ratio_rate",
            naming.share(&naming.errors_of_type("overloaded"), WINDOW),
        ),
        record("cancellations:ratio_rate", cancellations(naming)),
        record("duration_seconds:p50_rate", quantile("0.5")),
        record("duration_seconds:p99_rate", quantile("0.99")),
    ];
    all.extend(Objective::windows().into_iter().map(|window| {
        let sum = |selector: Selector| selector.rate_by("job", window);
        let missed = naming.missed(&OBJECTIVE, sum);
        Recording {
            name: naming.recorded_missed(window),
            expression: format!("(\n{missed}\n)\n/ {}", sum(naming.ended())),
        }
    }));
    all
}

/// The share of cancellations, apart from streams: their readers always leave.
fn cancellations(naming: &Naming) -> String {
    if !naming.has_counters {
        return naming.share(&naming.cancelled(), WINDOW);
    }
    let sum = |selector: Selector| selector.rate_by("job", WINDOW);
    let (cancelled, ended, timed) = (naming.cancelled(), naming.ended(), naming.timed());
    let (cancelled, ended, timed) = (sum(cancelled), sum(ended), sum(timed));
    // No stream is timed, so at most `ended - timed` of the cancellations are streams.
    format!("clamp_min(\n  {cancelled}\n  - ({ended} - {timed}),\n  0\n)\n/ {timed}")
}

/// Returns an alert's annotations: templates, or as they are for an alert that has fired.
fn annotations(alert: &Alert, runbooks: &str, fired: Option<&Fired>) -> Yaml {
    let render = |template: &str| {
        let Some(fired) = fired else {
            return template.to_owned();
        };
        let text = fired
            .labels
            .iter()
            .fold(template.to_owned(), |text, (name, value)| {
                text.replace(&format!("{{{{ $labels.{name} }}}}"), value)
            });
        match (text.find("{{ $value"), text.rfind("}}")) {
            (Some(start), Some(end)) => {
                format!("{}{}{}", &text[..start], fired.value, &text[end + 2..])
            }
            _ => text,
        }
    };
    map([
        ("summary", render(alert.summary).into()),
        ("description", render(alert.description).into()),
        (
            "runbook_url",
            format!("{runbooks}/{}.md", alert.name).into(),
        ),
    ])
}

/// Returns the tests of the rules, for `promtool test rules`.
pub(crate) fn tests(naming: &Naming, runbooks: &str) -> Yaml {
    let mut groups = Vec::new();
    for alert in alerts(naming) {
        for scenario in &alert.scenarios {
            groups.push(test(naming, &alert, scenario, runbooks));
        }
    }
    map([
        ("rule_files", list(["rules.yml".into()])),
        ("evaluation_interval", "1m".into()),
        ("tests", list(groups)),
    ])
}

fn test(naming: &Naming, alert: &Alert, scenario: &Scenario, runbooks: &str) -> Yaml {
    let fired = scenario.fires.iter().map(|fired| {
        let of_rule = &alert.rules[fired.rule].labels;
        map([
            ("exp_labels", labels(of_rule.iter().chain(&fired.labels))),
            ("exp_annotations", annotations(alert, runbooks, Some(fired))),
        ])
    });
    let expected = map([
        ("eval_time", format!("{}m", scenario.minutes() - 1).into()),
        ("alertname", alert.name.into()),
        ("exp_alerts", list(fired)),
    ]);
    map([
        ("name", format!("{}: {}", alert.name, scenario.what).into()),
        ("interval", "1m".into()),
        ("input_series", scenario.series(naming)),
        ("alert_rule_test", list([expected])),
    ])
}
