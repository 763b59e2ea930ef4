//! The runbooks, in Markdown: one for each alert, and one for each error type.

use crate::alerts::{Alert, PAGE, alerts};
use crate::description::Description;
use crate::error_types::{ERROR_TYPES, ErrorTypeText};
use crate::naming::Naming;
use std::fmt::Write;
use tower::BoxError;

const GUIDE: &str = "https://docs.rs/tower-openmetrics/latest/tower_openmetrics/guide/at_night";

/// Returns the runbooks, each with its path.
///
/// # Errors
///
/// Names what a query has and the page doesn't, and the error type that has no runbook.
pub(crate) fn runbooks(
    naming: &Naming,
    page: &Description,
) -> Result<Vec<(String, String)>, BoxError> {
    let mut all = Vec::new();
    for alert in alerts(naming) {
        for (_, query) in &alert.runbook.queries {
            page.check(query)?;
        }
        all.push((format!("{}.md", alert.name), of_alert(&alert)));
    }
    for name in &page.error_types {
        let text = ERROR_TYPES.iter().find(|text| text.name == name);
        let text = text.ok_or_else(|| format!("no runbook for the error type `{name}`"))?;
        let queries = queries_of_type(naming, name);
        for (_, query) in &queries {
            page.check(query)?;
        }
        all.push((
            format!("error_type/{name}.md"),
            of_error_type(text, &queries),
        ));
    }
    Ok(all)
}

fn of_alert(alert: &Alert) -> String {
    let Alert {
        name,
        rules,
        runbook,
        ..
    } = alert;
    let wakes = rules
        .iter()
        .any(|rule| rule.labels.contains(&("severity", PAGE)));
    let urgency = match wakes {
        true => "It wakes somebody: calls are affected now.",
        false => "It can wait for the morning.",
    };
    let mut text = format!("# {name}\n\n{}\n\n{urgency}\n", runbook.meaning);
    section(&mut text, "What usually is behind it", runbook.causes);
    queries(&mut text, &runbook.queries);
    section(&mut text, "What to do", runbook.actions);
    text + &more("../")
}

fn of_error_type(text: &ErrorTypeText, asked: &[(&'static str, String)]) -> String {
    let ErrorTypeText {
        name,
        server,
        client,
        causes,
        actions,
    } = text;
    let mut page = format!("# error_type = {name}\n");
    for (whose, meaning) in [("On a server", server), ("In a client", client)] {
        if !meaning.is_empty() {
            page += &format!("\n{whose}: {meaning}\n");
        }
    }
    section(&mut page, "What usually is behind it", causes);
    queries(&mut page, asked);
    section(&mut page, "What to do", actions);
    page + &more("../../")
}

fn queries_of_type(naming: &Naming, error_type: &str) -> Vec<(&'static str, String)> {
    let errors = naming.errors_of_type(error_type);
    vec![
        (
            "For whom, and since when?",
            errors.rate_by(&format!("job, {}", naming.route), "5m"),
        ),
        (
            "One instance or all?",
            errors.rate_by("job, instance", "5m"),
        ),
        ("Which share of the calls?", naming.share(&errors, "5m")),
    ]
}

fn section(text: &mut String, title: &str, lines: &[&str]) {
    write!(text, "\n## {title}\n\n").expect("a string takes it");
    for line in lines {
        writeln!(text, "- {line}").expect("a string takes it");
    }
}

fn queries(text: &mut String, queries: &[(&'static str, String)]) {
    text.push_str("\n## What narrows it down\n");
    for (question, query) in queries {
        write!(text, "\n{question}\n\n```promql\n{query}\n```\n").expect("a string takes it");
    }
}

/// The last line. `up` is the way to the directory that has the dashboard.
fn more(up: &str) -> String {
    format!(
        "\nMore: the [dashboard]({up}dashboard.json), and [what to look at when something is broken]({GUIDE}).\n"
    )
}
