//! What a call has to ask, and what it has been told, in one byte.

/// The small facts of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags(u8);

impl Flags {
    pub(crate) const NONE: Self = Self(0);

    // What it has to ask. First what the recorder is set to.
    /// Something of the response's head, or when it comes.
    pub(crate) const ASKS_HEAD: Self = Self(1);
    /// When the first byte comes.
    pub(crate) const ASKS_FIRST_BYTE: Self = Self(1 << 1);
    /// How large the bodies are: the report keeps count.
    pub(crate) const ASKS_SIZES: Self = Self(1 << 2);
    /// The labels of its end.
    pub(crate) const ASKS_END: Self = Self(1 << 3);

    // What it has been told.
    /// All that was promised is out.
    pub(crate) const OWES_NOTHING: Self = Self(1 << 4);
    /// The response stays open by intent.
    pub(crate) const STREAM: Self = Self(1 << 5);
    /// The slot keeps a trace.
    pub(crate) const TRACED: Self = Self(1 << 6);
    /// Nobody knows how long it takes.
    pub(crate) const UNTIMED: Self = Self(1 << 7);

    #[inline]
    pub(crate) const fn to_bits(self) -> u8 {
        self.0
    }

    #[inline]
    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// Whether it has one of these.
    #[inline]
    pub(crate) const fn has(self, any: Self) -> bool {
        self.0 & any.0 != 0
    }

    #[inline]
    pub(crate) const fn with(self, flags: Self) -> Self {
        Self(self.0 | flags.0)
    }

    /// These, if it is so.
    #[inline]
    pub(crate) const fn given(self, is_so: bool) -> Self {
        if is_so { self } else { Self::NONE }
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
    fn flags_come_and_go_by_themselves() {
        let flags = Flags::STREAM.with(Flags::ASKS_END.given(true));
        assert!(flags.has(Flags::STREAM) && flags.has(Flags::ASKS_END.with(Flags::TRACED)));
        assert_eq!(flags.without(Flags::STREAM), Flags::ASKS_END);
        assert_eq!(Flags::TRACED.given(false), Flags::NONE);
    }
}
