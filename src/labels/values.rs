use std::collections::HashSet;

/// A label's value in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// The declared values of a label.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct DeclaredValues {
    texts: HashSet<Box<str>>,
    codes: Vec<u16>,
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
        match (self, other) {
            (Self::Code(a), Value::Code(b)) => a == b,
            (Self::Text(a), Value::Text(b)) => **a == **b,
            _ => false,
        }
    }
}

// === impl DeclaredValues ===

impl DeclaredValues {
    pub(super) fn insert(&mut self, value: KeptValue) {
        match value {
            KeptValue::Code(code) => self.codes.push(code),
            KeptValue::Text(text) => {
                self.texts.insert(text);
            }
        }
    }

    #[inline]
    pub(super) fn has(&self, value: Value<'_>) -> bool {
        match value {
            Value::Code(code) => self.codes.contains(&code),
            Value::Text(text) => self.texts.contains(text),
        }
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
