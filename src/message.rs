//! The size of a message, and whether it is an error.
//!
//! Messages without HTTP have no length in bytes before a transport encodes them. So the type
//! itself, or the layer, defines their size:
//!
//! - Bytes, text, numbers, and collections, pointers, tuples and `Result`s of them implement
//!   [`Message`].
//! - Implement [`Message`] for your own types. Every layer then measures them in the same way.
//! - Use a closure for types of other crates, or to measure one type in several ways. The builder takes it with
//!   [`measure_requests`](crate::MetricsLayerBuilder::measure_requests) and similar methods. [`ok`] wraps a closure for
//!   `Result`s.
//! - Implement [`Measure`] for types of other crates that can be errors without being `Result`s.
//!
//! ```
//! use tower_openmetrics::{Message, MetricsLayer, message};
//!
//! struct Prompt {
//!     text: String,
//!     image: Option<Vec<u8>>,
//! }
//!
//! impl Message for Prompt {
//!     fn size(&self) -> u64 {
//!         let Self { text, image } = self;
//!         text.size() + image.size()
//!     }
//! }
//!
//! # fn main() -> Result<(), tower_openmetrics::Error> {
//! // `Prompt` is a `Message`. `PathBuf` is from another crate, so a closure measures it.
//! let layer = MetricsLayer::unary_builder()
//!     .measure_responses(message::ok(|path: &std::path::PathBuf| path.as_os_str().len() as u64))
//!     .build([("endpoint", "pictures")])?;
//! # let _ = |s: tower::util::BoxCloneService<Prompt, Result<std::path::PathBuf, std::fmt::Error>, ()>| {
//! #     fn is_service<R, S: tower::Service<R>>(_: S) {}
//! #     is_service::<Prompt, _>(tower::Layer::layer(&layer, s));
//! # };
//! assert_eq!(Prompt { text: "a cat".into(), image: Some(vec![0; 1024]) }.size(), 1029);
//! # Ok(())
//! # }
//! ```
//!
//! Errors need not be `Result`s. The classifier gets the value that [`Message::error`] returns:
//!
//! ```
//! use std::any::Any;
//! use tower_openmetrics::Message;
//! use tower_openmetrics::classify::{ErrorType, by_error};
//!
//! enum Token {
//!     Text(String),
//!     Refused { code: u16 },
//! }
//!
//! impl Message for Token {
//!     fn size(&self) -> u64 {
//!         match self {
//!             Self::Text(text) => text.size(),
//!             Self::Refused { .. } => 0,
//!         }
//!     }
//!
//!     fn error(&self) -> Option<&dyn Any> {
//!         match self {
//!             Self::Text(_) => None,
//!             Self::Refused { code } => Some(code),
//!         }
//!     }
//! }
//!
//! let classifier = by_error(|code: &u16, _| (*code == 408).then_some(ErrorType::TIMEOUT));
//! ```

use bytes::{Bytes, BytesMut};
use std::any::Any;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

/// A message with a size.
///
/// The size of bytes and text is their length. The size of a number is its width. The size of a collection, a tuple,
/// an `Option` or a pointer is that of its content. The size of an `Ok` is that of its value. An `Err` is an error of
/// size 0. Errors within a collection are ignored.
pub trait Message {
    /// Returns the size in bytes.
    fn size(&self) -> u64;

    /// Returns the error, if the message is one.
    ///
    /// Defaults to `None`.
    fn error(&self) -> Option<&dyn Any> {
        None
    }

    /// Returns how many [items](crate::MetricsLayerBuilder::items_total) the message of a response has, such as tokens.
    ///
    /// Defaults to 1. Return 0 for a message that a reader doesn't wait for, such as a keep-alive.
    fn items(&self) -> u64 {
        1
    }

    /// Returns the total size of `all`. Types of a fixed size override it, to be faster.
    #[doc(hidden)]
    fn size_of_all(all: &[Self]) -> u64
    where
        Self: Sized,
    {
        all.iter().map(Self::size).sum()
    }
}

/// Measures messages of type `T`.
///
/// Implemented by closures from a message to its size, by [`Own`], and by the measures that [`ok`] returns.
pub trait Measure<T: ?Sized>: Clone {
    /// Returns the size of `message` in bytes.
    fn size(&self, message: &T) -> u64;

    /// Returns the error, if `message` is one.
    ///
    /// Defaults to `None`.
    fn error<'a>(&self, message: &'a T) -> Option<&'a dyn Any> {
        let _ = message;
        None
    }

    /// Returns how many [items](crate::MetricsLayerBuilder::items_total) the message of a response has, such as tokens.
    ///
    /// Defaults to 1.
    fn items(&self, message: &T) -> u64 {
        let _ = message;
        1
    }
}

/// Measures each message with its own [`Message`] implementation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Own;

/// Measures the value of an `Ok`. Returned by [`ok`].
#[derive(Clone, Copy, Debug)]
pub struct InOk<F>(F);

/// Measures as `M` does, and counts items with `F`. Returned by [`items`].
#[derive(Clone, Copy, Debug)]
pub struct WithItems<M, F> {
    measure: M,
    items: F,
}

/// Returns a measure that counts the [items](crate::MetricsLayerBuilder::items_total) of a response's message with `items`.
/// Sizes and errors are those of `measure`.
///
/// ```
/// use tower_openmetrics::message::{self, Measure, Own};
///
/// // A message of a model server has several tokens, or is a keep-alive without any.
/// let measure = message::items(Own, |tokens: &Vec<String>| tokens.len() as u64);
/// assert_eq!(measure.items(&vec!["to".to_owned(), "be".to_owned()]), 2);
/// assert_eq!(measure.items(&vec![]), 0);
/// ```
pub fn items<M, F>(measure: M, items: F) -> WithItems<M, F> {
    WithItems { measure, items }
}

/// Returns a measure for `Result`s. `size` measures the value of an `Ok`. An `Err` is an error of size 0.
pub fn ok<F>(size: F) -> InOk<F> {
    InOk(size)
}

// === measures ===

impl<T: Message + ?Sized> Measure<T> for Own {
    #[inline]
    fn size(&self, message: &T) -> u64 {
        message.size()
    }

    #[inline]
    fn error<'a>(&self, message: &'a T) -> Option<&'a dyn Any> {
        message.error()
    }

    #[inline]
    fn items(&self, message: &T) -> u64 {
        message.items()
    }
}

impl<T, M, F> Measure<T> for WithItems<M, F>
where
    T: ?Sized,
    M: Measure<T>,
    F: Fn(&T) -> u64 + Clone,
{
    #[inline]
    fn size(&self, message: &T) -> u64 {
        self.measure.size(message)
    }

    #[inline]
    fn error<'a>(&self, message: &'a T) -> Option<&'a dyn Any> {
        self.measure.error(message)
    }

    #[inline]
    fn items(&self, message: &T) -> u64 {
        (self.items)(message)
    }
}

impl<T, F> Measure<T> for F
where
    T: ?Sized,
    F: Fn(&T) -> u64 + Clone,
{
    #[inline]
    fn size(&self, message: &T) -> u64 {
        self(message)
    }
}

impl<T, E, F> Measure<Result<T, E>> for InOk<F>
where
    E: 'static,
    F: Fn(&T) -> u64 + Clone,
{
    #[inline]
    fn size(&self, message: &Result<T, E>) -> u64 {
        message.as_ref().map_or(0, &self.0)
    }

    #[inline]
    fn error<'a>(&self, message: &'a Result<T, E>) -> Option<&'a dyn Any> {
        message.as_ref().err().map(|error| error as _)
    }
}

// === messages ===

/// Types whose length in bytes is their `len()`.
macro_rules! by_length {
    ($($type:ty),* $(,)?) => { $(
        impl Message for $type {
            #[inline]
            fn size(&self) -> u64 {
                self.len() as u64
            }
        }
    )* };
}

by_length!(str, String, Bytes, BytesMut);

/// Types of a fixed size.
macro_rules! by_width {
    ($($type:ty),* $(,)?) => { $(
        impl Message for $type {
            #[inline]
            fn size(&self) -> u64 {
                size_of::<Self>() as u64
            }

            #[inline]
            fn size_of_all(all: &[Self]) -> u64 {
                size_of_val(all) as u64
            }
        }
    )* };
}

by_width!((), bool, char, f32, f64, i8, i16, i32, i64, i128, isize);
by_width!(u8, u16, u32, u64, u128, usize);

/// Pointers, which have the size of their target.
macro_rules! by_content {
    ($($type:ty),* $(,)?) => { $(
        impl<T: Message + ?Sized> Message for $type {
            #[inline]
            fn size(&self) -> u64 {
                (**self).size()
            }

            #[inline]
            fn error(&self) -> Option<&dyn Any> {
                (**self).error()
            }

            #[inline]
            fn items(&self) -> u64 {
                (**self).items()
            }
        }
    )* };
}

by_content!(&T, &mut T, Box<T>, Rc<T>, Arc<T>);

impl<T: Message + ToOwned + ?Sized> Message for Cow<'_, T> {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn error(&self) -> Option<&dyn Any> {
        (**self).error()
    }

    fn items(&self) -> u64 {
        (**self).items()
    }
}

/// Slices, which have the total size of their elements.
macro_rules! by_slice {
    ($([$($generics:tt)*] $type:ty),* $(,)?) => { $(
        impl<$($generics)*> Message for $type {
            #[inline]
            fn size(&self) -> u64 {
                T::size_of_all(self)
            }
        }
    )* };
}

by_slice!([T: Message] [T], [T: Message, const N: usize] [T; N], [T: Message] Vec<T>);

/// Other collections, which have the total size of their elements.
macro_rules! by_elements {
    ($([$($generics:tt)*] $type:ty),* $(,)?) => { $(
        impl<$($generics)*> Message for $type {
            fn size(&self) -> u64 {
                self.iter().map(|element| element.size()).sum()
            }
        }
    )* };
}

by_elements!([T: Message] VecDeque<T>, [T: Message] BTreeSet<T>, [T: Message, S] HashSet<T, S>);
by_elements!([K: Message, V: Message] BTreeMap<K, V>, [K: Message, V: Message, S] HashMap<K, V, S>);

impl<T: Message> Message for Option<T> {
    #[inline]
    fn size(&self) -> u64 {
        self.as_ref().map_or(0, T::size)
    }

    #[inline]
    fn error(&self) -> Option<&dyn Any> {
        self.as_ref().and_then(T::error)
    }

    #[inline]
    fn items(&self) -> u64 {
        self.as_ref().map_or(0, T::items)
    }
}

impl<T: Message, E: 'static> Message for Result<T, E> {
    #[inline]
    fn size(&self) -> u64 {
        self.as_ref().map_or(0, T::size)
    }

    #[inline]
    fn error(&self) -> Option<&dyn Any> {
        match self {
            Ok(message) => message.error(),
            Err(error) => Some(error),
        }
    }

    #[inline]
    fn items(&self) -> u64 {
        self.as_ref().map_or(0, T::items)
    }
}

/// Tuples, which have the total size of their fields and the first error.
macro_rules! by_parts {
    ($($name:ident)*) => {
        impl<$($name: Message),*> Message for ($($name,)*) {
            #[inline]
            fn size(&self) -> u64 {
                #[expect(non_snake_case, reason = "the types' names serve as the variables'")]
                let ($($name,)*) = self;
                0 $(+ $name.size())*
            }

            #[inline]
            fn error(&self) -> Option<&dyn Any> {
                #[expect(non_snake_case, reason = "the types' names serve as the variables'")]
                let ($($name,)*) = self;
                None$(.or_else(|| $name.error()))*
            }
        }
    };
}

by_parts!(A);
by_parts!(A B);
by_parts!(A B C);
by_parts!(A B C D);
by_parts!(A B C D E);
by_parts!(A B C D E F);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_that_of_the_content() {
        let cases: [(u64, u64); 17] = [
            ("äb".size(), 3),
            (String::from("abc").size(), 3),
            (vec![0u8; 1024].size(), 1024),
            (Bytes::from_static(b"abcd").size(), 4),
            ([1u32, 2].size(), 8),
            (().size(), 0),
            (Some("abc").size(), 3),
            (None::<String>.size(), 0),
            (Ok::<_, ()>("abc").size(), 3),
            (Err::<&str, _>(7).size(), 0),
            (Box::new([1u8, 2]).size(), 2),
            (Arc::<str>::from("abc").size(), 3),
            (Cow::Borrowed("ab").size(), 2),
            (("a", 2u16, vec!["b", "cd"]).size(), 6),
            (BTreeMap::from([("key", 1u8)]).size(), 4),
            (HashMap::from([("key", "value")]).size(), 8),
            (VecDeque::from([1u64, 2]).size(), 16),
        ];
        for (i, (size, expected)) in cases.into_iter().enumerate() {
            assert_eq!(size, expected, "case {i}");
        }
    }

    #[test]
    fn an_error_is_found_within_wrappers_and_tuples() {
        let failed: Result<u8, &str> = Err("no");
        let found = |message: &dyn Message| {
            message
                .error()
                .and_then(|error| error.downcast_ref::<&str>())
                .copied()
        };
        assert_eq!(found(&failed), Some("no"));
        assert_eq!(found(&Some(Box::new(failed))), Some("no"));
        assert_eq!(found(&(1u8, failed)), Some("no"));
        assert_eq!(found(&Ok::<u8, &str>(1)), None);
        assert_eq!(ok(|n: &u8| u64::from(*n)).size(&Ok::<_, ()>(7)), 7);
        assert!(ok(|_: &u8| 1).error(&failed).is_some());
    }
}
