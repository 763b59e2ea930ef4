//! How each naming answers the questions that rules and dashboards ask.

use crate::objective::Objective;
use std::fmt;

/// Who has chosen the names.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Convention {
    Own,
    AxumPrometheus,
    OpenTelemetryServer,
    OpenTelemetryClient,
}

/// What is needed to ask in the names of a convention.
#[derive(Clone, Debug)]
pub(crate) struct Naming {
    pub(crate) convention: Convention,
    /// Where its files go.
    pub(crate) directory: &'static str,
    pub(crate) title: &'static str,
    /// Before the names of metrics.
    prefix: &'static str,
    /// Calls apart from streams, by how long they take.
    duration: &'static str,
    in_flight: &'static str,
    /// The label for the template of a path.
    pub(crate) route: &'static str,
    /// The labels by which calls in flight are told apart, besides those of the target.
    pub(crate) in_flight_labels: &'static str,
    /// Failures and cancellations have counters of their own, and are no label of the duration.
    pub(crate) has_counters: bool,
    /// Values of `error_type` that are not this side's fault, for a regular expression.
    pub(crate) no_fault: &'static str,
    /// Limits all selectors.
    scope: Option<&'static str>,
}

pub(crate) const NAMINGS: [Naming; 4] = [
    Naming {
        convention: Convention::Own,
        directory: "own",
        title: "tower-openmetrics",
        prefix: "",
        duration: "request_duration_seconds",
        in_flight: "concurrent_requests",
        route: "route",
        in_flight_labels: ", route",
        has_counters: true,
        no_fault: "deserialization|invalid_message",
        scope: None,
    },
    Naming {
        convention: Convention::AxumPrometheus,
        directory: "axum_prometheus",
        title: "tower-openmetrics, with axum-prometheus' names",
        prefix: "axum_http_",
        duration: "axum_http_requests_duration_seconds",
        in_flight: "axum_http_requests_pending",
        route: "endpoint",
        in_flight_labels: ", endpoint",
        has_counters: true,
        no_fault: "deserialization|invalid_message",
        scope: None,
    },
    Naming {
        convention: Convention::OpenTelemetryServer,
        directory: "open_telemetry_server",
        title: "tower-openmetrics, with OpenTelemetry's names for servers",
        prefix: "http_server_",
        duration: "http_server_request_duration_seconds",
        in_flight: "http_server_active_requests",
        route: "http_route",
        in_flight_labels: "",
        has_counters: false,
        no_fault: "|cancelled|deserialization|invalid_message",
        scope: None,
    },
    Naming {
        convention: Convention::OpenTelemetryClient,
        directory: "open_telemetry_client",
        title: "tower-openmetrics, with OpenTelemetry's names for clients",
        prefix: "http_client_",
        duration: "http_client_request_duration_seconds",
        in_flight: "http_client_active_requests",
        route: "url_template",
        in_flight_labels: "",
        has_counters: false,
        no_fault: "|cancelled",
        scope: None,
    },
];

/// The window of rates that aren't of the objective.
pub(crate) const WINDOW: &str = "5m";

/// Series of one name.
#[derive(Clone, Debug)]
pub(crate) struct Selector {
    pub(crate) name: String,
    matchers: Vec<String>,
}

// === impl Naming ===

impl Naming {
    /// Limits all selectors to what `matcher` matches.
    pub(crate) fn scoped(&self, matcher: &'static str) -> Self {
        Self {
            scope: Some(matcher),
            ..self.clone()
        }
    }

    /// The name of what a rule records of a rate over the [`WINDOW`].
    pub(crate) fn recorded(&self, what: &str) -> String {
        self.recorded_over(what, WINDOW)
    }

    fn recorded_over(&self, what: &str, window: &str) -> String {
        format!("job:{}{what}{window}", self.prefix)
    }

    /// The name of the recorded share of calls that miss the objective.
    pub(crate) fn recorded_missed(&self, window: &str) -> String {
        self.recorded_over("missed:ratio_rate", window)
    }

    /// A metric that has the same name in all namings, but for the prefix.
    pub(crate) fn metric(&self, name: &str) -> Selector {
        self.selector(format!("{}{name}", self.prefix))
    }

    /// A metric of the process, which has the same name in all namings.
    pub(crate) fn selector(&self, name: impl Into<String>) -> Selector {
        let scope = self.scope.map(str::to_owned);
        Selector {
            name: name.into(),
            matchers: scope.into_iter().collect(),
        }
    }

    /// Calls that have ended. With OpenTelemetry's names, apart from streams.
    pub(crate) fn ended(&self) -> Selector {
        if self.has_counters {
            self.metric("requests_total")
        } else {
            self.timed()
        }
    }

    /// Calls that have ended, apart from streams.
    pub(crate) fn timed(&self) -> Selector {
        self.duration("count")
    }

    /// Buckets, count or sum of the duration.
    pub(crate) fn duration(&self, of: &str) -> Selector {
        self.selector(format!("{}_{of}", self.duration))
    }

    pub(crate) fn in_flight(&self) -> Selector {
        self.selector(self.in_flight)
    }

    /// Series by the label `error_type`.
    fn outcomes(&self) -> Selector {
        if self.has_counters {
            self.metric("errors_total")
        } else {
            self.timed()
        }
    }

    /// All failures.
    pub(crate) fn errors(&self) -> Selector {
        if self.has_counters {
            self.outcomes()
        } else {
            self.outcomes().with(r#"error_type!~"|cancelled""#)
        }
    }

    pub(crate) fn errors_of_type(&self, error_type: &str) -> Selector {
        self.outcomes()
            .with(format!(r#"error_type="{error_type}""#))
    }

    /// Panics that [`errors_of_type`](Self::errors_of_type) doesn't count.
    pub(crate) fn panics_of_streams(&self) -> Option<Selector> {
        let streams = self.metric("stream_duration_seconds_count");
        (!self.has_counters).then(|| streams.with(r#"error_type="panic""#))
    }

    /// Failures that are this side's fault.
    pub(crate) fn failed(&self) -> Selector {
        let matcher = format!(r#"error_type!~"{}""#, self.no_fault);
        self.outcomes().with(matcher)
    }

    /// Calls whose caller left. With OpenTelemetry's names, apart from streams.
    pub(crate) fn cancelled(&self) -> Selector {
        if self.has_counters {
            self.metric("cancellations_total")
        } else {
            self.errors_of_type("cancelled")
        }
    }

    /// Calls that took no longer than the objective's threshold, apart from streams.
    fn in_time(&self, objective: &Objective) -> Selector {
        let threshold = objective.threshold;
        // Prometheus 2 shows a whole bound as the page does, Prometheus 3 always with a point.
        let le = match threshold.fract() {
            0.0 => format!(r#"le=~"{threshold}|{threshold}[.]0""#),
            _ => format!(r#"le="{threshold}""#),
        };
        self.duration("bucket").with(le)
    }

    /// Bytes of responses, as they flow. OpenTelemetry's names only have them once a call has ended.
    pub(crate) fn flowing_bytes(&self) -> Option<Selector> {
        self.has_counters
            .then(|| self.metric("response_bytes_total"))
    }

    /// Bytes of requests and of responses.
    pub(crate) fn bytes(&self) -> [Selector; 2] {
        ["request", "response"].map(|of| {
            self.metric(&if self.has_counters {
                format!("{of}_bytes_total")
            } else {
                format!("{of}_body_size_bytes_sum")
            })
        })
    }

    /// Returns an expression for the calls that miss the objective, given how selectors are summed up.
    ///
    /// Separate counters can't tell a call that is too slow and failed: it counts twice.
    pub(crate) fn missed(&self, objective: &Objective, sum: impl Fn(Selector) -> String) -> String {
        let timed = sum(self.timed());
        let in_time = self.in_time(objective);
        if self.has_counters {
            let (in_time, failed) = (sum(in_time), sum(self.failed()));
            return format!("  {timed}\n  - {in_time}\n  + {failed}");
        }
        let good = in_time.with(format!(r#"error_type=~"{}""#, self.no_fault));
        format!(
            "  {timed}\n  - (\n    {}\n    or 0 * {timed}\n  )",
            sum(good)
        )
    }

    /// Returns the share that some of the calls have of all.
    pub(crate) fn share(&self, of: &Selector, window: &str) -> String {
        let (part, all) = (
            of.rate_by("job", window),
            self.ended().rate_by("job", window),
        );
        if self.has_counters {
            return format!("{part}\n/ {all}");
        }
        // A type that never occurred has no series.
        format!("(\n  {part}\n  or 0 * {all}\n)\n/ {all}")
    }
}

// === impl Selector ===

impl Selector {
    pub(crate) fn with(mut self, matcher: impl Into<String>) -> Self {
        self.matchers.push(matcher.into());
        self
    }

    /// Calls or bytes a second.
    pub(crate) fn rate_by(&self, labels: &str, window: &str) -> String {
        format!("sum by ({labels}) (rate({self}[{window}]))")
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, matchers } = self;
        match matchers.as_slice() {
            [] => write!(out, "{name}"),
            matchers => write!(out, "{name}{{{}}}", matchers.join(", ")),
        }
    }
}
