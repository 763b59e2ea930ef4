//! Metrics of this process.

#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[path = "unsupported.rs"]
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

/// A collector for the metrics of this process.
///
/// The names are those of Prometheus' [guidelines for client libraries][guidelines].
///
/// | metric | type | value |
/// |---|---|---|
/// | `process_cpu_seconds_total` | counter | CPU time spent in user and system mode |
/// | `process_resident_memory_bytes` | gauge | memory in RAM |
/// | `process_virtual_memory_bytes` | gauge | address space in use |
/// | `process_virtual_memory_max_bytes` | gauge | limit of the address space, `+Inf` if there is none |
/// | `process_open_fds` | gauge | open file descriptors: files, sockets, pipes |
/// | `process_max_fds` | gauge | limit of open file descriptors, `+Inf` if there is none |
/// | `process_threads` | gauge | threads |
/// | `process_start_time_seconds` | gauge | start time of the process, in seconds since 1970-01-01 UTC |
///
/// The numbers are read from `/proc/self` at each scrape, on Linux and Android. Numbers that can't be read are left
/// out. If `/proc` is hidden, and on other systems, the collector shows nothing.
///
/// The start time is read once, when the collector is made. Linux recalculates it whenever its clock is set, which alerts
/// would take for a restart.
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
#[must_use = "collectors do nothing unless registered"]
pub struct ProcessCollector {
    start_time_seconds: Option<f64>,
}

/// The numbers that could be read. A limit that is unlimited is infinite.
#[derive(Clone, Copy, Debug, Default)]
struct ProcessSnapshot {
    cpu_seconds: Option<f64>,
    resident_memory_bytes: Option<f64>,
    virtual_memory_bytes: Option<f64>,
    virtual_memory_max_bytes: Option<f64>,
    open_fds: Option<f64>,
    max_fds: Option<f64>,
    threads: Option<f64>,
}

// === impl ProcessCollector ===

impl ProcessCollector {
    /// Returns a collector for this process.
    pub fn new() -> Self {
        Self {
            start_time_seconds: system::start_time_seconds(),
        }
    }

    /// Encodes the families that have a value.
    fn write(self, snapshot: ProcessSnapshot, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let ProcessSnapshot {
            cpu_seconds,
            resident_memory_bytes,
            virtual_memory_bytes,
            virtual_memory_max_bytes,
            open_fds,
            max_fds,
            threads,
        } = snapshot;
        let (bytes, seconds) = (Some(&Unit::Bytes), Some(&Unit::Seconds));
        if let Some(cpu_seconds) = cpu_seconds {
            let (name, help) = ("process_cpu", "CPU time spent in user and system mode");
            let no_exemplar: Option<&Exemplar<NoLabelSet, f64>> = None;
            encoder
                .encode_descriptor(name, help, seconds, MetricType::Counter)?
                .encode_counter(&cpu_seconds, no_exemplar)?;
        }
        let start = self.start_time_seconds;
        let gauges = [
            (
                "process_resident_memory",
                bytes,
                resident_memory_bytes,
                "Memory in RAM",
            ),
            (
                "process_virtual_memory",
                bytes,
                virtual_memory_bytes,
                "Address space in use",
            ),
            (
                "process_virtual_memory_max",
                bytes,
                virtual_memory_max_bytes,
                "Limit of the address space",
            ),
            ("process_open_fds", None, open_fds, "Open file descriptors"),
            (
                "process_max_fds",
                None,
                max_fds,
                "Limit of open file descriptors",
            ),
            ("process_threads", None, threads, "Threads of the process"),
            (
                "process_start_time",
                seconds,
                start,
                "Start time of the process, in seconds since 1970-01-01 UTC",
            ),
        ];
        for (name, unit, value, help) in gauges {
            if let Some(value) = value {
                encoder
                    .encode_descriptor(name, help, unit, MetricType::Gauge)?
                    .encode_gauge(&value)?;
            }
        }
        Ok(())
    }
}

impl Default for ProcessCollector {
    /// Returns a collector for this process.
    fn default() -> Self {
        Self::new()
    }
}

impl Collector for ProcessCollector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.write(system::read(), encoder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MetricsRegistry;
    use crate::exposition::{Encoding, Format};
    use crate::registry::Selection;

    #[derive(Debug)]
    struct FixedSnapshot(ProcessSnapshot);

    impl Collector for FixedSnapshot {
        fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
            let collector = ProcessCollector {
                start_time_seconds: None,
            };
            collector.write(self.0, encoder)
        }
    }

    fn samples(snapshot: ProcessSnapshot) -> Vec<String> {
        let registry = MetricsRegistry::new();
        registry
            .register_collector(FixedSnapshot(snapshot))
            .unwrap();
        let encoding = Encoding::Text(Format::Prometheus.into());
        let page = registry.render(encoding, &Selection::default(), &Err);
        let page = String::from_utf8(page.unwrap().into()).unwrap();
        let of_process = |line: &&str| line.contains("process_");
        page.lines().filter(of_process).map(str::to_owned).collect()
    }

    #[test]
    fn numbers_that_can_not_be_read_are_left_out() {
        assert!(samples(ProcessSnapshot::default()).is_empty());
        let snapshot = ProcessSnapshot {
            open_fds: Some(3.0),
            max_fds: Some(f64::INFINITY),
            ..ProcessSnapshot::default()
        };
        assert_eq!(
            samples(snapshot),
            [
                "# HELP process_max_fds Limit of open file descriptors",
                "# TYPE process_max_fds gauge",
                "process_max_fds +Inf",
                "# HELP process_open_fds Open file descriptors",
                "# TYPE process_open_fds gauge",
                "process_open_fds 3.0",
            ]
        );
    }
}
