use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeMetric, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Handle, RuntimeMetrics};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// A collector for the metrics of a tokio runtime.
///
/// | metric | type | value |
/// |---|---|---|
/// | `tokio_workers` | gauge | worker threads; 1 for a current-thread runtime |
/// | `tokio_alive_tasks` | gauge | tasks that have been spawned and have not ended |
/// | `tokio_global_queue_depth` | gauge | tasks in the queue shared by all workers |
/// | `tokio_worker_busy_seconds_total{worker}` | counter | time a worker has spent running tasks and drivers |
/// | `tokio_worker_parks_total{worker}` | counter | how often a worker went to sleep with nothing to do |
/// | `tokio_event_loop_delay_seconds` | histogram | [opt-in](Self::event_loop_delay): by how much a task runs later than it asked for |
///
/// A worker that is always busy, a queue that grows, or a delay of many milliseconds points to tasks that don't yield.
/// [`slow_polls_total`](crate::MetricsLayerBuilder::slow_polls_total) shows which handler that is.
///
/// These are the stable numbers of [`Handle::metrics`]. Its other numbers, and most of the crate
/// tokio-metrics, need a build with `--cfg tokio_unstable`. tokio-metrics returns the changes since the last
/// call, which suits a single reporter. A page may have any number of readers, so it shows totals.
///
/// If the runtime is shut down, the collector shows its last numbers.
///
/// ```
/// use tokio::runtime::Handle;
/// use tower_openmetrics::MetricsRegistry;
/// use tower_openmetrics::collectors::TokioCollector;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower_openmetrics::Error> {
/// let registry = MetricsRegistry::new();
/// registry.register_collector(TokioCollector::new(&Handle::current()))?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "collectors do nothing unless registered"]
pub struct TokioCollector {
    handle: Handle,
    metrics: RuntimeMetrics,
    runtime: Option<String>,
    delay: Option<Arc<DelayTask>>,
}

/// A task that measures how late it runs. It ends with the last collector.
#[derive(Debug)]
struct DelayTask {
    delays: Histogram,
    /// Aborts the task when it is dropped.
    _task: JoinSet<()>,
}

type LabelPairs<'a> = Vec<(&'static str, &'a str)>;

/// From 1 ms, the precision of tokio's timers, to 10 s.
const DELAYS: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0,
];

// === impl TokioCollector ===

impl TokioCollector {
    /// Returns a collector for the runtime of this handle.
    pub fn new(handle: &Handle) -> Self {
        Self {
            handle: handle.clone(),
            metrics: handle.metrics(),
            runtime: None,
            delay: None,
        }
    }

    /// Adds the label `runtime` to all samples, to distinguish several runtimes of a process.
    ///
    /// Defaults to no such label.
    ///
    /// ```
    /// use tower_openmetrics::MetricsRegistry;
    /// use tower_openmetrics::collectors::TokioCollector;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let registry = MetricsRegistry::new();
    /// let runtimes = [tokio::runtime::Runtime::new()?, tokio::runtime::Runtime::new()?];
    /// for (runtime, name) in runtimes.iter().zip(["requests", "background"]) {
    ///     let collector = TokioCollector::new(runtime.handle()).runtime(name);
    ///     registry.register_collector(collector)?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn runtime(mut self, name: impl Into<String>) -> Self {
        self.runtime = Some(name.into());
        self
    }

    /// Adds `tokio_event_loop_delay_seconds`: a task of the runtime sleeps for `interval` again and again, and records by how
    /// much later it wakes up. Defaults to no such metric.
    ///
    /// tokio's timers are late by up to a millisecond anyway. More than that is time for which tasks had to wait for a worker. A
    /// worker that blocks delays only the tasks that no other worker takes over. The task ends when the last clone of the
    /// collector is dropped.
    ///
    /// # Panics
    ///
    /// The task panics, and records nothing, if the runtime was built without `enable_time`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tokio::runtime::Handle;
    /// use tower_openmetrics::MetricsRegistry;
    /// use tower_openmetrics::collectors::TokioCollector;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), tower_openmetrics::Error> {
    /// let registry = MetricsRegistry::new();
    /// let collector = TokioCollector::new(&Handle::current());
    /// registry.register_collector(collector.event_loop_delay(Duration::from_millis(100)))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn event_loop_delay(mut self, interval: Duration) -> Self {
        let delays = Histogram::new(DELAYS);
        let measured = delays.clone();
        // A loop without a pause would take a worker for itself.
        let interval = interval.max(Duration::from_millis(1));
        let measure = async move {
            loop {
                let began = Instant::now();
                sleep(interval).await;
                let late = began.elapsed().saturating_sub(interval);
                measured.observe(late.as_secs_f64());
            }
        };
        let mut task = JoinSet::new();
        task.spawn_on(measure, &self.handle);
        let delay = DelayTask {
            delays,
            _task: task,
        };
        self.delay = Some(Arc::new(delay));
        self
    }

    fn labels(&self) -> LabelPairs<'_> {
        let name = self.runtime.as_deref();
        name.map(|name| ("runtime", name)).into_iter().collect()
    }

    fn counter_of_workers<V: EncodeCounterValue>(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, unit, help): (&str, Option<&Unit>, &str),
        value: impl Fn(usize) -> V,
    ) -> fmt::Result {
        let no_exemplar: Option<&Exemplar<NoLabelSet, u64>> = None;
        let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Counter)?;
        for worker in 0..self.metrics.num_workers() {
            let index = worker.to_string();
            let mut labels = self.labels();
            labels.push(("worker", &index));
            family
                .encode_family(&labels)?
                .encode_counter(&value(worker), no_exemplar)?;
        }
        Ok(())
    }
}

impl Collector for TokioCollector {
    /// Units are not in the names, because the encoder appends them.
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self { metrics, delay, .. } = self;
        let encoder = &mut encoder;
        let alive = "Tasks that have been spawned and have not ended";
        let queued = "Tasks in the queue shared by all workers";
        let workers = "Worker threads of the runtime";
        for (name, help, value) in [
            ("tokio_workers", workers, metrics.num_workers()),
            ("tokio_alive_tasks", alive, metrics.num_alive_tasks()),
            (
                "tokio_global_queue_depth",
                queued,
                metrics.global_queue_depth(),
            ),
        ] {
            encoder
                .encode_descriptor(name, help, None, MetricType::Gauge)?
                .encode_family(&self.labels())?
                .encode_gauge(&(value as u64))?;
        }
        if let Some(delay) = delay {
            let (name, unit) = ("tokio_event_loop_delay", Some(&Unit::Seconds));
            let help = "Time by which a task runs later than it asked for";
            let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Histogram)?;
            delay.delays.encode(family.encode_family(&self.labels())?)?;
        }

        let help = "Time a worker has spent running tasks and drivers";
        let busy = ("tokio_worker_busy", Some(&Unit::Seconds), help);
        self.counter_of_workers(encoder, busy, |worker| {
            metrics.worker_total_busy_duration(worker).as_secs_f64()
        })?;
        let help = "How often a worker went to sleep with nothing to do";
        let parks = ("tokio_worker_parks", None, help);
        self.counter_of_workers(encoder, parks, |worker| metrics.worker_park_count(worker))
    }
}
