//! Alerts about processes that are gone, the same in all namings.

use super::{Alert, PAGE, Rule, Runbook};
use crate::naming::Naming;
use crate::scenario::{Fired, Phase, Scenario, TARGET};

pub(super) fn crash_loop(naming: &Naming) -> Alert {
    let scenario = |what, uptime, fires| Scenario {
        what,
        phases: vec![Phase::calm(20, 100)],
        others: vec![(naming.selector("uptime_seconds").with(TARGET), uptime)],
        fires,
    };
    Alert {
        name: "CrashLoop",
        summary: "{{ $labels.instance }} of {{ $labels.job }} restarts again and again",
        description: "It has restarted {{ $value }} times within 15 minutes.",
        rules: vec![Rule::new(
            "max by (job, instance) (resets(uptime_seconds[15m])) > 2".to_owned(),
            "0s",
            PAGE,
        )],
        runbook: Runbook {
            meaning: "The process ends soon after it has begun. Calls that were open then are counted nowhere, nor are those that ended after the last scrape.",
            queries: vec![
                (
                    "How long does it live, in seconds?",
                    "max by (job, instance) (uptime_seconds)".to_owned(),
                ),
                (
                    "Did it panic before?",
                    naming
                        .errors_of_type("panic")
                        .rate_by("job, instance", "15m"),
                ),
                (
                    "How much memory has it?",
                    "max by (job, instance) (process_resident_memory_bytes)".to_owned(),
                ),
            ],
            causes: &[
                "A configuration or secret that is missing or wrong.",
                "Too little memory: the system killed it.",
                "A health check that is too strict, so that a supervisor restarts it.",
                "A panic in `main`, or with `panic = \"abort\"` in any handler.",
            ],
            actions: &[
                "Read the exit code and the last lines of the log of the process before.",
                "Undo the last deployment or change of configuration.",
                "Exit code 137: give it more memory, or find out what grows.",
            ],
        },
        scenarios: vec![
            scenario(
                "it restarts every 4 minutes",
                "0+60x3 0+60x3 0+60x3 0+60x3 0+60x3",
                Fired::instance("3"),
            ),
            scenario("it was deployed", "0+60x9 0+60x9", vec![]),
        ],
    }
}

pub(super) fn target_down(naming: &Naming) -> Alert {
    let scenario = |what, up: &str, values, fires| Scenario {
        what,
        phases: vec![Phase::calm(20, 100)],
        others: vec![
            (naming.selector("up").with(up), values),
            (
                naming.selector("uptime_seconds").with(TARGET),
                "0+60x9 stale",
            ),
        ],
        fires,
    };
    let (shop, other) = (TARGET, r#"job="other", instance="other-1""#);
    Alert {
        name: "TargetDown",
        summary: "{{ $labels.instance }} of {{ $labels.job }} can't be scraped",
        description: "Prometheus has had no page for 5 minutes. No other alert sees this instance.",
        rules: vec![Rule::new(
            // Only jobs that have shown the crate's page within a day.
            "up == 0\nand on (job)\nlast_over_time(uptime_seconds[1d])".to_owned(),
            "5m",
            PAGE,
        )],
        runbook: Runbook {
            meaning: "Prometheus gets no page from this instance: the process is gone, can't be reached, or can't make its page.",
            queries: vec![
                ("Which instances?", "up == 0".to_owned()),
                (
                    "How long had they run, in seconds?",
                    "max by (job, instance) (last_over_time(uptime_seconds[1d]))".to_owned(),
                ),
            ],
            causes: &[
                "The process has ended or hangs.",
                "The port, path or password of the page has changed.",
                "The page answers 500 and names the metric that broke it.",
                "It takes longer than `scrape_timeout`, or the page answers 503 because too many scrapes run at once.",
            ],
            actions: &[
                "See what Prometheus says at Status, Targets.",
                "Ask for the page yourself: `curl -i http://<instance>/metrics`.",
                "If the process is gone, see `CrashLoop`.",
            ],
        },
        scenarios: vec![
            scenario("it is down", shop, "1x9 0x9", Fired::instance("")),
            scenario("it is down for 3 minutes", shop, "1x15 0x3", vec![]),
            scenario("another job is down", other, "0x19", vec![]),
        ],
    }
}
