//! The label sets that metrics show, and a series for each.

use super::series::{BeginSeries, DurationSeries, EndSeries, HeadSeries, Series};
use super::settings::Settings;
use crate::labels::LabelText;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

/// Values of labels.
pub(super) type Texts = Box<[Box<str>]>;

/// A label set, and the numbers under it.
///
/// Rows live as long as the process. One that is not shown belonged to the table's
/// former user, and is shown again once a call of the present one has its labels.
#[derive(Debug)]
pub(crate) struct Row<S> {
    values: Texts,
    shown: AtomicBool,
    declared: AtomicBool,
    text: RwLock<Option<LabelText>>,
    pub(crate) series: S,
}

/// The rows of metrics that carry the same labels.
#[derive(Debug)]
pub(crate) struct Shelf<S: 'static> {
    /// The only one there is, where they carry no labels of a request.
    only: OnceLock<Row<S>>,
    /// By values, which is the order on the page. Taken where a label set appears and where a page is begun,
    /// never by a call whose labels have been met before.
    rows: Mutex<Sorted<S>>,
}

type Sorted<S> = BTreeMap<Texts, &'static Row<S>>;

/// The rows of all metrics of a layer.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) begin: Shelf<BeginSeries>,
    pub(crate) head: Shelf<HeadSeries>,
    pub(crate) end: Shelf<EndSeries>,
    pub(crate) duration: Shelf<DurationSeries>,
}

// === impl Row ===

impl<S: Series> Row<S> {
    fn new(values: Texts, settings: &Settings) -> Self {
        Self {
            values,
            shown: AtomicBool::new(true),
            declared: AtomicBool::new(false),
            text: RwLock::default(),
            series: S::new(settings),
        }
    }

    /// The process keeps it.
    pub(super) fn leak(values: Texts, settings: &Settings) -> &'static Self {
        Box::leak(Box::new(Self::new(values, settings)))
    }

    pub(super) fn show(&self) {
        self.shown.store(true, Ordering::Relaxed);
    }

    pub(super) fn declare(&self) {
        self.declared.store(true, Ordering::Relaxed);
    }

    /// Back to zero and off the page.
    pub(super) fn reset(&self) {
        let Self {
            values: _,
            shown,
            declared,
            text,
            series,
        } = self;
        shown.store(false, Ordering::Relaxed);
        declared.store(false, Ordering::Relaxed);
        *text.write().unwrap_or_else(PoisonError::into_inner) = None;
        series.reset();
    }
}

impl<S> Row<S> {
    /// The values of the labels of a request, in the order of their names.
    pub(crate) fn values(&self) -> &[Box<str>] {
        &self.values
    }

    /// Whether it stands on the page from the start, with all its error types.
    pub(crate) fn is_declared(&self) -> bool {
        self.declared.load(Ordering::Relaxed)
    }

    /// Gives `read` the text of all its labels, written by `write` the first time.
    pub(crate) fn with_text<R>(
        &self,
        write: impl FnOnce() -> LabelText,
        read: impl FnOnce(&LabelText) -> R,
    ) -> R {
        let written = self.text.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = &*written {
            return read(text);
        }
        drop(written);
        let mut place = self.text.write().unwrap_or_else(PoisonError::into_inner);
        read(place.get_or_insert_with(write))
    }
}

// === impl Shelf ===

impl<S: Series> Shelf<S> {
    pub(super) fn new() -> Self {
        Self {
            only: OnceLock::new(),
            rows: Mutex::default(),
        }
    }

    /// The row of these values, shown from now on. A shelf's rows all have as many.
    pub(super) fn row(
        &'static self,
        values: Vec<Box<str>>,
        settings: &Settings,
    ) -> &'static Row<S> {
        let values = values.into_boxed_slice();
        let row = if values.is_empty() {
            self.only.get_or_init(|| Row::new(values, settings))
        } else {
            let mut rows = self.lock();
            let there = rows.get(&values).copied();
            there.unwrap_or_else(|| {
                let row = Row::leak(values.clone(), settings);
                rows.insert(values, row);
                row
            })
        };
        row.show();
        row
    }

    /// Has the processor fetch the only row, if there is one. Others are not known before they are asked for.
    pub(super) fn prefetch(&self) {
        black_box(self.only.get().is_some());
    }

    /// The same for that row's numbers.
    pub(super) fn prefetch_numbers(&self) {
        if let Some(only) = self.only.get() {
            only.series.prefetch();
        }
    }

    /// Gives `rows` those that are on the page, in its order.
    pub(crate) fn push_shown<'a>(&'a self, rows: &mut Vec<&'a Row<S>>) {
        match self.only.get() {
            Some(only) => rows.push(only),
            None => rows.extend(self.lock().values()),
        }
        // Each has to be fetched for that, and nobody is to wait meanwhile.
        rows.retain(|row| row.shown.load(Ordering::Relaxed));
    }

    /// Those too that are not on the page.
    pub(super) fn all(&self) -> Vec<&Row<S>> {
        let only = self.only.get();
        only.into_iter()
            .chain(self.lock().values().copied())
            .collect()
    }

    pub(super) fn reset(&self) {
        for row in self.all() {
            row.reset();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Sorted<S>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Rows ===

impl Rows {
    pub(super) fn new() -> Self {
        Self {
            begin: Shelf::new(),
            head: Shelf::new(),
            end: Shelf::new(),
            duration: Shelf::new(),
        }
    }

    /// Has the processor fetch the only rows, for who will read many tables.
    pub(super) fn prefetch(&self) {
        let Self {
            begin,
            head,
            end,
            duration,
        } = self;
        begin.prefetch();
        head.prefetch();
        end.prefetch();
        duration.prefetch();
    }

    /// The same for their numbers.
    pub(super) fn prefetch_numbers(&self) {
        let Self {
            begin,
            head,
            end,
            duration,
        } = self;
        begin.prefetch_numbers();
        head.prefetch_numbers();
        end.prefetch_numbers();
        duration.prefetch_numbers();
    }

    pub(super) fn reset(&self) {
        let Self {
            begin,
            head,
            end,
            duration,
        } = self;
        begin.reset();
        head.reset();
        end.reset();
        duration.reset();
    }
}
