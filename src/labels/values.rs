/// A label's value in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Value<'a> {
    /// A number that stands for a text, which only the label knows. Methods and statuses are in most calls, and numbers
    /// compare faster.
    Code(u16),
    Text(&'a str),
}

/// A label's value in a label set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeptValue {
    Code(u16),
    Text(Box<str>),
}

/// The label values of one moment, in the order of the schema.
///
/// Borrowed and on the stack, because every call reads them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Values<'a> {
    values: [Value<'a>; MAX_LABELS],
    len: usize,
}

/// The maximum number of labels per moment.
pub(super) const MAX_LABELS: usize = 8;

// === impl Value, KeptValue ===

impl Value<'_> {
    pub(crate) fn keep(self) -> KeptValue {
        match self {
            Self::Code(code) => KeptValue::Code(code),
            Self::Text(text) => KeptValue::Text(text.into()),
        }
    }
}

impl KeptValue {
    #[inline]
    pub(crate) fn borrow(&self) -> Value<'_> {
        match self {
            Self::Code(code) => Value::Code(*code),
            Self::Text(text) => Value::Text(text),
        }
    }
}

impl PartialEq<Value<'_>> for KeptValue {
    #[inline]
    fn eq(&self, other: &Value<'_>) -> bool {
        self.borrow() == *other
    }
}

// === impl Values ===

impl<'a> Values<'a> {
    pub(crate) const NONE: Self = Self {
        values: [Value::Code(0); MAX_LABELS],
        len: 0,
    };

    /// Appends a value. The schema has checked that there is room.
    #[inline]
    pub(super) fn push(&mut self, value: Value<'a>) {
        if let Some(slot) = self.values.get_mut(self.len) {
            *slot = value;
            self.len += 1;
        }
    }

    pub(crate) fn of(kept: &'a [KeptValue]) -> Self {
        let mut values = Self::NONE;
        kept.iter().for_each(|value| values.push(value.borrow()));
        values
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[Value<'a>] {
        &self.values[..self.len]
    }
}
