use super::OTHER;
use super::code::MOST_CODES;
use super::http::{CLASSES, METHODS, RequestHead};
use super::values::KeptValue;
use crate::classify::Head;
use crate::function::Function;
use http::StatusCode;
use std::any::Any;
use std::borrow::Cow;

pub(super) type FromRequest =
    Function<dyn for<'a> Fn(&RequestHead<'a>) -> Option<&'a str> + Send + Sync>;
pub(super) type FromMessage =
    Function<dyn for<'a> Fn(&'a dyn Any) -> Option<Cow<'a, str>> + Send + Sync>;
pub(super) type FromResponse = Function<dyn for<'a> Fn(&Head<'a>) -> Option<&'a str> + Send + Sync>;

/// Where a label's value comes from. Common sources are variants, which cost fewer instructions than a function.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    Method,
    Scheme,
    Version,
    Request(FromRequest),
    Message(FromMessage),
    Status,
    StatusClass,
    Response(FromResponse),
    Code(&'static [&'static str]),
    ErrorType,
}

/// The number of moments.
pub(crate) const MOMENTS: usize = 3;

/// When a label's value is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Moment {
    /// The call begins.
    Begin,
    /// The head of the response has come.
    Head,
    /// The call ends.
    End,
}

// === impl Moment ===

impl Moment {
    pub(crate) const ALL: [Self; MOMENTS] = [Self::Begin, Self::Head, Self::End];
}

// === impl Source ===

impl Source {
    pub(super) fn moment(&self) -> Moment {
        match self {
            Self::Method | Self::Scheme | Self::Version | Self::Request(_) | Self::Message(_) => {
                Moment::Begin
            }
            Self::Status | Self::StatusClass | Self::Response(_) => Moment::Head,
            Self::Code(_) | Self::ErrorType => Moment::End,
        }
    }

    /// The texts that codes stand for. A status stands for itself.
    fn names(&self) -> &[&'static str] {
        match self {
            Self::Method => &METHODS,
            Self::StatusClass => &CLASSES,
            Self::Code(names) => names.get(..MOST_CODES).unwrap_or(names),
            _ => &[],
        }
    }

    /// Whether every value is a code, unless it is absent.
    pub(super) fn is_coded(&self) -> bool {
        matches!(self, Self::Status) || !self.names().is_empty()
    }

    /// Returns the text of a value on the page.
    pub(super) fn shown(&self, value: &KeptValue) -> Box<str> {
        match value {
            KeptValue::Text(text) => text.clone(),
            KeptValue::Code(code) if *self == Self::Status => code.to_string().into(),
            KeptValue::Code(code) => {
                let name = self.names().get(usize::from(*code));
                (*name.unwrap_or(&OTHER)).into()
            }
        }
    }

    /// Returns the value that the page shows as `shown`.
    pub(super) fn value_of(&self, shown: &str) -> KeptValue {
        let code = match self {
            Self::Status => {
                let status = shown.parse::<StatusCode>().ok();
                status.map(|status| status.as_u16().into())
            }
            _ => self.names().iter().position(|name| *name == shown),
        };
        match code.and_then(|code| u16::try_from(code).ok()) {
            Some(code) => KeptValue::Code(code),
            None => KeptValue::Text(shown.into()),
        }
    }
}
