//! Native histograms for tests, which read pages as text. Text can't show them.

use super::families::PageFamily;
use super::series_snapshot::{HistogramSnapshot, SeriesValue};
use super::{Format, Selection, TextEncoding, text_page};
use crate::Error;
use crate::buckets::{NATIVE_BELOW, native_bound};
use crate::registry::MetricsRegistry;

/// The native histogram of one series.
#[derive(Debug)]
pub(crate) struct NativeSeries {
    /// The name of its family.
    pub(crate) name: String,
    pub(crate) labels: Vec<(String, String)>,
    /// Upper bounds and counts of the buckets that are not empty, in the order of the bounds.
    pub(crate) buckets: Vec<(f64, u64)>,
}

impl MetricsRegistry {
    /// Returns the page as text, and the native histograms of the same moment.
    ///
    /// # Errors
    ///
    /// See [`encode`](Self::encode).
    pub(crate) fn encode_with_native(&self) -> Result<(String, Vec<NativeSeries>), Error> {
        let encoding = TextEncoding::from(Format::OpenMetrics);
        let all = Selection::default();
        let escaping = encoding.escaping;
        self.with_families(&all, escaping, &Err, |families, uptime| {
            let mut native = Vec::new();
            for (name, family) in families {
                let PageFamily::Automatic((metric, snapshot)) = family else {
                    continue;
                };
                snapshot.for_each_series(metric.metric, &mut |series| {
                    let (SeriesValue::Durations(histogram) | SeriesValue::Sizes(histogram)) =
                        &series.value
                    else {
                        return;
                    };
                    let Some(buckets) = native_buckets(histogram) else {
                        return;
                    };
                    let labels = series
                        .pairs()
                        .into_iter()
                        .map(|(name, value)| (escaping.label(name).into_owned(), value.to_owned()));
                    native.push(NativeSeries {
                        name: name.clone(),
                        labels: labels.collect(),
                        buckets,
                    });
                });
            }
            (text_page(families, uptime, encoding), native)
        })
    }
}

fn native_buckets(histogram: &HistogramSnapshot<'_>) -> Option<Vec<(f64, u64)>> {
    let native = histogram.layout.native_of(histogram.numbers)?;
    let zero = (native.zero > 0).then_some((NATIVE_BELOW, native.zero));
    let buckets = zero.into_iter().chain(native.buckets);
    Some(
        buckets
            .map(|(index, count)| (native_bound(index), count))
            .collect(),
    )
}
