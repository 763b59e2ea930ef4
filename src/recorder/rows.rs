//! The label sets that metrics show, and a series for each.

use super::families::Settings;
use crate::labels::LabelText;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// Values of labels.
pub(super) type Texts = Box<[Box<str>]>;

/// Numbers that belong to one label set.
pub(crate) trait Series: Sized + 'static {
    /// All at zero.
    fn new(settings: &Settings) -> Self;

    /// Back to zero. Nothing may be recorded meanwhile.
    fn reset(&self);
}

/// A label set, and the numbers under it.
///
/// Rows live as long as the process. One that is not shown belonged to the table's
/// former user, and is shown again once a call of the present one has its labels.
#[derive(Debug)]
pub(crate) struct Row<S> {
    values: Texts,
    shown: AtomicBool,
    declared: AtomicBool,
    text: RwLock<Option<Arc<LabelText>>>,
    pub(crate) series: S,
}

/// The rows of metrics that carry the same labels.
#[derive(Debug)]
pub(crate) struct Shelf<S: 'static> {
    /// By values, which is the order on the page. Taken where a label set appears and where a page is begun,
    /// never by a call whose labels have been met before.
    rows: Mutex<Sorted<S>>,
}

type Sorted<S> = BTreeMap<Texts, &'static Row<S>>;

// === impl Row ===

impl<S: Series> Row<S> {
    /// The process keeps it.
    pub(super) fn leak(values: Texts, settings: &Settings) -> &'static Self {
        Box::leak(Box::new(Self {
            values,
            shown: AtomicBool::new(true),
            declared: AtomicBool::new(false),
            text: RwLock::default(),
            series: S::new(settings),
        }))
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
    pub(crate) fn values(&self) -> impl Iterator<Item = &str> {
        self.values.iter().map(|value| &**value)
    }

    /// Whether it stands on the page from the start, with all its error types.
    pub(crate) fn is_declared(&self) -> bool {
        self.declared.load(Ordering::Relaxed)
    }

    /// The text of all its labels, written by `write` the first time.
    pub(crate) fn text(&self, write: impl FnOnce() -> LabelText) -> Arc<LabelText> {
        let written = self.text.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = &*written {
            return text.clone();
        }
        drop(written);
        let text = Arc::new(write());
        *self.text.write().unwrap_or_else(PoisonError::into_inner) = Some(text.clone());
        text
    }
}

// === impl Shelf ===

impl<S: Series> Shelf<S> {
    pub(super) fn new() -> Self {
        Self {
            rows: Mutex::default(),
        }
    }

    /// The row of these values, shown from now on.
    pub(super) fn row(&self, values: Vec<Box<str>>, settings: &Settings) -> &'static Row<S> {
        let values = values.into_boxed_slice();
        let mut rows = self.lock();
        let row = match rows.get(&values) {
            Some(row) => *row,
            None => {
                let row = Row::leak(values.clone(), settings);
                rows.insert(values, row);
                row
            }
        };
        row.show();
        row
    }

    /// Those that are on the page, in its order.
    pub(crate) fn shown(&self) -> Vec<&'static Row<S>> {
        let mut rows = self.all();
        rows.retain(|row| row.shown.load(Ordering::Relaxed));
        rows
    }

    /// Those too that are not on the page.
    pub(super) fn all(&self) -> Vec<&'static Row<S>> {
        self.lock().values().copied().collect()
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
