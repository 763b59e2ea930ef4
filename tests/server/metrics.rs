//! Pages that are long or slow.

use crate::client::{BOUND, within};
use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex};
use tokio::sync::Notify;
use tower_openmetrics::MetricsRegistry;

/// More than the socket buffers of both sides hold.
pub(crate) const HUGE: usize = 8 << 20;

/// A registry whose page is longer than `HUGE`.
pub(crate) fn huge_page() -> MetricsRegistry {
    let registry = MetricsRegistry::new();
    let family = Family::<[(String, String); 1], Counter>::default();
    for i in 0..=8 {
        let long = "x".repeat(1 << 20);
        family
            .get_or_create(&[("long".into(), format!("{i}{long}"))])
            .inc();
    }
    registry.register("huge", "A long page", family).unwrap();
    registry
}

/// A gauge of 7 that blocks scrapes while the gate is closed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate {
    inner: Arc<GateInner>,
}

#[derive(Debug, Default)]
struct GateInner {
    closed: Mutex<bool>,
    opened: Condvar,
    entered: Notify,
}

impl Gate {
    pub(crate) fn close(&self) {
        *self.inner.closed.lock().unwrap() = true;
    }

    pub(crate) fn open(&self) {
        *self.inner.closed.lock().unwrap() = false;
        self.inner.opened.notify_all();
    }

    /// Returns once a scrape is blocked.
    pub(crate) async fn entered(&self) {
        within(self.inner.entered.notified()).await;
    }
}

impl EncodeMetric for Gate {
    fn encode(&self, mut encoder: MetricEncoder) -> Result<(), fmt::Error> {
        let Self { inner } = self;
        let mut closed = inner.closed.lock().unwrap();
        while *closed {
            inner.entered.notify_one();
            let (guard, waited) = inner.opened.wait_timeout(closed, BOUND).unwrap();
            assert!(!waited.timed_out(), "the gate was never opened");
            closed = guard;
        }
        encoder.encode_gauge(&7_i64)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}
