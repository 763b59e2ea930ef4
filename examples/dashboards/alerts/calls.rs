//! Alerts about calls that fail or are slow.

use super::{Alert, JOB, PAGE, Rule, Runbook, by_route};
use crate::naming::Naming;
use crate::objective::{BURNS, OBJECTIVE};
use crate::scenario::{Fired, Phase, Scenario};
use std::ops::Range;

pub(super) fn error_ratio_high(naming: &Naming) -> Alert {
    let failing = |minutes, failed, error_type| Phase {
        failed,
        error_type,
        ..Phase::calm(minutes, 100 - failed)
    };
    let mut scenarios = vec![
        Scenario {
            what: "10 % fail",
            phases: vec![Phase::calm(10, 100), failing(15, 10, "generate")],
            others: vec![],
            fires: Fired::job("10%"),
        },
        Scenario {
            what: "4 % fail",
            phases: vec![failing(25, 4, "generate")],
            others: vec![],
            fires: vec![],
        },
        Scenario {
            what: "10 % fail for 4 minutes",
            phases: vec![Phase::calm(20, 100), failing(4, 10, "generate")],
            others: vec![],
            fires: vec![],
        },
        Scenario {
            what: "half of the callers leave",
            phases: vec![leaving(25, 50, 100)],
            others: vec![],
            fires: vec![],
        },
    ];
    if naming.no_fault.contains("deserialization") {
        scenarios.push(Scenario {
            what: "callers send nonsense",
            phases: vec![failing(25, 50, "deserialization")],
            others: vec![],
            fires: vec![],
        });
    }
    let ratio = naming.recorded("errors:ratio_rate");
    Alert {
        name: "ErrorRatioHigh",
        summary: "More than 5 % of the calls of {{ $labels.job }} fail",
        description: "{{ $value | humanizePercentage }} of the calls of the last 5 minutes failed.",
        rules: vec![Rule::new(format!("{ratio} > 0.05"), "5m", PAGE)],
        runbook: Runbook {
            meaning: "Many calls get an error instead of an answer. A server's failures that are its callers' fault don't count.",
            queries: vec![
                (
                    "How do they fail?",
                    naming.errors().rate_by("job, error_type", "5m"),
                ),
                by_route(naming, &naming.failed()),
                (
                    "One instance or all?",
                    naming.failed().rate_by("job, instance", "5m"),
                ),
            ],
            causes: &[
                "A deployment that began when the failures did.",
                "A database or service behind it that is down or slow.",
                "One broken instance, if the others have no failures.",
            ],
            actions: &[
                "Open the runbook of the error type that is most frequent: `error_type/<type>.md`.",
                "If a deployment is younger than the failures, roll it back before you look further.",
                "If it is one instance, take it out of service and keep its log.",
            ],
        },
        scenarios,
    }
}

pub(super) fn error_budget_burn(naming: &Naming) -> Alert {
    let rules = BURNS.iter().map(|burn| {
        let limit = OBJECTIVE.limit(burn);
        let (long, short) = (
            naming.recorded_missed(burn.long),
            naming.recorded_missed(burn.short),
        );
        let mut rule = Rule::new(
            format!("{long} > {limit}\nand\n{short} > {limit}"),
            burn.wait,
            burn.severity,
        );
        rule.labels.push(("objective", OBJECTIVE.name));
        rule.labels.push(("window", burn.long));
        rule
    });
    let labels = format!("job, {}, le", naming.route);
    let buckets = naming.duration("bucket").rate_by(&labels, "5m");
    Alert {
        name: "ErrorBudgetBurn",
        summary: "{{ $labels.job }} misses its objective too often",
        description: "{{ $value | humanizePercentage }} of the calls failed or were too slow, within the window of the label.",
        rules: rules.collect(),
        runbook: Runbook {
            meaning: "Calls fail, or are slower than the objective permits. At this rate its budget won't last. The label `window` says how fast: 1h and 6h wake somebody, 1d and 3d can wait for the morning.",
            queries: vec![
                ("Do calls fail?", naming.recorded("errors:ratio_rate")),
                (
                    "Or are they slow? The 99th percentile, in seconds:",
                    naming.recorded("duration_seconds:p99_rate"),
                ),
                by_route(naming, &naming.failed()),
                (
                    "How slow is each route?",
                    format!("histogram_quantile(0.99, {buckets})"),
                ),
            ],
            causes: &[
                "If calls fail: the causes of `ErrorRatioHigh`.",
                "If calls are slow: load, a slow dependency or a cold cache.",
                "If only the window 3d fires, again and again: an objective that was never met.",
            ],
            actions: &[
                "Find out whether calls fail or are slow, and on which route.",
                "Undo what changed when it began.",
                "If only 1d or 3d fires, plan the work; nobody needs to get up.",
            ],
        },
        scenarios: burns(),
    }
}

/// Ratios between those at which rules fire, so that one rule more fires with each.
fn burns() -> Vec<Scenario> {
    let [fastest, fast, slow, slowest] = BURNS.map(|burn| OBJECTIVE.burn_rate(&burn));
    let between = |one: f64, other: f64| (one + other) / 2.0;
    let rates = [
        ("too slow to fire", 0.5 * slowest),
        ("over 3d", between(slowest, slow)),
        ("over 1d", between(slow, fast)),
        ("over 6h", between(fast, fastest)),
        ("over 1h", 1.4 * fastest),
    ];
    let missed = |rate: f64| (rate * OBJECTIVE.budget() * f64::from(CALLS)).round() as u32;
    let failing = |failed| Phase {
        failed,
        error_type: "generate",
        ..Phase::calm(40, CALLS - failed)
    };
    let too_slow = |minutes, slow| Phase {
        slow,
        ..Phase::calm(minutes, CALLS - slow)
    };
    let scenario = |what, phases, rules: Range<usize>, ratio| Scenario {
        what,
        phases,
        others: vec![],
        fires: rules.map(|rule| fired(rule, ratio)).collect(),
    };
    let mut all = Vec::new();
    for ((what, rate), first) in rates.into_iter().zip((0..=BURNS.len()).rev()) {
        let missed = missed(rate);
        // By turns, because either spends the budget.
        let phase = match first % 2 {
            0 => failing(missed),
            _ => too_slow(40, missed),
        };
        let ratio = f64::from(missed) / f64::from(CALLS);
        all.push(scenario(what, vec![phase], first..BURNS.len(), ratio));
    }
    all.push(scenario(
        "none completes",
        vec![failing(CALLS)],
        0..BURNS.len(),
        1.0,
    ));
    let leaving = leaving(40, CALLS / 2, CALLS);
    all.push(scenario(
        "half of the callers leave in time",
        vec![leaving],
        0..0,
        0.0,
    ));
    // The last 5 minutes are fine, so the rule over 1h is silent.
    let missed = missed(1.4 * fastest);
    let phases = vec![too_slow(60, missed), Phase::calm(10, CALLS)];
    let ratio = f64::from(missed) / f64::from(CALLS) * 59.0 / 69.0;
    all.push(scenario("over again", phases, 1..BURNS.len(), ratio));
    all
}

/// Calls a minute in the scenarios of the budget. They last for longer than any rule waits.
/// Windows that are longer than a scenario have its ratio.
const CALLS: u32 = 100_000;

fn leaving(minutes: u32, cancelled: u32, of: u32) -> Phase {
    Phase {
        cancelled,
        ..Phase::calm(minutes, of - cancelled)
    }
}

fn fired(rule: usize, ratio: f64) -> Fired {
    Fired {
        rule,
        labels: vec![JOB],
        value: percentage(ratio),
    }
}

/// As `humanizePercentage` of Prometheus writes it: with four digits.
fn percentage(ratio: f64) -> String {
    let percent = ratio * 100.0;
    let whole = percent.max(1e-9).log10().floor() as i32 + 1;
    let text = format!("{percent:.*}", usize::try_from(4 - whole).unwrap_or(0));
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    format!("{text}%")
}
