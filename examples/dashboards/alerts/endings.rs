//! Alerts about calls that end before their answer.

use super::{Alert, Rule, Runbook, TICKET, by_route};
use crate::naming::{Naming, Selector};
use crate::scenario::{Fired, Phase, Scenario};

pub(super) fn cancellations_surge(naming: &Naming) -> Alert {
    let leaving = |minutes, cancelled| Phase {
        cancelled,
        ..Phase::calm(minutes, 100 - cancelled)
    };
    let ratio = naming.recorded("cancellations:ratio_rate");
    Alert {
        name: "CancellationsSurge",
        summary: "Callers of {{ $labels.job }} give up",
        description: "{{ $value | humanizePercentage }} of the callers left before the end of their answer: more than three times the share of the last day. Streams don't count.",
        rules: vec![Rule::new(
            format!("{ratio} > 0.05\nand\n{ratio} > 3 * avg_over_time({ratio}[1d])"),
            "10m",
            TICKET,
        )],
        runbook: Runbook {
            meaning: "Callers go away before the end of their answer, far more often than usual.",
            queries: vec![
                by_route(naming, &naming.cancelled()),
                (
                    "Are answers slow? The 99th percentile, in seconds:",
                    naming.recorded("duration_seconds:p99_rate"),
                ),
                (
                    "When do they leave? A step in the buckets is a time limit:",
                    naming.duration("bucket").rate_by("job, le", "5m"),
                ),
            ],
            causes: &[
                "Slow answers.",
                "A proxy or client with a new time limit, shorter than the handler.",
                "A client that was deployed, or that crashes.",
                "Streams that are timed with other calls: see `stream_duration_seconds` in the crate's guide.",
            ],
            actions: &[
                "If answers are slow, follow the runbook `ErrorBudgetBurn` first.",
                "If many leave after the same time, look for the time limit between caller and service.",
            ],
        },
        scenarios: vec![
            Scenario {
                what: "every fifth leaves, after an hour without",
                phases: vec![Phase::calm(60, 100), leaving(20, 20)],
                others: vec![],
                fires: Fired::job("20%"),
            },
            Scenario {
                what: "every fifth leaves at all times",
                phases: vec![leaving(80, 20)],
                others: vec![],
                fires: vec![],
            },
            Scenario {
                what: "only readers of streams leave",
                phases: vec![
                    Phase::calm(60, 100),
                    Phase {
                        streams: 50,
                        ..Phase::calm(20, 100)
                    },
                ],
                others: vec![],
                fires: vec![],
            },
        ],
    }
}

pub(super) fn panicked(naming: &Naming) -> Alert {
    let panics = naming.errors_of_type("panic");
    let one = Phase {
        failed: 1,
        error_type: "panic",
        ..Phase::calm(1, 99)
    };
    // A series that is new and not at 0 has had its first panic before its first scrape.
    let happened = |panics: &Selector| {
        format!(
            "sum by (job) (increase({panics}[15m])) > 0\nor\nsum by (job) ({panics} unless {panics} offset 15m) > 0"
        )
    };
    let of_new = |panics: &Selector| {
        let target = panics.clone().with(r#"job="shop", instance="shop-2""#);
        (target, "_x24 1x4")
    };
    let of_streams = naming.panics_of_streams();
    let counters = of_streams.iter().chain([&panics]);
    let happened: Vec<_> = counters.map(happened).collect();
    let mut scenarios = vec![
        Scenario {
            what: "the first panic",
            phases: vec![Phase::calm(30, 100), one.clone(), Phase::calm(5, 100)],
            others: vec![],
            fires: Fired::job(""),
        },
        Scenario {
            what: "a panic before the first scrape",
            phases: vec![Phase::calm(30, 100)],
            others: vec![of_new(&panics)],
            fires: Fired::job(""),
        },
        Scenario {
            what: "no panic for 20 minutes",
            phases: vec![Phase::calm(10, 100), one, Phase::calm(20, 100)],
            others: vec![],
            fires: vec![],
        },
    ];
    scenarios.extend(of_streams.iter().map(|panics| Scenario {
        what: "a stream panics",
        phases: vec![Phase::calm(30, 100)],
        others: vec![of_new(panics)],
        fires: Fired::job(""),
    }));
    Alert {
        name: "Panicked",
        summary: "A handler of {{ $labels.job }} panicked",
        description: "A call ended by a panic within the last 15 minutes.",
        rules: vec![Rule::new(happened.join("\nor\n"), "0s", TICKET)],
        runbook: Runbook {
            meaning: "A handler panicked. Its caller got an error or a broken connection. Any panic is a bug, so the first one counts.",
            queries: vec![
                by_route(naming, &panics),
                (
                    "One instance or all?",
                    panics.rate_by("job, instance", "5m"),
                ),
            ],
            causes: &[
                "`unwrap`, `expect`, an index or an overflow, on unexpected input.",
                "A poisoned lock: a panic before this one. Then each call to that handler panics.",
            ],
            actions: &[
                "The log of the process has the message, the file and the line.",
                "If panics go on, see whether one client sends the input, and roll back what is new.",
                "If a lock is poisoned, restart the instance.",
            ],
        },
        scenarios,
    }
}
