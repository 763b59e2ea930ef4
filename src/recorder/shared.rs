//! What threads share of a recorder.

use super::layout::Layout;
use crate::classify::Fault;
use crate::clock::{Moment as Time, Reader};
use crate::error_types::{ErrorTypes, Outcome};
use crate::flags::Flags;
use crate::labels::Moment;
use crate::settings::Settings;
use foldhash::fast::RandomState;
use std::sync::atomic::{AtomicU64, Ordering};

/// What threads share of a recorder, for as long as one of them holds a part of it.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) layout: Layout,
    pub(super) needs: Needs,
    pub(crate) error_types: ErrorTypes,
    pub(super) hasher: RandomState,
    /// Calls beyond the cardinality limit.
    overflowed: AtomicU64,
    /// How many label sets have left.
    pub(super) removals: AtomicU64,
    pub(crate) clock: Reader,
    began: Time,
}

/// What calls need beyond counting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needs {
    /// Users' functions read the request before the call begins.
    pub(super) request: bool,
    /// There are labels, at any moment.
    pub(super) labels: bool,
    /// Responses have labels.
    pub(super) head_labels: bool,
    /// Label sets can leave, so that calls say which ones they use.
    pub(super) uses: bool,
    /// Label sets of requests are unproven until a call has ended.
    pub(super) proof: bool,
    /// The flags that each call begins with.
    pub(super) flags: Flags,
}

// === impl Shared ===

impl Shared {
    pub(super) fn new(settings: Settings) -> Self {
        let clock = settings.clock.reader();
        Self {
            layout: Layout::new(&settings),
            needs: Needs::of(&settings),
            error_types: ErrorTypes::new(settings.error_types.clone()),
            hasher: RandomState::default(),
            overflowed: AtomicU64::new(0),
            removals: AtomicU64::new(0),
            began: clock.now(),
            clock,
            settings,
        }
    }

    /// The outcome of a call with this fault.
    pub(crate) fn outcome(&self, fault: Fault) -> Outcome {
        match fault {
            Fault::Failed(error_type) => Outcome::failed(self.error_types.index(error_type)),
            Fault::Cancelled => Outcome::CANCELLED,
        }
    }

    /// The value of the label `error_type` for this outcome. `None` if the call completed.
    pub(crate) fn failure(&self, outcome: Outcome) -> Option<&'static str> {
        match outcome.failure() {
            Some(index) => Some(self.error_types.name(index).as_str()),
            None => (outcome == Outcome::CANCELLED).then_some("cancelled"),
        }
    }

    /// Whether one block counts all of a call.
    pub(super) fn is_plain(&self) -> bool {
        let Needs { labels, uses, .. } = self.needs;
        self.layout.groups().len() == 1 && !labels && !uses
    }

    pub(super) fn count_overflow(&self) {
        self.overflowed.fetch_add(1, Ordering::Relaxed);
    }

    /// How many calls were beyond the cardinality limit.
    pub(crate) fn overflowed(&self) -> u64 {
        self.overflowed.load(Ordering::Relaxed)
    }

    /// Nanoseconds since the recorder was made.
    pub(super) fn now(&self) -> u64 {
        self.clock.nanos_since(self.began)
    }

    /// How many nanoseconds a label set stays without a call. `None` if it stays forever.
    pub(super) fn idle(&self) -> Option<u64> {
        let idle = self.settings.label_idle?;
        Some(u64::try_from(idle.as_nanos()).unwrap_or(u64::MAX))
    }
}

// === impl Needs ===

impl Needs {
    fn of(settings: &Settings) -> Self {
        let Settings {
            schema,
            filter,
            streams,
            exemplars,
            sizes,
            response_head,
            first_byte,
            label_idle,
            ..
        } = settings;
        let labels = !schema.is_empty();
        let of_requests = streams.as_ref().is_some_and(|of| of.of_requests.is_some());
        let of_responses = streams.as_ref().is_some_and(|of| of.of_responses.is_some());
        let head_labels = schema.asks(Moment::Head);
        let proof = schema.has_to_be_proven();
        let functions = filter.is_some() || exemplars.is_some() || of_requests;
        Self {
            request: labels || sizes.is_some() || functions,
            labels,
            head_labels,
            uses: label_idle.is_some() || proof,
            proof,
            flags: Flags::NONE
                .with_if(*response_head || of_responses || head_labels, Flags::HEAD)
                .with_if(*first_byte, Flags::FIRST_BYTE)
                .with_if(sizes.is_some(), Flags::SIZES)
                .with_if(schema.asks(Moment::End), Flags::END_LABELS),
        }
    }
}
