use crate::exporter::MetricsExporter;
use crate::exposition::Format;
use std::fmt;

/// A set of metrics, shared by layers and exporters.
#[derive(Clone, Debug, Default)]
pub struct MetricsRegistry {}

impl MetricsRegistry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// A service that answers with this registry's page.
    pub fn exporter(&self) -> MetricsExporter {
        MetricsExporter::new(self.clone())
    }

    /// The whole page.
    pub(crate) fn render(&self, format: Format) -> Result<String, fmt::Error> {
        Ok(match format {
            Format::OpenMetrics => "# EOF\n".to_owned(),
            Format::Prometheus => String::new(),
        })
    }
}
