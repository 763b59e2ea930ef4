//! The service that answers a scrape.

use crate::registry::MetricsRegistry;

/// Answers a scrape with the page of a [`MetricsRegistry`].
#[derive(Clone, Debug)]
pub struct MetricsExporter {
    registry: MetricsRegistry,
}

impl MetricsExporter {
    pub(crate) fn new(registry: MetricsRegistry) -> Self {
        Self { registry }
    }
}
