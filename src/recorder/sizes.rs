//! How large the bodies of one call are, while it runs.
//!
//! Kept beside the word by which a request's body reaches its call, for the same reason: the body may
//! outlive the call, and what it counts then must not reach the next one. So the bytes of
//! the request share a number with the generation they belong to.

use crate::sync::{AtomicU64, Ordering, overwrite};

/// The bytes of both bodies of a call.
pub(super) struct Sizes {
    /// The lowest bits of a generation, above [`BYTE_BITS`] of bytes.
    request: AtomicU64,
    /// Only the call itself counts these.
    response: AtomicU64,
}

/// Up to a TiB less one byte; there the count of a request stops.
///
/// That leaves 24 bits of generation. To be mistaken for another's, a count would have to pause, just
/// after it has seen its own generation in full, for exactly as many calls on this word as there are such numbers.
const BYTE_BITS: u32 = 40;
const MOST_BYTES: u64 = (1 << BYTE_BITS) - 1;

impl Sizes {
    pub(super) fn new() -> Self {
        Self {
            request: AtomicU64::new(0),
            response: AtomicU64::new(0),
        }
    }

    /// From zero, for the call that has this generation.
    #[inline]
    pub(super) fn open(&self, generation: u64) {
        overwrite(&self.request, generation << BYTE_BITS);
        self.response.store(0, Ordering::Relaxed);
    }

    /// Does nothing if another call has the word by now.
    ///
    /// Relaxed, as reports are: a call whose service has read its request to the end knows so by other means, and
    /// nothing else is read through these numbers.
    #[inline]
    pub(super) fn add_request_bytes(&self, generation: u64, bytes: u64) {
        let own = generation << BYTE_BITS;
        let add = |counted: u64| {
            let before = counted.checked_sub(own).filter(|&n| n <= MOST_BYTES)?;
            Some(own | before.saturating_add(bytes).min(MOST_BYTES))
        };
        // An `Err` is the case that is passed over.
        let _ = self
            .request
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// By the call itself, of which there is one at a time.
    #[inline]
    pub(super) fn add_response_bytes(&self, bytes: u64) {
        let counted = self.response.load(Ordering::Relaxed);
        let sum = counted.saturating_add(bytes);
        self.response.store(sum, Ordering::Relaxed);
    }

    /// Those of the request, and those of the response.
    #[inline]
    pub(super) fn read(&self) -> (u64, u64) {
        (
            self.request.load(Ordering::Relaxed) & MOST_BYTES,
            self.response.load(Ordering::Relaxed),
        )
    }
}

#[cfg(all(test, not(openmetrics_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_request_of_a_tebibyte_counts_no_further() {
        let sizes = Sizes::new();
        // Its lowest 24 bits are all set, so that a carry would show.
        let generation = u64::MAX >> 8;
        sizes.open(generation);
        sizes.add_request_bytes(generation, MOST_BYTES - 1);
        sizes.add_request_bytes(generation, 5);
        sizes.add_request_bytes(generation, u64::MAX);
        sizes.add_response_bytes(u64::MAX - 1);
        sizes.add_response_bytes(5);
        assert_eq!(sizes.read(), ((1 << 40) - 1, u64::MAX));
    }

    #[test]
    fn bytes_of_another_generation_are_nobodys() {
        let sizes = Sizes::new();
        sizes.open(2);
        sizes.add_request_bytes(1, 1);
        sizes.add_request_bytes(2, 2);
        sizes.add_request_bytes(3, 4);
        assert_eq!(sizes.read(), (2, 0));
        sizes.open(3);
        assert_eq!(sizes.read(), (0, 0));
        sizes.add_request_bytes(2, 2);
        assert_eq!(sizes.read(), (0, 0));
    }
}
