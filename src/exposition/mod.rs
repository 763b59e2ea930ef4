//! Writing a registry down as a page.
//!
//! Families come in the order of their names, series in the order of their labels, so that
//! equal states give equal bytes. [`automatic`] writes the families of layers, [`custom`] those that
//! users registered, and [`text`] knows how a line looks in either format.

mod automatic;
mod custom;
mod number;
mod text;

use self::text::TextWriter;
use crate::registry::{
    AUTOMATIC, Automatic, CustomFamily, Endpoint, Kind, MetricsRegistry, UPTIME, UPTIME_HELP,
    UPTIME_UNIT,
};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The text formats that a page can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The Prometheus text format 0.0.4.
    Prometheus,
}

/// Whose samples a family has.
enum Source<'a> {
    Automatic(&'static Automatic, Vec<&'a Endpoint>),
    Custom(&'a CustomFamily),
    Uptime,
}

impl MetricsRegistry {
    /// The whole page.
    ///
    /// # Errors
    ///
    /// If a metric that a user registered can't be encoded.
    pub(crate) fn render(&self, format: Format) -> Result<String, fmt::Error> {
        let table = self.table();
        let mut families: BTreeMap<String, Source<'_>> = BTreeMap::new();
        families.insert(UPTIME.to_owned(), Source::Uptime);
        for (name, family) in &table.custom {
            families.insert(name.clone(), Source::Custom(family));
        }
        for ((prefix, _), endpoint) in &table.endpoints {
            enter(&mut families, prefix, endpoint);
        }

        let mut text = TextWriter::new(format);
        for (name, source) in &families {
            match source {
                Source::Automatic(metric, endpoints) => {
                    automatic::write(&mut text, name, metric, endpoints);
                }
                Source::Custom(family) => custom::write(&mut text, name, family)?,
                Source::Uptime => {
                    text.family(name, Kind::Gauge, Some(UPTIME_UNIT), UPTIME_HELP);
                    text.sample("", "", |value| value.seconds(self.uptime().as_nanos()));
                }
            }
        }
        Ok(text.finish())
    }
}

/// Adds an endpoint to the families that it has samples in.
fn enter<'a>(
    families: &mut BTreeMap<String, Source<'a>>,
    prefix: &str,
    endpoint: &'a Arc<Endpoint>,
) {
    for metric in AUTOMATIC
        .iter()
        .filter(|metric| metric.is_on(&endpoint.families.settings))
    {
        let source = families
            .entry(metric.full_name(prefix))
            .or_insert_with(|| Source::Automatic(metric, Vec::new()));
        if let Source::Automatic(_, endpoints) = source {
            endpoints.push(endpoint);
        }
    }
}
