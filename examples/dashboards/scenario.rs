//! What happens in a test of an alert, and the series that Prometheus then has.

use crate::naming::{Naming, Selector};
use crate::objective::OBJECTIVE;
use crate::yaml::{Yaml, list, map};
use std::collections::BTreeSet;

/// Calls per minute, by how they end, for so many minutes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Phase {
    pub(crate) minutes: u32,
    /// In time.
    pub(crate) completed: u32,
    /// Too late for the objective.
    pub(crate) slow: u32,
    pub(crate) failed: u32,
    /// How they fail.
    pub(crate) error_type: &'static str,
    pub(crate) cancelled: u32,
    /// Streams whose reader left.
    pub(crate) streams: u32,
    /// At every time.
    pub(crate) in_flight: u32,
}

/// One job with one instance, and what one alert says of it at its end.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) what: &'static str,
    pub(crate) phases: Vec<Phase>,
    /// Series beside those of the calls, in promtool's notation.
    pub(crate) others: Vec<(Selector, &'static str)>,
    /// The alerts that fire: the labels they have besides their rule's, and their value as text.
    pub(crate) fires: Vec<Fired>,
}

#[derive(Debug)]
pub(crate) struct Fired {
    /// The index of the rule among those of the alert.
    pub(crate) rule: usize,
    pub(crate) labels: Vec<(&'static str, &'static str)>,
    pub(crate) value: String,
}

/// The job and the instance of all scenarios.
pub(crate) const TARGET: &str = r#"job="shop", instance="shop-1""#;

// === impl Phase ===

impl Phase {
    /// Only calls that complete.
    pub(crate) fn calm(minutes: u32, completed: u32) -> Self {
        Self {
            minutes,
            completed,
            ..Self::default()
        }
    }

    fn failed_as(&self, error_type: &str) -> u32 {
        match self.error_type == error_type {
            true => self.failed,
            false => 0,
        }
    }
}

// === impl Scenario ===

impl Scenario {
    /// How long it lasts.
    pub(crate) fn minutes(&self) -> u32 {
        self.phases.iter().map(|phase| phase.minutes).sum()
    }

    /// Returns the series in the notation of `promtool test rules`.
    pub(crate) fn series(&self, naming: &Naming) -> Yaml {
        let mut series = self.calls(naming);
        series.push((naming.in_flight(), self.gauge(|phase| phase.in_flight)));
        let series = series.into_iter();
        let series = series.map(|(selector, values)| (selector.with(TARGET), values));
        let others = self.others.iter().cloned();
        let others = others.map(|(selector, values)| (selector, values.to_owned()));
        list(series.chain(others).map(|(selector, values)| {
            map([
                ("series", selector.to_string().into()),
                ("values", values.into()),
            ])
        }))
    }

    /// The counters of calls.
    fn calls(&self, naming: &Naming) -> Vec<(Selector, String)> {
        let types: BTreeSet<_> = self.phases.iter().map(|phase| phase.error_type).collect();
        let types = types.into_iter().filter(|one| !one.is_empty());
        let threshold = format!(r#"le="{}""#, OBJECTIVE.threshold);
        let in_time = naming.duration("bucket").with(threshold);
        if naming.has_counters {
            self.outcomes_by_name(naming, in_time, types)
        } else {
            self.outcomes_by_label(naming, in_time, types)
        }
    }

    fn outcomes_by_name(
        &self,
        naming: &Naming,
        in_time: Selector,
        types: impl Iterator<Item = &'static str>,
    ) -> Vec<(Selector, String)> {
        let fast = |phase: &Phase| phase.completed + phase.failed + phase.cancelled;
        let timed = move |phase: &Phase| fast(phase) + phase.slow;
        let ended = move |phase: &Phase| timed(phase) + phase.streams;
        let left = |phase: &Phase| phase.cancelled + phase.streams;
        let series = [
            (naming.ended(), self.counter(ended)),
            (naming.timed(), self.counter(timed)),
            (in_time, self.counter(fast)),
            (naming.cancelled(), self.counter(left)),
        ];
        // The page has the built-in types from the start. One of them is enough.
        let types: BTreeSet<_> = types.chain(["generate"]).collect();
        let errors = types.into_iter().map(|error_type| {
            let failed = |phase: &Phase| phase.failed_as(error_type);
            (naming.errors_of_type(error_type), self.counter(failed))
        });
        series.into_iter().chain(errors).collect()
    }

    /// An outcome that never occurs has no series.
    fn outcomes_by_label(
        &self,
        naming: &Naming,
        in_time: Selector,
        types: impl Iterator<Item = &'static str>,
    ) -> Vec<(Selector, String)> {
        let mut all = Vec::new();
        let mut outcome =
            |label: &str, timed: &dyn Fn(&Phase) -> u32, fast: &dyn Fn(&Phase) -> u32| {
                if self.phases.iter().any(|phase| timed(phase) > 0) {
                    let label = format!(r#"error_type="{label}""#);
                    let selector = naming.timed().with(&*label);
                    all.push((selector, self.counter(timed)));
                    all.push((in_time.clone().with(label), self.counter(fast)));
                }
            };
        let completed = |phase: &Phase| phase.completed;
        let cancelled = |phase: &Phase| phase.cancelled;
        outcome("", &|phase| phase.completed + phase.slow, &completed);
        outcome("cancelled", &cancelled, &cancelled);
        for error_type in types {
            let failed = |phase: &Phase| phase.failed_as(error_type);
            outcome(error_type, &failed, &failed);
        }
        all
    }

    fn counter(&self, a_minute: impl Fn(&Phase) -> u32) -> String {
        let mut values = Vec::new();
        let mut last = None;
        for phase in &self.phases {
            let (steps, step) = (phase.minutes - 1, a_minute(phase));
            // A phase goes on a minute after the last value of the one before.
            let begin = last.map_or(0, |last| last + step);
            values.push(format!("{begin}+{step}x{steps}"));
            last = Some(begin + step * steps);
        }
        values.join(" ")
    }

    fn gauge(&self, at_all_times: impl Fn(&Phase) -> u32) -> String {
        let values = self
            .phases
            .iter()
            .map(|phase| format!("{}+0x{}", at_all_times(phase), phase.minutes - 1));
        values.collect::<Vec<_>>().join(" ")
    }
}
