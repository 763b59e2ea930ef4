//! The small facts of a call, in one word.

/// What a call has to measure, and what it has been told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags(u32);

impl Flags {
    pub(crate) const NONE: Self = Self(0);

    // Set by the recorder when the call begins.
    /// The call measures the response's head, its time or its labels.
    pub(crate) const HEAD: Self = Self(1);
    /// The call times the first byte.
    pub(crate) const FIRST_BYTE: Self = Self(1 << 1);
    /// The call measures the sizes of both bodies.
    pub(crate) const SIZES: Self = Self(1 << 2);
    /// The end of the call has labels.
    pub(crate) const END_LABELS: Self = Self(1 << 3);
    /// The call counts or times items. Messages are items.
    pub(crate) const ITEMS: Self = Self(1 << 4);
    /// The call counts or times items. A user's function finds them in frames.
    pub(crate) const ITEMS_IN_FRAMES: Self = Self(1 << 5);
    /// The polls of the call are timed.
    pub(crate) const POLLS: Self = Self(1 << 6);
    /// Pages show the age of the call. Set as long as it is open.
    pub(crate) const AGE: Self = Self(1 << 7);
    /// The call may be the longest of late.
    pub(crate) const LONGEST: Self = Self(1 << 8);
    /// A user's function hears of the end.
    pub(crate) const ON_END: Self = Self(1 << 9);

    // Set while the call is open.
    /// The response is complete: the call completes on drop.
    pub(crate) const COMPLETE_ON_DROP: Self = Self(1 << 16);
    /// The response stays open by intent.
    pub(crate) const STREAM: Self = Self(1 << 17);
    /// The call has a trace.
    pub(crate) const TRACED: Self = Self(1 << 18);
    /// The duration of the call is unknown.
    pub(crate) const UNTIMED: Self = Self(1 << 19);
    /// An item has come.
    pub(crate) const HAS_ITEM: Self = Self(1 << 20);
    /// A poll has been timed.
    pub(crate) const HAS_POLL: Self = Self(1 << 21);
    /// There was a fault.
    pub(crate) const HAS_FAULT: Self = Self(1 << 22);
    /// The protocol has set its code.
    pub(crate) const HAS_CODE: Self = Self(1 << 23);

    #[inline]
    pub(crate) const fn to_bits(self) -> u32 {
        self.0
    }

    #[inline]
    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Whether one of `any` is set.
    #[inline]
    pub(crate) const fn has(self, any: Self) -> bool {
        self.0 & any.0 != 0
    }

    #[inline]
    pub(crate) const fn with(self, flags: Self) -> Self {
        Self(self.0 | flags.0)
    }

    #[inline]
    pub(crate) const fn with_if(self, condition: bool, flags: Self) -> Self {
        if condition { self.with(flags) } else { self }
    }

    #[inline]
    pub(crate) const fn without(self, flags: Self) -> Self {
        Self(self.0 & !flags.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_set_and_cleared_one_by_one() {
        let flags = Flags::STREAM.with_if(true, Flags::END_LABELS);
        assert!(flags.has(Flags::STREAM) && flags.has(Flags::END_LABELS.with(Flags::TRACED)));
        assert_eq!(flags.without(Flags::STREAM), Flags::END_LABELS);
        assert_eq!(flags.with_if(false, Flags::TRACED), flags);
    }
}
