use crate::Error;
use std::fmt;
use std::sync::Arc;

/// What the exporter does if something can't be shown on a page.
#[derive(Clone, Default)]
pub(super) enum OnError {
    /// The scrape fails.
    #[default]
    Fail,
    /// The page leaves it out, and the function is called with the error.
    Continue(Arc<dyn Fn(&Error) + Send + Sync>),
}

// === impl OnError ===

impl OnError {
    /// # Errors
    ///
    /// Returns the given error if the scrape is to fail.
    pub(super) fn handle(&self, error: Error) -> Result<(), Error> {
        match self {
            Self::Fail => Err(error),
            Self::Continue(report) => {
                report(&error);
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
