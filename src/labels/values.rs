use super::OTHER;

/// The values of the labels of one moment, in the order of the schema.
///
/// On the stack and borrowed, for they are looked at in every call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Values<'a> {
    values: [&'a str; MOST_LABELS],
    len: usize,
}

/// As many labels as one moment may have.
pub(super) const MOST_LABELS: usize = 8;

/// Longer values are `_OTHER`, so that 2,000 of them are no burden.
const MOST_BYTES: usize = 128;

impl<'a> Values<'a> {
    pub(crate) const NONE: Self = Self {
        values: [""; MOST_LABELS],
        len: 0,
    };

    /// As many as there are; the schema has seen to it that there is room.
    #[inline]
    pub(super) fn push(&mut self, value: &'a str) {
        if let Some(place) = self.values.get_mut(self.len) {
            *place = if value.len() > MOST_BYTES {
                OTHER
            } else {
                value
            };
            self.len += 1;
        }
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[&'a str] {
        &self.values[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_too_long_is_another() {
        let (fits, too_long) = ("x".repeat(128), "x".repeat(129));
        let mut values = Values::NONE;
        values.push(&fits);
        values.push(&too_long);
        assert_eq!(values.as_slice(), [&*fits, "_OTHER"]);
    }
}
