//! Writes a registry as a page.
//!
//! Families are sorted by name and series by labels, so that equal states give equal bytes. Only the info about the target
//! comes before all others.
//!
//! [`families`] collects all families of a page. Automatic families come from a [`snapshot`] of the layers' numbers, included
//! families from what their encoders write. [`automatic`] and [`included`] write them as text, with the lines of [`text`].
//! [`protobuf`] writes both as protobuf.

mod ages;
mod automatic;
mod collector;
mod families;
mod included;
#[cfg(feature = "testing")]
mod native_series;
mod number;
#[cfg(feature = "protobuf")]
mod protobuf;
#[cfg(not(feature = "protobuf"))]
#[path = "no_protobuf.rs"]
mod protobuf;
mod series_snapshot;
mod snapshot;
mod text;

pub(crate) use self::protobuf::Protobuf;

use self::families::{Families, PageFamily, in_order};
use self::text::TextWriter;
use crate::Error;
use crate::escaping::Escaping;
use crate::registry::{ErrorHandler, MetricsRegistry, Selection};
use bytes::Bytes;
use std::sync::atomic::Ordering::Relaxed;

/// A text format that [`MetricsRegistry::encode`] writes.
///
/// Protobuf is not among them, for it is not text. An [exporter](crate::exporter#protobuf) answers with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// [OpenMetrics 1.0](https://prometheus.io/docs/specs/om/open_metrics_spec/).
    OpenMetrics,
    /// The [Prometheus text format 0.0.4](https://prometheus.io/docs/instrumenting/exposition_formats/), which every
    /// scraper and gateway reads.
    Prometheus,
}

/// The encodings that a page can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Text(TextEncoding),
    Protobuf(Protobuf, Escaping),
}

/// A text format, and which of its optional parts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TextEncoding {
    pub(crate) format: Format,
    pub(crate) escaping: Escaping,
    /// Whether counters and histograms say when they began, if the format can.
    pub(crate) created: bool,
}

// === impl Format ===

impl Format {
    /// Returns the media type of such a page, for the header `Content-Type` of a push.
    ///
    /// ```
    /// use tower_openmetrics::Format;
    ///
    /// assert_eq!(Format::Prometheus.content_type(), "text/plain; version=0.0.4; charset=utf-8");
    /// ```
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

// === impl TextEncoding ===

impl TextEncoding {
    /// Returns whether samples say when their series began. 0.0.4 has no such samples.
    fn shows_created(self) -> bool {
        self.created && self.format == Format::OpenMetrics
    }
}

impl From<Format> for TextEncoding {
    fn from(format: Format) -> Self {
        Self {
            format,
            escaping: Escaping::Underscores,
            created: false,
        }
    }
}

impl MetricsRegistry {
    /// Returns the page as text.
    ///
    /// Use it in tests, to log the numbers of a program that ends, or to push them. To be scraped, serve an
    /// [`exporter`](Self::exporter): it negotiates the format, and a slow collector does not block a runtime's thread.
    /// Here the calling thread runs the encoders of all that is registered.
    ///
    /// ```
    /// use prometheus_client::metrics::counter::Counter;
    /// use tower_openmetrics::{Format, MetricsLayer};
    ///
    /// # fn main() -> Result<(), tower_openmetrics::Error> {
    /// let layer = MetricsLayer::new([("endpoint", "a")]);
    /// let rows = layer.register("rows_read", "Rows read", Counter::<u64>::default())?;
    /// rows.inc_by(3);
    ///
    /// let page = layer.registry().encode(Format::OpenMetrics)?;
    /// assert!(page.contains("\nrows_read_total{endpoint=\"a\"} 3\n"));
    /// assert!(page.ends_with("# EOF\n"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If a metric, a collector or an included registry can't be shown: the error names it. Or if an encoder calls this for
    /// the page that it is called for.
    pub fn encode(&self, format: Format) -> Result<String, Error> {
        let encoding = TextEncoding::from(format);
        let all = Selection::default();
        self.with_families(&all, encoding.escaping, &Err, |families| {
            self.text_page(families, encoding)
        })
    }

    /// Returns the page with the selected families.
    ///
    /// # Errors
    ///
    /// Calls `on_error` with each error of an included family, and returns the error that it returns.
    /// Also returns an error if this thread is already writing a page of this registry.
    pub(crate) fn render(
        &self,
        encoding: Encoding,
        selection: &Selection,
        on_error: &ErrorHandler<'_>,
    ) -> Result<Bytes, Error> {
        let escaping = match encoding {
            Encoding::Text(TextEncoding { escaping, .. }) | Encoding::Protobuf(_, escaping) => {
                escaping
            }
        };
        self.with_families(selection, escaping, on_error, |families| match encoding {
            Encoding::Text(encoding) => self.text_page(families, encoding).into(),
            Encoding::Protobuf(protobuf, escaping) => protobuf.page(families, escaping),
        })
    }

    /// Returns the page of these families as text.
    fn text_page(&self, families: &Families<'_>, encoding: TextEncoding) -> String {
        let capacity = self.text_capacity().load(Relaxed);
        let mut text = TextWriter::with_capacity(capacity, encoding);
        for (name, family) in in_order(families) {
            match family {
                PageFamily::Automatic(family) => automatic::write(&mut text, name, family),
                PageFamily::Included(family) => included::write(&mut text, name, family),
            }
        }
        let mut page = text.finish();
        // The capacity stays the same while pages use at least half of it. Allocators then return the same memory, and a
        // page is not copied while it grows.
        if page.len() > capacity || page.len() < capacity / 2 {
            let room = page.len() / 8;
            self.text_capacity().store(page.len() + room, Relaxed);
            page.shrink_to_fit();
        }
        page
    }
}
