use crate::classify::GrpcCode;

/// A protocol's own code of an outcome: one of the names that the label [`code`](super::Label::code) has.
///
/// A layer has one list of names. A code of another list is shown as the name that the layer's list has in its place, or
/// as `_OTHER`.
///
/// ```
/// use tower_openmetrics::labels::{Code, Label};
///
/// const NAMES: [&str; 2] = ["HIT", "MISS"];
/// const MISS: Code = Code::new(&NAMES, 1).unwrap();
/// assert_eq!(Code::new(&NAMES, 2), None);
///
/// // On the layer's builder: `.label(label)`. In the protocol: `call.set_code(MISS)`.
/// let label = Label::code(&NAMES);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(u8);

/// How many names of a label can be codes.
pub(super) const MOST_CODES: usize = 256;

impl Code {
    /// Returns the code at `index` in the `names` of the label, or `None` if there is none.
    ///
    /// Only the first 256 names can be codes.
    pub const fn new(names: &[&str], index: usize) -> Option<Self> {
        if index < names.len() && index < MOST_CODES {
            Some(Self(index as u8))
        } else {
            None
        }
    }

    pub(crate) fn index(self) -> u8 {
        self.0
    }
}

impl From<GrpcCode> for Code {
    /// Returns the code in [`GrpcCode::NAMES`].
    fn from(code: GrpcCode) -> Self {
        Self(code as u8)
    }
}
