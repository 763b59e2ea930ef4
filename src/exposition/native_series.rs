//! Native histograms for tests, which read pages as text. Text can't show them.

use super::families::PageFamily;
use super::series_snapshot::SeriesValue;
use super::{Format, TextEncoding};
use crate::Error;
use crate::buckets::{NATIVE_BELOW, native_bound};
use crate::registry::{MetricsRegistry, Selection};
use std::borrow::Cow;

impl MetricsRegistry {
    /// Returns the page as text. Calls `native` for each native histogram of the same moment, with the name of its family, its
    /// labels, and upper bounds and counts of the buckets that are not empty, in the order of the bounds.
    ///
    /// # Errors
    ///
    /// See [`encode`](Self::encode).
    pub(crate) fn encode_with_native(
        &self,
        mut native: impl FnMut(&str, Vec<(Cow<'_, str>, &str)>, Vec<(f64, u64)>),
    ) -> Result<String, Error> {
        let encoding = TextEncoding::from(Format::OpenMetrics);
        let all = Selection::default();
        self.with_families(&all, encoding.escaping, &Err, |families| {
            for (name, family) in families {
                let PageFamily::Automatic((metric, snapshot)) = family else {
                    continue;
                };
                snapshot.for_each_series(metric, &mut |series| {
                    if let SeriesValue::Histogram(histogram) = &series.value
                        && let Some(found) = histogram.layout.native_of(histogram.numbers)
                    {
                        let zero = (found.zero > 0).then_some((NATIVE_BELOW, found.zero));
                        let buckets = zero.into_iter().chain(found.buckets);
                        let buckets = buckets.map(|(index, count)| (native_bound(index), count));
                        let labels = encoding.escaping.labels_in_text(series.pairs());
                        native(name, labels, buckets.collect());
                    }
                });
            }
            self.text_page(families, encoding)
        })
    }
}
