//! What the callers are promised, and how fast the budget of misses may be spent.

use tower_openmetrics::open_telemetry::DURATION_BUCKETS;

/// The promise: change it here, and give your layers its [buckets](Objective::buckets).
pub(crate) const OBJECTIVE: Objective = Objective {
    name: "answered-in-time",
    ratio: 0.999,
    threshold: 0.5,
    days: 30,
};

/// This ratio of the calls of so many days doesn't fail by the service's fault, and takes no longer than the threshold.
#[derive(Debug)]
pub(crate) struct Objective {
    pub(crate) name: &'static str,
    pub(crate) ratio: f64,
    /// In seconds.
    pub(crate) threshold: f64,
    /// The rolling window.
    pub(crate) days: u32,
}

/// An alert for a budget that is spent too fast, over a long window and still over a short one.
#[derive(Debug)]
pub(crate) struct Burn {
    pub(crate) long: &'static str,
    pub(crate) short: &'static str,
    /// How many hours the long window has.
    hours: f64,
    /// The part of the budget that is gone when the alert fires.
    spent: f64,
    /// How long it lasts before anyone is told.
    pub(crate) wait: &'static str,
    pub(crate) severity: &'static str,
}

/// The windows of the [SRE workbook](https://sre.google/workbook/alerting-on-slos/), chapter 5.
pub(crate) const BURNS: [Burn; 4] = [
    Burn {
        long: "1h",
        short: "5m",
        hours: 1.0,
        spent: 0.02,
        wait: "2m",
        severity: "page",
    },
    Burn {
        long: "6h",
        short: "30m",
        hours: 6.0,
        spent: 0.05,
        wait: "5m",
        severity: "page",
    },
    Burn {
        long: "1d",
        short: "2h",
        hours: 24.0,
        spent: 0.1,
        wait: "15m",
        severity: "ticket",
    },
    Burn {
        long: "3d",
        short: "6h",
        hours: 72.0,
        spent: 0.1,
        wait: "30m",
        severity: "ticket",
    },
];

// === impl Objective ===

impl Objective {
    /// Returns bucket bounds of which one is the threshold.
    pub(crate) fn buckets(&self) -> Vec<f64> {
        let mut bounds = DURATION_BUCKETS.to_vec();
        if !bounds.contains(&self.threshold) {
            bounds.push(self.threshold);
            bounds.sort_by(f64::total_cmp);
        }
        bounds
    }

    /// The ratio of calls that may miss the promise.
    pub(crate) fn budget(&self) -> f64 {
        // Without the noise of floating point.
        ((1.0 - self.ratio) * 1e9).round() / 1e9
    }

    /// Returns the ratio of misses at which the alert fires.
    pub(crate) fn limit(&self, burn: &Burn) -> String {
        format!("{} * {}", self.burn_rate(burn), self.budget())
    }

    /// How many times faster than the objective permits the budget is spent.
    pub(crate) fn burn_rate(&self, burn: &Burn) -> f64 {
        let rate = burn.spent * f64::from(self.days) * 24.0 / burn.hours;
        (rate * 1e3).round() / 1e3
    }

    /// All windows of its rules, each once.
    pub(crate) fn windows() -> Vec<&'static str> {
        let mut windows = Vec::new();
        for window in BURNS.iter().flat_map(|burn| [burn.short, burn.long]) {
            if !windows.contains(&window) {
                windows.push(window);
            }
        }
        windows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ODD: Objective = Objective {
        name: "odd",
        ratio: 0.99,
        threshold: 0.3,
        days: 7,
    };

    #[test]
    fn a_bucket_ends_at_the_threshold() {
        for objective in [OBJECTIVE, ODD] {
            let buckets = objective.buckets();
            assert!(buckets.contains(&objective.threshold), "{buckets:?}");
            assert!(buckets.is_sorted_by(|a, b| a < b), "{buckets:?}");
        }
    }

    /// As the SRE workbook computes them for 30 days.
    #[test]
    fn burn_rates_spend_their_part_of_the_budget() {
        let rates = |objective: &Objective| BURNS.map(|burn| objective.burn_rate(&burn));
        assert_eq!(rates(&OBJECTIVE), [14.4, 6.0, 3.0, 1.0]);
        // 2 % of the budget of 168 hours within one of them.
        assert_eq!(rates(&ODD), [3.36, 1.4, 0.7, 0.233]);
        assert_eq!(ODD.limit(&BURNS[0]), "3.36 * 0.01");
    }
}
