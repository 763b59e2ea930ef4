use crate::Error;
use std::fmt;
use std::sync::Arc;

/// What becomes of a page that lacks something.
#[derive(Clone, Default)]
pub(super) enum OnError {
    /// The scrape fails.
    #[default]
    Fail,
    /// It does without, and somebody is told.
    Continue(Arc<dyn Fn(&Error) + Send + Sync>),
}

// === impl OnError ===

impl OnError {
    /// # Errors
    ///
    /// The one that was given, if the scrape is to fail.
    pub(super) fn handle(&self, error: Error) -> Result<(), Error> {
        match self {
            Self::Fail => Err(error),
            Self::Continue(tell) => {
                tell(&error);
                Ok(())
            }
        }
    }
}

impl PartialEq for OnError {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Fail, Self::Fail) => true,
            (Self::Continue(this), Self::Continue(that)) => Arc::ptr_eq(this, that),
            _ => false,
        }
    }
}

impl fmt::Debug for OnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fail => "Fail",
            Self::Continue(_) => "Continue",
        })
    }
}
