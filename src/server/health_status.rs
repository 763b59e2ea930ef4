use crate::error::Error;
use std::fmt;
use std::str::FromStr;

/// Whether an endpoint accepts work.
///
/// Displayed and parsed as `ready` and `notready`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HealthStatus {
    /// The endpoint accepts work.
    Ready,
    /// The endpoint is starting, draining or broken.
    NotReady,
}

// === impl HealthStatus ===

impl HealthStatus {
    /// Returns `ready` or `notready`.
    pub fn as_str(self) -> &'static str {
        match self {
            HealthStatus::Ready => "ready",
            HealthStatus::NotReady => "notready",
        }
    }
}

impl fmt::Display for HealthStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Ignores the letter case.
impl FromStr for HealthStatus {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        [HealthStatus::Ready, HealthStatus::NotReady]
            .into_iter()
            .find(|status| text.eq_ignore_ascii_case(status.as_str()))
            .ok_or_else(|| {
                Error::new(format!(
                    "{text:?} is not a health status: use `ready` or `notready`"
                ))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_parsed_in_any_case() {
        assert_eq!(
            "READY".parse::<HealthStatus>().unwrap(),
            HealthStatus::Ready
        );
        assert_eq!(
            "NotReady".parse::<HealthStatus>().unwrap(),
            HealthStatus::NotReady
        );
        for bad in ["", "healthy", "ready ", "not ready"] {
            let error = bad.parse::<HealthStatus>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{bad:?} ")), "{error}");
        }
    }
}
