//! Functions given by users.

use std::any::TypeId;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A function given by a user, as a trait object.
///
/// Two functions are equal if they are clones of one, or if both have the same type without data: a named function, or a
/// closure that captures nothing.
pub(crate) struct Function<F: ?Sized> {
    function: Arc<F>,
    /// `Some` if the type has no data.
    type_id: Option<TypeId>,
}

// === impl Function ===

impl<F: ?Sized> Function<F> {
    /// Wraps `function`, a trait object whose type is `T`.
    pub(crate) fn new<T: 'static>(function: Arc<F>) -> Self {
        Self {
            function,
            type_id: (size_of::<T>() == 0).then(TypeId::of::<T>),
        }
    }
}

impl<F: ?Sized> Deref for Function<F> {
    type Target = F;

    #[inline]
    fn deref(&self) -> &F {
        &self.function
    }
}

impl<F: ?Sized> Clone for Function<F> {
    fn clone(&self) -> Self {
        Self {
            function: self.function.clone(),
            type_id: self.type_id,
        }
    }
}

impl<F: ?Sized> PartialEq for Function<F> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.function, &other.function)
            || self.type_id.is_some() && self.type_id == other.type_id
    }
}

impl<F: ?Sized> fmt::Debug for Function<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function<T: Fn() -> u8 + 'static>(function: T) -> Function<dyn Fn() -> u8> {
        Function::new::<T>(Arc::new(function))
    }

    fn one() -> u8 {
        1
    }

    #[test]
    fn functions_without_data_are_equal_by_type() {
        assert_eq!(function(one), function(one));
        assert_ne!(function(one), function(|| 1));
        let captured = 1;
        let [a, b] = [(); 2].map(|()| function(move || captured));
        assert_ne!(a, b, "their captures may differ");
        assert_eq!(a, a.clone());
    }
}
