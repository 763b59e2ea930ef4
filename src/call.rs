//! One call, from its beginning to its one end.

use crate::answering::{self, Identity};
use crate::classify::{ErrorType, Fault, GrpcCode, Head};
use crate::clock::Moment as Time;
use crate::handle::CallHandle;
use crate::labels::{Carrier, Moment, RequestHead, Values};
use crate::recorder::{
    Asks, Begun, Common, Key, Measured, Outcome, Own, REQUEST_BYTES, REQUEST_MESSAGES,
    RESPONSE_BYTES, RESPONSE_MESSAGES, ROOT, Report, SetIndex, with,
};
use crate::trace::TraceContext;
use crate::watch::Unwound;
use std::fmt;
use std::mem;

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
pub struct Call {
    key: Key,
    began: Time,
    report: Option<Report>,
    begin: SetIndex,
    /// [`UNKNOWN`] until the head of the response is there.
    head: SetIndex,
    note: u32,
    code: Option<u8>,
    fault: Option<Outcome>,
    asks: Asks,
    owes_nothing: bool,
    /// Where its time is counted. That of an upgraded call, which ends with its head, says nothing.
    timed: Option<Measured>,
    /// The report keeps a trace.
    is_traced: bool,
    has_ended: bool,
}

const UNKNOWN: SetIndex = SetIndex::MAX;

// === impl Call ===

impl Call {
    /// A call begins; what `request` gives is only asked for if somebody wants to see it.
    #[inline]
    pub(crate) fn begin<'a>(key: Key, request: impl FnOnce() -> Option<RequestHead<'a>>) -> Self {
        let begun = with(key, |own| (!own.asks().requests).then(|| own.begin(ROOT)));
        match begun {
            Some(Some(begun)) => Self::new(key, ROOT, begun),
            Some(None) => Self::begin_asking(key, request()),
            None => Self::nowhere(),
        }
    }

    #[inline]
    fn new(key: Key, begin: SetIndex, Begun { began, asks }: Begun) -> Self {
        Self {
            key,
            began,
            report: None,
            begin,
            head: if asks.head_labels { UNKNOWN } else { begin },
            note: 0,
            code: None,
            fault: None,
            asks,
            owes_nothing: false,
            timed: Some(Measured::Duration),
            is_traced: false,
            has_ended: false,
        }
    }

    /// One that is counted nowhere.
    #[cold]
    fn nowhere() -> Self {
        Self::new(Key::NONE, ROOT, Begun::default())
    }

    /// One at whose request users' functions have to look.
    #[inline(never)]
    fn begin_asking(key: Key, request: Option<RequestHead<'_>>) -> Self {
        let Some(common) = with(key, |own| own.lend()) else {
            return Self::nowhere();
        };
        let settings = &common.settings;
        let unlooked = Unlooked {
            key,
            common: &common,
        };
        let mut values = Values::NONE;
        let mut trace = None;
        let mut is_stream = false;
        match &request {
            Some(head) => {
                if let Some(is_measured) = &settings.filter
                    && !(**is_measured)(head)
                {
                    mem::forget(unlooked);
                    return Self::nowhere();
                }
                trace = settings.exemplars.as_ref().and_then(|of| (**of)(head));
                let streams = settings.streams.as_ref();
                is_stream = streams.is_some_and(|streams| streams.is_requested(head));
                settings.schema.of_request(head, &mut values);
            }
            None => settings.schema.of_no_request(&mut values),
        }
        mem::forget(unlooked);
        let mut call = Self::labelled(key, &values, trace);
        if is_stream {
            call.time_as_stream();
        }
        call
    }

    fn labelled(key: Key, values: &Values<'_>, trace: Option<TraceContext>) -> Self {
        let begun = with(key, |own| {
            let begin = own.find(Moment::Begin, ROOT, values);
            (begin, own.begin(begin))
        });
        let Some((begin, begun)) = begun else {
            return Self::nowhere();
        };
        let mut call = Self::new(key, begin, begun);
        if call.asks.sizes {
            call.report.get_or_insert_with(Report::open).measure();
        }
        if let Some(trace) = trace {
            call.is_traced = true;
            call.report
                .get_or_insert_with(Report::open)
                .set_trace(trace);
        }
        call
    }

    /// Counts bytes of the request that the service has been given.
    #[inline]
    pub fn request_bytes(&self, bytes: u64) {
        self.request(0, bytes);
    }

    /// Counts a message of the request, and its bytes, that the service has
    /// been given.
    #[inline]
    pub fn request_message(&self, bytes: u64) {
        self.request(1, bytes);
    }

    #[inline]
    fn request(&self, messages: u64, bytes: u64) {
        with(self.key, |own| {
            let block = own.block(self.begin, Carrier::Begin);
            block.add(REQUEST_BYTES, bytes);
            block.add(REQUEST_MESSAGES, messages);
        });
        if let Some(report) = self.measured() {
            report.reporter().add_request_bytes(bytes);
        }
    }

    /// A way to reach this call from elsewhere.
    pub fn handle(&mut self) -> CallHandle {
        let report = self.report.get_or_insert_with(Report::open);
        CallHandle::new(self.key, self.begin, report.reporter())
    }

    /// The head of the response is there.
    #[inline]
    pub fn head(&mut self) {
        if self.asks.responses {
            self.ask_head(None);
        }
    }

    /// As [`head`](Self::head), for responses that have one as HTTP's do: the labels of
    /// the response are read from it.
    #[inline]
    pub fn response_head(&mut self, head: &Head<'_>) {
        if self.asks.responses {
            self.ask_head(Some(head));
        }
    }

    #[inline(never)]
    fn ask_head(&mut self, head: Option<&Head<'_>>) {
        let Some(common) = with(self.key, |own| own.lend()) else {
            return;
        };
        let settings = &common.settings;
        let mut values = Values::NONE;
        match head {
            Some(head) => {
                settings.schema.of_response(head, &mut values);
                let streams = settings.streams.as_ref();
                if streams.is_some_and(|streams| streams.is_answered(head)) {
                    self.time_as_stream();
                }
            }
            None => settings.schema.of_no_response(&mut values),
        }
        let (began, begin, known, traced) = (self.began, self.begin, self.head, self.traced());
        let found = with(self.key, |own| {
            let head = match known {
                UNKNOWN => own.find(Moment::Head, begin, &values),
                known => known,
            };
            if settings.response_head {
                let nanos = settings.clock.nanos_since(began);
                own.observe(head, Measured::ResponseHead, nanos, traced);
            }
            head
        });
        self.head = found.unwrap_or(known);
    }

    /// Counts bytes of the response that the caller has taken.
    #[inline]
    pub fn response_bytes(&mut self, bytes: u64) {
        if bytes > 0 {
            self.response_messages(0, bytes);
        }
    }

    /// Counts a message of the response, and its bytes, that the caller has taken.
    #[inline]
    pub fn response_message(&mut self, bytes: u64) {
        self.response_messages(1, bytes);
    }

    /// As [`response_message`](Self::response_message), for several at once.
    #[inline]
    pub(crate) fn response_messages(&mut self, messages: u64, bytes: u64) {
        with(self.key, |own| self.count_response(own, messages, bytes));
    }

    #[inline]
    fn count_response(&mut self, own: &mut Own, messages: u64, bytes: u64) {
        if self.head == UNKNOWN {
            self.find_no_head(own);
        }
        let block = own.block(self.head, Carrier::Head);
        block.add(RESPONSE_BYTES, bytes);
        block.add(RESPONSE_MESSAGES, messages);
        if self.asks.sizes || self.asks.first_byte {
            self.measure_response(own, bytes);
        }
    }

    #[cold]
    fn measure_response(&mut self, own: &mut Own, bytes: u64) {
        if let Some(report) = self.measured() {
            report.add_response_bytes(bytes);
        }
        if mem::take(&mut self.asks.first_byte) {
            let nanos = own.common().settings.clock.nanos_since(self.began);
            own.observe(self.head, Measured::FirstByte, nanos, self.traced());
        }
    }

    /// Something went wrong. Only the first fault of a call counts.
    #[cold]
    pub fn fault(&mut self, fault: impl Into<Fault>) {
        if self.fault.is_none() {
            let own = || with(self.key, |own| own.common().outcome(fault.into()));
            self.fault = self.reported().or_else(own);
        }
    }

    /// All that was promised is out: if the caller goes away from now on, the
    /// call is complete all the same.
    #[inline]
    pub fn owes_nothing(&mut self) {
        self.owes_nothing = true;
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

    /// It stays open by intent.
    pub(crate) fn time_as_stream(&mut self) {
        self.timed = Some(Measured::StreamDuration);
    }

    /// Its connection becomes something else. Unless somebody follows that, nobody knows how long it takes.
    pub(crate) fn upgraded(&mut self) {
        self.timed = None;
    }

    /// Keeps a number of the protocol's own until the response comes: what it
    /// has seen in the request and needs to know then.
    #[inline]
    pub fn set_note(&mut self, note: u32) {
        self.note = note;
    }

    /// The number kept; 0 if there is none.
    #[inline]
    pub fn note(&self) -> u32 {
        self.note
    }

    /// What the protocol itself calls the outcome: its place among the names that were given to the label
    /// [`code`](crate::labels::Label::code). The last word stands.
    #[inline]
    pub fn set_code(&mut self, code: u8) {
        self.code = Some(code);
    }

    #[inline]
    fn reported(&self) -> Option<Outcome> {
        self.report.as_ref().and_then(Report::outcome)
    }

    /// The report, if it keeps count of what the call moves.
    #[inline]
    fn measured(&self) -> Option<&Report> {
        self.report.as_ref().filter(|_| self.asks.sizes)
    }

    /// The report, if it keeps a trace.
    #[inline]
    fn traced(&self) -> Option<&Report> {
        self.report.as_ref().filter(|_| self.is_traced)
    }

    /// No head has come: that of a call without one.
    #[cold]
    fn find_no_head(&mut self, own: &mut Own) {
        let common = own.lend();
        let mut values = Values::NONE;
        common.settings.schema.of_no_response(&mut values);
        self.head = own.find(Moment::Head, self.begin, &values);
    }

    #[inline]
    fn outcome(&self) -> Outcome {
        let unhindered = match self.owes_nothing {
            true => Outcome::COMPLETED,
            false => Outcome::CANCELLED,
        };
        self.told().unwrap_or(unhindered)
    }

    /// The first fault that it was told of, here or elsewhere.
    #[inline]
    fn told(&self) -> Option<Outcome> {
        self.fault.or_else(|| self.reported())
    }

    /// The response is over, and these were the last messages and bytes of it.
    #[inline]
    pub(crate) fn end(&mut self, messages: u64, bytes: u64) {
        if !mem::replace(&mut self.has_ended, true) {
            with(self.key, |own| self.count_end(own, messages, bytes));
        }
    }

    #[inline]
    fn count_end(&mut self, own: &mut Own, messages: u64, bytes: u64) {
        if bytes > 0 || messages > 0 {
            self.count_response(own, messages, bytes);
        }
        if self.head == UNKNOWN {
            self.find_no_head(own);
        }
        let outcome = match self.told() {
            None if answering::panicked(|| self.identity()) => {
                own.common().outcome(ErrorType::PANIC.into())
            }
            _ => self.outcome(),
        };
        if self.asks.proves {
            self.prove(own, outcome);
        }
        let end = match self.asks.end_labels {
            true => self.end_set(own, outcome),
            false => self.head,
        };
        let nanos = own.common().settings.clock.nanos_since(self.began);
        if let Some(timed) = self.timed {
            own.observe(end, timed, nanos, self.traced());
        }
        if let Some(report) = self.measured() {
            own.observe_sizes(end, report.sizes());
        }
        own.end([self.begin, self.head, end], outcome);
    }

    /// The server has what was asked for, unless it said that it has not, or never got to say anything.
    fn prove(&self, own: &mut Own, outcome: Outcome) {
        let is_there = match self.code {
            Some(code) => code != GrpcCode::Unimplemented as u8,
            None => outcome != Outcome::CANCELLED,
        };
        if is_there {
            own.prove(self.begin);
        }
    }

    /// What tells it from all others that are open.
    pub(crate) fn identity(&self) -> Identity {
        (self.begin, self.began)
    }

    #[inline(never)]
    fn end_set(&mut self, own: &mut Own, outcome: Outcome) -> SetIndex {
        let common = own.lend();
        let mut values = Values::NONE;
        let schema = &common.settings.schema;
        schema.of_end(self.code, common.failure(outcome), &mut values);
        own.find(Moment::End, self.head, &values)
    }
}

impl Drop for Call {
    #[inline]
    fn drop(&mut self) {
        self.end(0, 0);
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

/// Stands on the stack while users' functions look at a request whose call has not begun. If they
/// panic it is a call that has panicked, with no labels to it.
struct Unlooked<'a> {
    key: Key,
    common: &'a Common,
}

impl Drop for Unlooked<'_> {
    fn drop(&mut self) {
        let mut values = Values::NONE;
        self.common.settings.schema.of_no_request(&mut values);
        Call::labelled(self.key, &values, None).fail(ErrorType::PANIC);
    }
}
