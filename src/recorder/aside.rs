//! Sets that calls go to whatever their labels are: because there are none, because there is no room for
//! more of them, or because the call is left out.

use super::block::Blocks;
use super::families::Families;
use super::lookup::Sets;
use super::rows::{Row, Texts};
use super::series::{BeginSeries, DurationSeries, EndSeries, HeadSeries};
use super::sets::{Begin, BeginSet, Chain, End, EndSet, Head, HeadSet, Set};
use super::thread::Writer;
use crate::labels::Carrier;
use std::sync::OnceLock;

/// Sets that calls go to whatever their labels are.
#[derive(Debug)]
pub(crate) struct Aside {
    pub(crate) begin: &'static BeginSet,
    pub(crate) head: &'static HeadSet,
    pub(crate) end: &'static EndSet,
}

/// Those of a layer.
#[derive(Debug)]
pub(super) struct Asides {
    /// The only ones, where requests bring no labels.
    constant: OnceLock<Aside>,
    /// Where calls go for whose labels there is no room.
    overflow: OnceLock<Aside>,
    overflowed: Blocks,
    /// Where calls go that are left out. Nobody sees their rows.
    left_out: OnceLock<Aside>,
}

// === impl Aside ===

impl Aside {
    fn new(
        families: &'static Families,
        (begin_row, begin): (&'static Row<BeginSeries>, Texts),
        (head_row, head): (&'static Row<HeadSeries>, Texts),
        (row, duration, end): (&'static Row<EndSeries>, &'static Row<DurationSeries>, Texts),
        overflow: bool,
    ) -> Self {
        let end = Set::leak_for_any(
            end,
            End {
                row,
                duration,
                overflow,
            },
        );
        let ends = Chain::of(end);
        let head = Set::leak_for_any(
            head,
            Head {
                row: head_row,
                ends,
            },
        );
        let heads = Chain::of(head);
        let begin = Set::leak_for_any(
            begin,
            Begin {
                families,
                row: begin_row,
                heads,
            },
        );
        Self { begin, head, end }
    }

    fn set_active(&self, active: bool) {
        let Self { begin, head, end } = self;
        begin.set_active(active);
        head.set_active(active);
        end.set_active(active);
    }

    fn show(&self) {
        let Self { begin, head, end } = self;
        begin.row.show();
        head.row.show();
        end.row.show();
        end.duration.show();
    }

    fn reset_rows(&self) {
        let Self { begin, head, end } = self;
        begin.row.reset();
        head.row.reset();
        end.row.reset();
        end.duration.reset();
    }
}

// === impl Asides ===

impl Asides {
    pub(super) fn new() -> Self {
        Self {
            constant: OnceLock::new(),
            overflow: OnceLock::new(),
            overflowed: Blocks::new(1),
            left_out: OnceLock::new(),
        }
    }

    #[inline]
    pub(super) fn constant(&self) -> Option<&Aside> {
        self.constant.get()
    }

    /// By the table's first user; those after it have the same.
    pub(super) fn set_constant(&self, all: Aside) {
        let _same_as_before = self.constant.set(all);
    }

    /// The row of calls that are left out, which is on no shelf.
    pub(super) fn left_out_row(&self) -> Option<&'static Row<BeginSeries>> {
        self.left_out.get().map(|aside| aside.begin.row)
    }

    /// No call has come here.
    pub(super) fn reset(&self) {
        let Self {
            constant: _,
            overflow,
            overflowed,
            left_out,
        } = self;
        if let Some(aside) = overflow.get() {
            aside.set_active(false);
        }
        overflowed.reset();
        if let Some(aside) = left_out.get() {
            aside.reset_rows();
        }
    }
}

// === impl Sets ===

impl Sets {
    /// Calls for whose labels there was no room.
    pub(crate) fn overflowed(&self) -> u64 {
        self.asides.overflowed.sum(0)
    }

    /// Counts a call for whose labels there was no room.
    #[inline]
    pub(crate) fn count_overflow(&self, writer: &Writer, end: &EndSet) {
        if end.overflow {
            self.asides.overflowed.cells(writer).add(0, 1);
        }
    }
}

// === impl Families ===

impl Families {
    /// Where a call begins that is left out.
    pub(crate) fn left_out(&'static self) -> &'static BeginSet {
        let settings = self.settings;
        let unseen = || {
            Aside::new(
                self,
                (Row::leak(Box::default(), settings), Box::default()),
                (Row::leak(Box::default(), settings), Box::default()),
                (
                    Row::leak(Box::default(), settings),
                    Row::leak(Box::default(), settings),
                    Box::default(),
                ),
                false,
            )
        };
        self.sets.asides.left_out.get_or_init(unseen).begin
    }

    /// Where calls go for whose labels there is no room; on the page from the first of them on.
    #[cold]
    pub(super) fn overflow(&'static self) -> &'static Aside {
        let aside = self.sets.asides.overflow.get_or_init(|| {
            let [begin, head, end] = self.settings.schema.overflow();
            let all = [&*begin, &*head, &*end];
            Aside::new(
                self,
                (
                    self.row(&self.rows.begin, Carrier::Begin, all),
                    begin.clone(),
                ),
                (self.row(&self.rows.head, Carrier::Head, all), head.clone()),
                (
                    self.row(&self.rows.end, Carrier::End, all),
                    self.row(&self.rows.duration, Carrier::Duration, all),
                    end.clone(),
                ),
                true,
            )
        });
        if !aside.begin.is_active() {
            aside.show();
            aside.set_active(true);
        }
        aside
    }
}
