//! One call, from its beginning to its one end.

use crate::answering::{self, Identity};
use crate::beginning::Beginning;
use crate::classify::{ErrorType, Fault, Head};
use crate::clock::Moment;
use crate::handle::CallHandle;
use crate::labels::{RequestHead, Values};
use crate::recorder::{
    BeginSet, EndSet, Families, HeadSeries, HeadSet, Lease, Outcome, Report, Timed, Writer,
    with_writer,
};
use crate::state::State;
use crate::trace::TraceContext;
use crate::watch::Unwound;
use std::fmt;
use std::ptr;

/// The one place that knows how a call goes.
///
/// It begins with the request and is handed on, from the service to the future to the
/// response, until it is dropped: that is when the call ends, and all that is counted at the end
/// is recorded. How it ends is decided by what it was told:
///
/// 1. the first [`fault`](Self::fault) that it, or a [`CallHandle`] of it, was told of,
/// 2. else it is complete if it was [completed](Self::complete), or dropped when
///    nothing more was [owed](Self::owes_nothing),
/// 3. else the caller went away before the end: it is cancelled.
#[must_use = "a call that is dropped has ended"]
// Copied with every future and body on its way: the fewer bytes, the better. What tells an `Option` of one that there is none
// comes last, so that the rest is copied in the same pieces with it and without it: processors wait where a
// piece was just written as two, for a store is not forwarded to a load that is wider than it.
#[repr(C)]
pub struct Call {
    /// Known from the response's head on.
    head: Option<&'static HeadSet>,
    began: Moment,
    report: Option<Report>,
    state: State,
    begin: &'static BeginSet,
}

// === impl Call ===

impl Call {
    /// A call begins; what `request` gives is only asked for if somebody wants to see it.
    #[inline]
    pub(crate) fn begin<'a>(
        lease: &Lease,
        request: impl FnOnce() -> Option<RequestHead<'a>>,
    ) -> Self {
        let families = lease.families();
        match families.constant() {
            Some(sets) if !families.settings.asks_requests() => {
                Self::at(sets.begin, Some(sets.head))
            }
            _ => {
                let (begin, trace) = Beginning::of(families).look_at(request());
                let mut call = Self::labelled(begin);
                if let Some(trace) = trace {
                    call.belong_to(trace);
                }
                call
            }
        }
    }

    #[cold]
    fn belong_to(&mut self, trace: TraceContext) {
        self.state.set(State::TRACED);
        let report = self.report.get_or_insert_with(Report::open);
        report.set_trace(trace);
    }

    #[inline]
    fn at(begin: &'static BeginSet, head: Option<&'static HeadSet>) -> Self {
        with_writer(|writer| begin.series().begin(writer));
        Self {
            begin,
            head,
            began: begin.families.settings.clock.now(),
            report: None,
            state: State::NEW,
        }
    }

    /// One whose request brings labels: no other is measured.
    #[inline]
    pub(crate) fn labelled(begin: &'static BeginSet) -> Self {
        let mut call = Self::at(begin, None);
        if begin.families.settings.sizes.is_some() {
            call.measure();
        }
        call
    }

    // Not cold where it is called at all. But where it is not, the fewer instructions the better.
    #[cold]
    fn measure(&mut self) {
        self.state.set(State::MEASURED);
        self.report = Some(Report::measured());
    }

    /// Counts bytes of the request that the service has been given.
    #[inline]
    pub fn request_bytes(&self, bytes: u64) {
        let series = self.begin.series();
        with_writer(|writer| series.add_request_bytes(writer, bytes));
        self.measure_request(bytes);
    }

    /// Counts a message of the request, and its bytes, that the service has
    /// been given.
    #[inline]
    pub fn request_message(&self, bytes: u64) {
        let (series, settings) = (self.begin.series(), &self.begin.families.settings);
        with_writer(|writer| series.add_request_messages(writer, settings, 1, bytes));
        self.measure_request(bytes);
    }

    #[inline]
    fn measure_request(&self, bytes: u64) {
        if let Some(report) = self.measured() {
            report.reporter().add_request_bytes(bytes);
        }
    }

    /// A way to reach this call from elsewhere.
    pub fn handle(&mut self) -> CallHandle {
        let report = self.report.get_or_insert_with(Report::open);
        CallHandle::new(self.begin, report.reporter())
    }

    /// The head of the response is there.
    #[inline]
    pub fn head(&mut self) {
        let settings = &self.begin.families.settings;
        if settings.response_head {
            let nanos = self.nanos();
            let series = self.head_series();
            let timed = self.timed(nanos);
            with_writer(|writer| series.observe_head(writer, settings, timed));
        }
    }

    /// As [`head`](Self::head), for responses that have one as HTTP's do: the labels of
    /// the response are read from it.
    #[inline]
    pub fn response_head(&mut self, head: &Head<'_>) {
        let settings = &self.begin.families.settings;
        if settings.schema.asks_response() {
            let mut values = Values::NONE;
            settings.schema.of_response(head, &mut values);
            self.head = Some(self.begin.families.head_set(self.begin, &values));
        }
        if let Some(streams) = &settings.streams
            && (streams.is_stream)(head)
        {
            self.state.set(State::STREAM);
        }
        self.head();
    }

    /// Counts bytes of the response that the caller has taken.
    #[inline]
    pub fn response_bytes(&mut self, bytes: u64) {
        if bytes == 0 {
            return;
        }
        let series = self.head_series();
        with_writer(|writer| series.add_response_bytes(writer, bytes));
        self.something_came(bytes);
    }

    /// Counts a message of the response, and its bytes, that the caller has taken.
    #[inline]
    pub fn response_message(&mut self, bytes: u64) {
        self.response_messages(1, bytes);
    }

    /// As [`response_message`](Self::response_message), for several at once.
    #[inline]
    pub(crate) fn response_messages(&mut self, messages: u64, bytes: u64) {
        let (series, settings) = (self.head_series(), &self.begin.families.settings);
        with_writer(|writer| series.add_response_messages(writer, settings, messages, bytes));
        self.something_came(bytes);
    }

    /// Something went wrong. Only the first fault of a call counts.
    #[cold]
    pub fn fault(&mut self, fault: impl Into<Fault>) {
        if self.state.fault().is_none() {
            let own = || self.begin.families.outcome(fault.into());
            self.state.set_fault(self.reported().unwrap_or_else(own));
        }
    }

    /// All that was promised is out: if the caller goes away from now on, the
    /// call is complete all the same.
    #[inline]
    pub fn owes_nothing(&mut self) {
        self.state.set(State::OWES_NOTHING);
    }

    /// Ends the call well, if it had no fault.
    #[inline]
    pub fn complete(mut self) {
        self.owes_nothing();
    }

    /// Ends the call with a fault, if it had none before.
    pub fn fail(mut self, fault: impl Into<Fault>) {
        self.fault(fault);
    }

    /// Keeps a number of the protocol's own until the response comes: what it
    /// has seen in the request and needs to know then.
    #[inline]
    pub fn set_note(&mut self, note: u32) {
        self.state.set_note(note);
    }

    /// The number kept; 0 if there is none.
    #[inline]
    pub fn note(&self) -> u32 {
        self.state.note()
    }

    #[inline]
    fn reported(&self) -> Option<Outcome> {
        self.report.as_ref().and_then(Report::outcome)
    }

    #[inline]
    fn something_came(&mut self, bytes: u64) {
        let settings = &self.begin.families.settings;
        if let Some(report) = self.measured() {
            report.add_response_bytes(bytes);
        }
        if settings.first_byte && !self.state.has(State::FIRST_BYTE) {
            self.state.set(State::FIRST_BYTE);
            let nanos = self.nanos();
            let series = self.head_series();
            let timed = self.timed(nanos);
            with_writer(|writer| series.observe_first_byte(writer, settings, timed));
        }
    }

    /// What the protocol itself calls the outcome: its place among the names that were given to the label
    /// [`code`](crate::labels::Label::code). The last word stands.
    #[inline]
    pub fn set_code(&mut self, code: u8) {
        self.state.set_code(code);
    }

    /// The report, if it keeps count of what the call moves.
    #[inline]
    fn measured(&self) -> Option<&Report> {
        let is_measured = self.state.has(State::MEASURED);
        self.report.as_ref().filter(|_| is_measured)
    }

    /// How long the call has lasted.
    #[inline]
    fn nanos(&self) -> u64 {
        self.begin.families.settings.clock.nanos_since(self.began)
    }

    #[inline]
    fn timed(&self, nanos: u64) -> Timed<'_> {
        let is_traced = self.state.has(State::TRACED);
        Timed {
            nanos,
            traced: self.report.as_ref().filter(|_| is_traced),
        }
    }

    #[inline]
    fn head_series(&mut self) -> &'static HeadSeries {
        self.head_set().series()
    }

    /// Where no head has come yet, that of a call without one.
    #[inline]
    fn head_set(&mut self) -> &'static HeadSet {
        let begin = self.begin;
        self.head.get_or_insert_with(|| {
            let mut values = Values::NONE;
            let schema = &begin.families.settings.schema;
            schema.of_no_response(&mut values);
            begin.families.head_set(begin, &values)
        })
    }

    #[inline]
    fn end_set(&mut self, outcome: Outcome) -> &'static EndSet {
        let (families, head) = (self.begin.families, self.head_set());
        match families.constant() {
            Some(sets) if ptr::eq(sets.head, head) => return sets.end,
            _ => {}
        }
        let schema = &families.settings.schema;
        if !schema.asks_end() {
            return families.end_set(self.begin, head, &Values::NONE);
        }
        let mut values = Values::NONE;
        schema.of_end(self.state.code(), families.failure(outcome), &mut values);
        families.end_set(self.begin, head, &values)
    }

    /// What is timed elsewhere than most, or measured besides.
    #[cold]
    fn record_apart(&self, writer: &Writer, end: &EndSet, timed: Timed<'_>) {
        let settings = &self.begin.families.settings;
        if self.state.has(State::STREAM) {
            end.duration().observe_stream(writer, settings, timed);
        } else {
            end.duration().observe(writer, settings, timed);
        }
        if let Some(report) = self.measured() {
            let sizes = report.sizes();
            end.duration().observe_sizes(writer, settings, sizes);
        }
    }

    #[inline]
    fn outcome(&self) -> Outcome {
        let unhindered = if self.state.has(State::OWES_NOTHING) {
            Outcome::COMPLETED
        } else {
            Outcome::CANCELLED
        };
        self.state
            .fault()
            .or_else(|| self.reported())
            .unwrap_or_else(|| match answering::panicked(|| self.identity()) {
                true => self.begin.families.outcome(ErrorType::PANIC.into()),
                false => unhindered,
            })
    }

    #[inline]
    pub(crate) fn identity(&self) -> Identity {
        (ptr::from_ref(self.begin).addr(), self.began)
    }
}

impl Drop for Call {
    #[inline]
    fn drop(&mut self) {
        let outcome = self.outcome();
        let Families { settings, sets, .. } = self.begin.families;
        let nanos = self.nanos();
        let end = self.end_set(outcome);
        let timed = self.timed(nanos);
        with_writer(|writer| {
            end.series().record(writer, outcome);
            if self.state.has(State::STREAM | State::MEASURED) {
                self.record_apart(writer, end, timed);
            } else {
                end.duration().observe(writer, settings, timed);
            }
            sets.count_overflow(writer, end);
            // Last, for the table may be used for another layer after it.
            self.begin.series().end(writer);
        });
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("began", &self.began)
            .field("outcome", &self.outcome())
            .finish_non_exhaustive()
    }
}

impl Unwound for Call {
    /// Its owner is being unwound too, and will drop it.
    #[cold]
    fn unwound(&mut self) {
        self.fault(ErrorType::PANIC);
    }
}

impl Unwound for Option<Call> {
    // Not cold: a watch that is over because the call has moved on comes here too.
    #[inline]
    fn unwound(&mut self) {
        if let Some(call) = self {
            call.unwound();
            *self = None;
        }
    }
}

#[cfg(all(test, not(openmetrics_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_tells_whether_there_is_a_call() {
        assert_eq!(size_of::<Option<Call>>(), size_of::<Call>());
        let last = size_of::<Call>() - size_of::<usize>();
        assert_eq!(std::mem::offset_of!(Call, begin), last);
    }
}
