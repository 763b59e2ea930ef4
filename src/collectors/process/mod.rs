//! The process's own numbers.

#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[path = "elsewhere.rs"]
mod system;
#[cfg(any(target_os = "linux", target_os = "android"))]
#[path = "linux.rs"]
mod system;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Unit;
use std::fmt;

/// What the operating system knows of this process, by the names that Prometheus'
/// [guidelines for client libraries][guidelines] give it.
///
/// | metric | type | says |
/// |---|---|---|
/// | `process_cpu_seconds_total` | counter | cpu time spent so far, in user and system mode |
/// | `process_resident_memory_bytes` | gauge | memory that is in RAM |
/// | `process_virtual_memory_bytes` | gauge | address space in use |
/// | `process_virtual_memory_max_bytes` | gauge | how much of it may be in use, `+Inf` if that is not limited |
/// | `process_open_fds` | gauge | open file descriptors: files, sockets, pipes |
/// | `process_max_fds` | gauge | how many may be open, `+Inf` if that is not limited |
/// | `process_threads` | gauge | threads |
/// | `process_start_time_seconds` | gauge | when the process began, in seconds since 1970-01-01 UTC |
///
/// They are read from `/proc/self` at each scrape, on Linux and Android. What can't be read is left out: where
/// `/proc` is hidden, and on other systems, the collector can be registered and shows nothing.
///
/// The start time is read once, when the collector is made: Linux reckons it anew whenever its clock is set, and
/// rules that look for restarts would take that for one.
///
/// [guidelines]: https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics
///
/// ```
/// use tower_openmetrics::MetricsRegistry;
/// use tower_openmetrics::collectors::ProcessCollector;
///
/// # fn main() -> Result<(), tower_openmetrics::Error> {
/// let registry = MetricsRegistry::new();
/// registry.register_collector(ProcessCollector::new())?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a collector shows nothing unless it is registered"]
pub struct ProcessCollector {
    start_time_seconds: Option<f64>,
}

/// What could be read.
#[derive(Clone, Copy, Debug, Default)]
struct Readings {
    cpu_seconds: Option<f64>,
    resident_memory_bytes: Option<u64>,
    virtual_memory_bytes: Option<u64>,
    virtual_memory_max_bytes: Option<Limit>,
    open_fds: Option<u64>,
    max_fds: Option<Limit>,
    threads: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "android")),
    expect(dead_code, reason = "nothing is read there")
)]
enum Limit {
    At(u64),
    Unlimited,
}

/// Writes the families of which there is a value.
struct Families<'a>(DescriptorEncoder<'a>);

// === impl ProcessCollector ===

impl ProcessCollector {
    /// A collector for this process.
    pub fn new() -> Self {
        Self {
            start_time_seconds: system::start_time_seconds(),
        }
    }

    fn write(self, readings: Readings, families: &mut Families<'_>) -> fmt::Result {
        let Self { start_time_seconds } = self;
        let Readings {
            cpu_seconds,
            resident_memory_bytes,
            virtual_memory_bytes,
            virtual_memory_max_bytes,
            open_fds,
            max_fds,
            threads,
        } = readings;
        families.counter(
            ("process_cpu", Some(Unit::Seconds)),
            "Time spent on a cpu, in user and system mode",
            cpu_seconds,
        )?;
        families.gauge(
            ("process_resident_memory", Some(Unit::Bytes)),
            "Memory of the process that is in RAM",
            resident_memory_bytes.map(|bytes| bytes as f64),
        )?;
        families.gauge(
            ("process_virtual_memory", Some(Unit::Bytes)),
            "Address space in use",
            virtual_memory_bytes.map(|bytes| bytes as f64),
        )?;
        families.gauge(
            ("process_virtual_memory_max", Some(Unit::Bytes)),
            "Address space that may be in use",
            virtual_memory_max_bytes.map(Limit::as_f64),
        )?;
        families.gauge(
            ("process_open_fds", None),
            "Open file descriptors",
            open_fds.map(|count| count as f64),
        )?;
        families.gauge(
            ("process_max_fds", None),
            "File descriptors that may be open",
            max_fds.map(Limit::as_f64),
        )?;
        families.gauge(
            ("process_threads", None),
            "Threads of the process",
            threads.map(|count| count as f64),
        )?;
        families.gauge(
            ("process_start_time", Some(Unit::Seconds)),
            "When the process began, in seconds since 1970-01-01 UTC",
            start_time_seconds,
        )
    }
}

impl Default for ProcessCollector {
    /// A collector for this process.
    fn default() -> Self {
        Self::new()
    }
}

impl Collector for ProcessCollector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.write(system::read(), &mut Families(encoder))
    }
}

// === impl Limit ===

impl Limit {
    fn as_f64(self) -> f64 {
        match self {
            Self::At(limit) => limit as f64,
            Self::Unlimited => f64::INFINITY,
        }
    }
}

// === impl Families ===

impl Families<'_> {
    fn counter(
        &mut self,
        (stem, unit): (&str, Option<Unit>),
        help: &str,
        value: Option<f64>,
    ) -> fmt::Result {
        let no_exemplar: Option<&Exemplar<NoLabelSet, f64>> = None;
        value.map_or(Ok(()), |value| {
            self.0
                .encode_descriptor(stem, help, unit.as_ref(), MetricType::Counter)?
                .encode_counter(&value, no_exemplar)
        })
    }

    fn gauge(
        &mut self,
        (stem, unit): (&str, Option<Unit>),
        help: &str,
        value: Option<f64>,
    ) -> fmt::Result {
        value.map_or(Ok(()), |value| {
            self.0
                .encode_descriptor(stem, help, unit.as_ref(), MetricType::Gauge)?
                .encode_gauge(&value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MetricsRegistry;
    use crate::exposition::{Encoding, Format, Selection};

    #[derive(Debug)]
    struct Given(Readings);

    impl Collector for Given {
        fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
            let collector = ProcessCollector {
                start_time_seconds: None,
            };
            collector.write(self.0, &mut Families(encoder))
        }
    }

    fn samples(readings: Readings) -> Vec<String> {
        let registry = MetricsRegistry::new();
        registry.register_collector(Given(readings)).unwrap();
        let encoding = Encoding::Text(Format::Prometheus);
        let page = registry.render(encoding, &Selection::default(), &Err);
        let page = String::from_utf8(page.unwrap().into()).unwrap();
        let of_process = |line: &&str| line.contains("process_");
        page.lines().filter(of_process).map(str::to_owned).collect()
    }

    #[test]
    fn what_could_not_be_read_is_left_out() {
        assert!(samples(Readings::default()).is_empty());
        let readings = Readings {
            open_fds: Some(3),
            max_fds: Some(Limit::Unlimited),
            ..Readings::default()
        };
        assert_eq!(
            samples(readings),
            [
                "# HELP process_max_fds File descriptors that may be open",
                "# TYPE process_max_fds gauge",
                "process_max_fds +Inf",
                "# HELP process_open_fds Open file descriptors",
                "# TYPE process_open_fds gauge",
                "process_open_fds 3.0",
            ]
        );
    }
}
