use super::slot::{BYTE_BITS, MAX_BYTES, OUTCOME_BITS, OpenCall};
use crate::error_types::Outcome;
use crate::sync::Ordering;
use std::fmt;

/// How the body of a request tells its call of a fault, and of the bytes that were read.
#[derive(Clone, Copy)]
pub(crate) struct BodyReport {
    slot: &'static OpenCall,
    generation: u64,
}

// === impl BodyReport ===

impl BodyReport {
    /// Reports to the call that has the slot now.
    #[inline]
    pub(crate) fn new(slot: &'static OpenCall) -> Self {
        Self {
            slot,
            generation: slot.generation(),
        }
    }

    /// Reports an outcome, unless there was a report before or the call has ended.
    #[cold]
    pub(crate) fn report(&self, outcome: Outcome) {
        let silent = self.generation << OUTCOME_BITS;
        let reported = silent | u64::from(outcome.code());
        let state = &self.slot.state;
        let _ = state.compare_exchange(silent, reported, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Whether the call has not ended.
    pub(crate) fn is_open(&self) -> bool {
        self.slot.generation() == self.generation
    }

    /// Adds to the size of the request, unless the call has ended.
    pub(crate) fn add_request_bytes(&self, bytes: u64) {
        if !self.is_open() {
            return;
        }
        let own = self.generation << BYTE_BITS;
        let add = |counted: u64| {
            // `None` if another call has the slot by now.
            let before = counted.checked_sub(own).filter(|&n| n <= MAX_BYTES)?;
            Some(own | before.saturating_add(bytes).min(MAX_BYTES))
        };
        let counted = &self.slot.request_bytes;
        let _ = counted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }
}

impl fmt::Debug for BodyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BodyReport").field(&self.generation).finish()
    }
}

#[cfg(test)]
fn slot() -> &'static OpenCall {
    let slot = Box::leak(Box::new(OpenCall::new()));
    slot.measure();
    slot
}

#[cfg(all(test, not(openmetrics_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_first_report_stands() {
        let call = slot();
        assert_eq!(call.fault(), None);
        BodyReport::new(call).report(Outcome::CANCELLED);
        BodyReport::new(call).report(Outcome::failed(3));
        assert_eq!(call.fault(), Some(Outcome::CANCELLED));
        call.set_fault(Outcome::failed(4));
        assert_eq!(call.fault(), Some(Outcome::failed(4)));
    }

    #[test]
    fn late_reports_do_not_reach_the_next_call() {
        let slot = slot();
        let late = BodyReport::new(slot);
        late.add_request_bytes(3);
        late.add_request_bytes(4);
        slot.add_response_bytes(5);
        assert_eq!(slot.sizes(), (7, 5));
        slot.end();

        slot.measure();
        assert!(!late.is_open() && BodyReport::new(slot).is_open());
        late.report(Outcome::CANCELLED);
        late.add_request_bytes(8);
        assert_eq!((slot.fault(), slot.sizes()), (None, (0, 0)));
        BodyReport::new(slot).report(Outcome::failed(0));
        assert_eq!(slot.fault(), Some(Outcome::failed(0)));
    }

    /// As many calls later as the sizes tell generations apart.
    #[test]
    fn late_bytes_do_not_reach_any_later_call() {
        let slot = slot();
        let late = BodyReport::new(slot);
        let later = (late.generation + (1 << 24)) << OUTCOME_BITS;
        slot.state.store(later, Ordering::Relaxed);
        slot.measure();
        late.add_request_bytes(8);
        assert_eq!(slot.sizes(), (0, 0));
        BodyReport::new(slot).add_request_bytes(1);
        assert_eq!(slot.sizes(), (1, 0));
    }

    #[test]
    fn the_size_of_a_request_stops_below_a_tebibyte() {
        let slot = slot();
        // The lowest 24 bits are all set, so that a carry would show.
        let generation = u64::MAX >> 16;
        slot.state
            .store(generation << OUTCOME_BITS, Ordering::Relaxed);
        slot.measure();
        for bytes in [MAX_BYTES - 1, 5, u64::MAX] {
            BodyReport::new(slot).add_request_bytes(bytes);
        }
        slot.add_response_bytes(u64::MAX - 1);
        slot.add_response_bytes(5);
        assert_eq!(slot.sizes(), ((1 << 40) - 1, u64::MAX));
    }
}

#[cfg(all(test, openmetrics_loom))]
mod loom_tests {
    use super::*;
    use loom::thread;

    /// The body of a call that has `slot`: it reads a byte and breaks off.
    fn body(slot: &'static OpenCall) -> thread::JoinHandle<()> {
        let report = BodyReport::new(slot);
        thread::spawn(move || {
            report.add_request_bytes(1);
            report.report(Outcome::CANCELLED);
        })
    }

    /// A body reports and is read while its call ends and the next one begins in the slot. Only its own call sees it.
    #[test]
    fn loom_reports_reach_their_own_call_only() {
        loom::model(|| {
            let slot = slot();
            let body = body(slot);
            let (fault, (bytes, _)) = (slot.fault(), slot.sizes());
            slot.end();
            slot.measure();
            BodyReport::new(slot).add_request_bytes(8);
            body.join().unwrap();
            assert!(matches!(fault, None | Some(Outcome::CANCELLED)));
            assert!(matches!(bytes, 0 | 1), "{bytes}");
            assert_eq!((slot.fault(), slot.sizes()), (None, (8, 0)));
        });
    }

    /// Two bodies of one call: the first report stays, and their bytes add up.
    #[test]
    fn loom_the_first_report_stands() {
        loom::model(|| {
            let slot = slot();
            let body = body(slot);
            BodyReport::new(slot).add_request_bytes(2);
            BodyReport::new(slot).report(Outcome::failed(0));
            let first = slot.fault();
            body.join().unwrap();
            assert!(first.is_some());
            assert_eq!((slot.fault(), slot.sizes()), (first, (3, 0)));
        });
    }
}
