//! What a call has been told, in one word.

use crate::recorder::Outcome;

/// The small things that are known of a call.
///
/// They are one number, and not fields of their own, for the sake of copying: a call moves from the service to the
/// future and on to the response, and processors wait where what was written byte by byte is read as a whole soon after: a store is not
/// forwarded to a load that is wider than it.
#[derive(Clone, Copy)]
pub(crate) struct State(u64);

const CODE_SHIFT: u32 = 8;
const FAULT_SHIFT: u32 = 16;
const NOTE_SHIFT: u32 = 32;

// === impl State ===

impl State {
    pub(crate) const NEW: Self = Self(0);

    // Flags: the lowest byte.
    pub(crate) const OWES_NOTHING: u8 = 1;
    /// The first byte of the response has been timed.
    pub(crate) const FIRST_BYTE: u8 = 2;
    /// The response stays open by intent.
    pub(crate) const STREAM: u8 = 4;
    /// The report keeps a trace.
    pub(crate) const TRACED: u8 = 8;
    /// The report keeps count of what the call moves.
    pub(crate) const MEASURED: u8 = 16;

    /// Whether this is so, or one of these.
    #[inline]
    pub(crate) fn has(self, flags: u8) -> bool {
        self.byte(0) & flags != 0
    }

    #[inline]
    pub(crate) fn set(&mut self, flag: u8) {
        self.0 |= u64::from(flag);
    }

    #[inline]
    pub(crate) fn fault(self) -> Option<Outcome> {
        Outcome::from_code(self.byte(FAULT_SHIFT))
    }

    #[inline]
    pub(crate) fn set_fault(&mut self, fault: Outcome) {
        self.set_byte(FAULT_SHIFT, fault.code());
    }

    /// What the protocol calls the outcome, if it has a name for it.
    #[inline]
    pub(crate) fn code(self) -> Option<u8> {
        // One past it; 0 for none.
        self.byte(CODE_SHIFT).checked_sub(1)
    }

    #[inline]
    pub(crate) fn set_code(&mut self, code: u8) {
        self.set_byte(CODE_SHIFT, code.saturating_add(1));
    }

    #[inline]
    pub(crate) fn note(self) -> u32 {
        (self.0 >> NOTE_SHIFT) as u32
    }

    #[inline]
    pub(crate) fn set_note(&mut self, note: u32) {
        self.0 = u64::from(note) << NOTE_SHIFT | u64::from(self.0 as u32);
    }

    #[inline]
    fn byte(self, shift: u32) -> u8 {
        (self.0 >> shift) as u8
    }

    #[inline]
    fn set_byte(&mut self, shift: u32, byte: u8) {
        self.0 = self.0 & !(0xff << shift) | u64::from(byte) << shift;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_leaves_the_rest_as_it_is() {
        let mut state = State::NEW;
        assert_eq!((state.note(), state.code(), state.fault()), (0, None, None));
        state.set_code(255);
        state.set_code(6);
        state.set_note(u32::MAX);
        state.set_note(1);
        state.set(State::STREAM);
        state.set_fault(Outcome::failed(200));
        state.set_fault(Outcome::CANCELLED);
        state.set(State::MEASURED);
        assert_eq!(state.note(), 1);
        assert_eq!(state.code(), Some(6));
        assert_eq!(state.fault(), Some(Outcome::CANCELLED));
        assert!(state.has(State::STREAM) && state.has(State::MEASURED));
        assert!(!state.has(State::OWES_NOTHING | State::FIRST_BYTE | State::TRACED));
        assert!(state.has(State::TRACED | State::STREAM));
    }
}
