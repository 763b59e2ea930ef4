//! Alerts about what is full or hangs.

use super::{Alert, PAGE, Rule, Runbook, TICKET, by_route};
use crate::naming::Naming;
use crate::scenario::{Fired, Phase, Scenario, TARGET};

pub(super) fn calls_refused(naming: &Naming) -> Alert {
    let refusing = |failed, error_type| {
        vec![Phase {
            failed,
            error_type,
            ..Phase::calm(20, 1000 - failed)
        }]
    };
    let ratio = naming.recorded("overloaded:ratio_rate");
    let in_flight = naming.in_flight();
    Alert {
        name: "CallsRefused",
        summary: "Calls of {{ $labels.job }} are refused for lack of room",
        description: "{{ $value | humanizePercentage }} of the calls of the last 5 minutes ended as `overloaded`.",
        rules: vec![Rule::new(format!("{ratio} > 0.01"), "5m", PAGE)],
        runbook: Runbook {
            meaning: "There are more calls than the service takes at a time. It refuses some of them without trying: 503, RESOURCE_EXHAUSTED, or tower's `Overloaded`.",
            queries: vec![
                (
                    "How many calls run?",
                    format!("sum by (job, instance) ({in_flight})"),
                ),
                (
                    "Are there more calls than usual?",
                    naming.recorded("requests:rate"),
                ),
                (
                    "Or does each take longer? The median, in seconds:",
                    naming.recorded("duration_seconds:p50_rate"),
                ),
                by_route(naming, &naming.errors_of_type("overloaded")),
            ],
            causes: &[
                "More callers than usual, or one caller that retries without pause.",
                "Slower calls: at the same rate, twice the duration is twice the calls in flight.",
                "Fewer instances than usual.",
            ],
            actions: &[
                "If calls are slow, treat what makes them slow. More instances may make it worse.",
                "If there are more calls, add instances, or limit the caller who sends them.",
            ],
        },
        scenarios: vec![
            Scenario {
                what: "2 % are refused",
                phases: refusing(20, "overloaded"),
                others: vec![],
                fires: Fired::job("2%"),
            },
            Scenario {
                what: "0.5 % are refused",
                phases: refusing(5, "overloaded"),
                others: vec![],
                fires: vec![],
            },
            Scenario {
                what: "2 % fail otherwise",
                phases: refusing(20, "generate"),
                others: vec![],
                fires: vec![],
            },
        ],
    }
}

pub(super) fn calls_stuck(naming: &Naming) -> Alert {
    let labels = format!("job, instance{}", naming.in_flight_labels);
    let in_flight = naming.in_flight();
    let oldest = naming.metric("oldest_request_age_seconds");
    let moving = [Some(naming.ended()), naming.flowing_bytes()];
    let moving = moving.iter().flatten();
    let moving =
        moving.map(|selector| format!("\nunless\n{} > 0", selector.rate_by(&labels, "5m")));
    // Not by `oldest_request_age_seconds`, which is opt-in and high for streams that are open by intent.
    let stuck = format!("sum by ({labels}) (min_over_time({in_flight}[5m])) > 0");
    let hanging = Phase {
        in_flight: 3,
        ..Phase::calm(30, 0)
    };
    let mut scenarios = vec![
        Scenario {
            what: "3 calls don't end",
            phases: vec![Phase::calm(10, 100), hanging.clone()],
            others: vec![],
            fires: Fired::instance("3"),
        },
        Scenario {
            what: "3 calls run at all times, and others end",
            phases: vec![Phase {
                in_flight: 3,
                ..Phase::calm(40, 1)
            }],
            others: vec![],
            fires: vec![],
        },
        Scenario {
            what: "no calls",
            phases: vec![Phase::calm(40, 0)],
            others: vec![],
            fires: vec![],
        },
    ];
    if let Some(bytes) = naming.flowing_bytes() {
        let bytes = bytes.with(TARGET);
        scenarios.push(Scenario {
            what: "3 streams flow",
            phases: vec![hanging],
            others: vec![(bytes, "0+100x30")],
            fires: vec![],
        });
    }
    Alert {
        name: "CallsStuck",
        summary: "Calls hang in {{ $labels.instance }} of {{ $labels.job }}",
        description: "{{ $value }} calls run, and none has ended for 15 minutes.",
        rules: vec![Rule::new(
            moving.fold(stuck, |all, one| all + &one),
            "15m",
            PAGE,
        )],
        runbook: Runbook {
            meaning: "Calls have begun and none ends: the handler waits for something that doesn't come. A stream that is silent for so long looks the same.",
            queries: vec![
                ("Since when?", format!("sum by ({labels}) ({in_flight})")),
                (
                    "How old is the oldest call? If the layer shows it:",
                    format!("max by ({labels}) ({oldest})"),
                ),
                (
                    "Does anything end?",
                    naming.ended().rate_by("job, instance", "5m"),
                ),
            ],
            causes: &[
                "A lock that is never released, or a pool without a free connection.",
                "A call to another service without a time limit.",
                "A thread of the runtime that blocks.",
                "Streams that are open by intent and have nothing to say. Let them send a comment now and then.",
            ],
            actions: &[
                "Take a stack dump first: a restart destroys the evidence.",
                "Restart the instance.",
                "Set a time limit for what the handler waits for.",
            ],
        },
        scenarios,
    }
}

pub(super) fn file_descriptors_run_out(naming: &Naming) -> Alert {
    let target = |name: &str| naming.selector(name).with(TARGET);
    let scenario = |what, open, fires| Scenario {
        what,
        phases: vec![Phase::calm(20, 100)],
        others: vec![
            (target("process_open_fds"), open),
            (target("process_max_fds"), "1000x20"),
        ],
        fires,
    };
    Alert {
        name: "FileDescriptorsRunOut",
        summary: "{{ $labels.instance }} of {{ $labels.job }} will soon accept nobody",
        description: "{{ $value | humanizePercentage }} of its file descriptors are open.",
        rules: vec![Rule::new(
            "max by (job, instance) (process_open_fds / process_max_fds) > 0.8".to_owned(),
            "10m",
            PAGE,
        )],
        runbook: Runbook {
            meaning: "Each connection and file takes a descriptor. Without a free one, nobody can connect. Needs the crate's `ProcessCollector`.",
            queries: vec![
                (
                    "How many are open?",
                    "max by (job, instance) (process_open_fds)".to_owned(),
                ),
                (
                    "How many calls run?",
                    format!("sum by (job, instance) ({})", naming.in_flight()),
                ),
            ],
            causes: &[
                "A server without time limits: connections stay open that have sent half a request, or none.",
                "Many streams.",
                "A leak, if descriptors grow and calls don't.",
            ],
            actions: &[
                "If the number grows slowly, restart the instance, and look for the leak by day: `ls -l /proc/<pid>/fd`.",
                "If there are as many calls as descriptors, raise the limit or add instances.",
            ],
        },
        scenarios: vec![
            scenario("9 of 10 are open", "900x20", Fired::instance("90%")),
            scenario("half of them are open", "500x20", vec![]),
        ],
    }
}

pub(super) fn labels_overflow(naming: &Naming) -> Alert {
    let overflow = naming.metric("label_overflow_total");
    let of_target = overflow.clone().with(TARGET);
    let scenario = |what, values, fires| Scenario {
        what,
        phases: vec![Phase::calm(20, 100)],
        others: vec![(of_target.clone(), values)],
        fires,
    };
    Alert {
        name: "LabelsOverflow",
        summary: "{{ $labels.job }} has more label sets than its limit",
        description: "Some calls of the last hour are counted under `_OTHER`. All sums are still exact.",
        rules: vec![Rule::new(
            format!("sum by (job) (increase({overflow}[1h])) > 0"),
            "0s",
            TICKET,
        )],
        runbook: Runbook {
            meaning: "A label has more values than expected, so new ones are counted together. Numbers by route or method are incomplete; sums are not.",
            queries: vec![
                ("Since when?", overflow.rate_by("job, instance", "5m")),
                (
                    "Which routes are there?",
                    format!("count by (job, {}) ({})", naming.route, naming.ended()),
                ),
            ],
            causes: &[
                "A label that callers choose: a path instead of its template, a tenant, a user agent.",
                "More routes, methods and statuses than the limit.",
            ],
            actions: &[
                "Remove the label or map its values to a few.",
                "If all values are needed, raise `cardinality_limit`.",
            ],
        },
        scenarios: vec![
            scenario("a call overflows", "0x10 1x10", Fired::job("")),
            scenario("none does", "5x20", vec![]),
        ],
    }
}
