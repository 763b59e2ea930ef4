use std::num::NonZeroU8;

/// How a call ended, or is bound to end, in one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome(NonZeroU8);

const COMPLETED: NonZeroU8 = NonZeroU8::MIN;
const CANCELLED: NonZeroU8 = COMPLETED.saturating_add(1);
const FIRST_FAILURE: NonZeroU8 = CANCELLED.saturating_add(1);

impl Outcome {
    pub(crate) const COMPLETED: Self = Self(COMPLETED);
    pub(crate) const CANCELLED: Self = Self(CANCELLED);

    /// Failed, as the error type at `index` of its layer's
    /// [`ErrorTypes`](super::errors::ErrorTypes).
    pub(crate) const fn failed(index: u8) -> Self {
        Self(FIRST_FAILURE.saturating_add(index))
    }

    /// The index of the error type, if it failed.
    #[inline]
    pub(crate) fn failure(self) -> Option<usize> {
        self.0
            .get()
            .checked_sub(FIRST_FAILURE.get())
            .map(usize::from)
    }

    /// Never 0.
    #[inline]
    pub(crate) fn code(self) -> u8 {
        self.0.get()
    }

    /// The outcome with that code; none has 0.
    #[inline]
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        NonZeroU8::new(code).map(Self)
    }
}

#[cfg(all(test, not(openmetrics_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_code_and_its_outcome_are_one() {
        for outcome in [
            Outcome::COMPLETED,
            Outcome::CANCELLED,
            Outcome::failed(0),
            Outcome::failed(63),
        ] {
            assert_eq!(Outcome::from_code(outcome.code()), Some(outcome));
        }
        assert_eq!(Outcome::from_code(0), None);
        assert_eq!(Outcome::CANCELLED.failure(), None);
        assert_eq!(Outcome::failed(0).failure(), Some(0));
    }
}
