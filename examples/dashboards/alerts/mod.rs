//! The alerts: when they fire, what they say, what to do then, and tests of all this.

mod calls;
mod endings;
mod limits;
mod process;

use crate::naming::{Naming, Selector};
use crate::scenario::{Fired, Scenario};

/// Rules of one name.
#[derive(Debug)]
pub(crate) struct Alert {
    pub(crate) name: &'static str,
    /// Templates that may use the labels `job` and `instance`, and one of them the value, once.
    pub(crate) summary: &'static str,
    pub(crate) description: &'static str,
    pub(crate) rules: Vec<Rule>,
    pub(crate) runbook: Runbook,
    pub(crate) scenarios: Vec<Scenario>,
}

#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) expression: String,
    /// How long the expression holds before the alert fires.
    pub(crate) wait: &'static str,
    pub(crate) labels: Vec<(&'static str, &'static str)>,
}

/// What a person needs at night.
#[derive(Debug)]
pub(crate) struct Runbook {
    pub(crate) meaning: &'static str,
    /// A question, and the query that answers it.
    pub(crate) queries: Vec<(&'static str, String)>,
    pub(crate) causes: &'static [&'static str],
    pub(crate) actions: &'static [&'static str],
}

/// Somebody is woken.
pub(crate) const PAGE: &str = "page";
/// Somebody looks at it in the morning.
pub(crate) const TICKET: &str = "ticket";

/// The target of all scenarios.
const JOB: (&str, &str) = ("job", "shop");
const INSTANCE: (&str, &str) = ("instance", "shop-1");

pub(crate) fn alerts(naming: &Naming) -> Vec<Alert> {
    vec![
        calls::error_ratio_high(naming),
        calls::error_budget_burn(naming),
        endings::cancellations_surge(naming),
        endings::panicked(naming),
        limits::calls_refused(naming),
        limits::calls_stuck(naming),
        limits::file_descriptors_run_out(naming),
        limits::labels_overflow(naming),
        process::crash_loop(naming),
        process::target_down(naming),
    ]
}

// === impl Rule ===

impl Rule {
    fn new(expression: String, wait: &'static str, severity: &'static str) -> Self {
        Self {
            expression,
            wait,
            labels: vec![("severity", severity)],
        }
    }
}

// === impl Fired ===

impl Fired {
    /// The only rule of an alert fires for the whole job.
    fn job(value: &'static str) -> Vec<Self> {
        vec![Self {
            rule: 0,
            labels: vec![JOB],
            value: value.to_owned(),
        }]
    }

    /// The only rule of an alert fires for one instance.
    fn instance(value: &'static str) -> Vec<Self> {
        vec![Self {
            rule: 0,
            labels: vec![JOB, INSTANCE],
            value: value.to_owned(),
        }]
    }
}

/// The question that each alert begins with.
fn by_route(naming: &Naming, selector: &Selector) -> (&'static str, String) {
    let labels = format!("job, {}", naming.route);
    ("For whom, and since when?", selector.rate_by(&labels, "5m"))
}
