use crate::error::Error;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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

/// The health of a process, endpoint by endpoint.
///
/// Returned by [`StatusServer::health`](super::StatusServer::health). Clones share one health. Any
/// thread may change it at any time, and the next `/health` reports the change.
///
/// - While no endpoint is set, the process has the starting status.
/// - Otherwise the process is ready if every endpoint is ready.
///
/// A process with several endpoints first sets each one to [`NotReady`](HealthStatus::NotReady).
/// Otherwise the process would be ready as soon as the first endpoint is.
#[derive(Clone, Debug)]
pub struct Health {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    starting: HealthStatus,
    // Sorted, so that equal states have equal reports.
    endpoints: BTreeMap<String, HealthStatus>,
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

// === impl Health ===

impl Health {
    pub(super) fn new(starting: HealthStatus) -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                starting,
                endpoints: BTreeMap::new(),
            })),
        }
    }

    /// Sets the status of `endpoint`. Any name will do.
    pub fn set(&self, endpoint: impl Into<String>, status: HealthStatus) {
        self.lock().endpoints.insert(endpoint.into(), status);
    }

    /// Removes `endpoint` and returns its status, or `None` if it was not set.
    pub fn remove(&self, endpoint: &str) -> Option<HealthStatus> {
        self.lock().endpoints.remove(endpoint)
    }

    /// Returns the status of `endpoint`, or `None` if it is not set.
    pub fn get(&self, endpoint: &str) -> Option<HealthStatus> {
        self.lock().endpoints.get(endpoint).copied()
    }

    /// Returns the status of the process, as `/health` reports it.
    pub fn status(&self) -> HealthStatus {
        self.lock().status()
    }

    pub(super) fn set_starting(&self, status: HealthStatus) {
        self.lock().starting = status;
    }

    /// Returns the status of the process and the JSON of `/health`, both of one moment.
    pub(super) fn report(&self, uptime: Duration) -> (HealthStatus, String) {
        let state = self.lock();
        let status = state.status();
        let mut json = format!(
            r#"{{"status":"{status}","uptime":{:.3},"endpoints":{{"#,
            uptime.as_secs_f64()
        );
        for (i, (endpoint, status)) in state.endpoints.iter().enumerate() {
            if i > 0 {
                json.push(',');
            }
            push_json_string(&mut json, endpoint);
            json.push_str(":\"");
            json.push_str(status.as_str());
            json.push('"');
        }
        json.push_str("}}");
        (status, json)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A poisoned lock is fine: no panic leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    fn status(&self) -> HealthStatus {
        if self.endpoints.is_empty() {
            return self.starting;
        }
        let ready = |status: &HealthStatus| *status == HealthStatus::Ready;
        if self.endpoints.values().all(ready) {
            HealthStatus::Ready
        } else {
            HealthStatus::NotReady
        }
    }
}

/// Appends `text` as a JSON string (RFC 8259, section 7).
fn push_json_string(json: &mut String, text: &str) {
    json.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            '\0'..='\x1f' => json.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => json.push(c),
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use HealthStatus::{NotReady, Ready};

    #[test]
    fn without_endpoints_the_process_has_the_starting_status() {
        for starting in [Ready, NotReady] {
            let health = Health::new(starting);
            assert_eq!(health.status(), starting);
            health.set("a", NotReady);
            assert_eq!(health.status(), NotReady);
            health.set("a", Ready);
            assert_eq!(health.status(), Ready);
            assert_eq!(health.remove("a"), Some(Ready));
            assert_eq!(health.remove("a"), None);
            assert_eq!(health.status(), starting);
        }
    }

    #[test]
    fn the_process_is_ready_if_every_endpoint_is() {
        let health = Health::new(Ready);
        health.set("a", Ready);
        health.set("b", NotReady);
        assert_eq!(health.status(), NotReady);
        assert_eq!(health.get("a"), Some(Ready));
        health.clone().set("b", Ready);
        assert_eq!(health.status(), Ready);
    }

    #[test]
    fn the_report_is_sorted_and_has_the_uptime_in_seconds() {
        let health = Health::new(NotReady);
        let uptime = Duration::from_millis(61_500);
        let empty = r#"{"status":"notready","uptime":61.500,"endpoints":{}}"#;
        assert_eq!(health.report(uptime), (NotReady, empty.to_owned()));
        health.set("b", Ready);
        health.set("a", Ready);
        let both = r#"{"status":"ready","uptime":61.500,"endpoints":{"a":"ready","b":"ready"}}"#;
        assert_eq!(health.report(uptime), (Ready, both.to_owned()));
    }

    #[test]
    fn any_string_can_be_written_as_json() {
        let every_char = (0..=0x2fff_u32).filter_map(char::from_u32);
        let text: String = every_char.chain("🦀\u{10ffff}".chars()).collect();
        let mut json = String::new();
        push_json_string(&mut json, &text);
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        assert!(!json.contains('\n'));
    }

    #[test]
    fn a_status_is_parsed_in_any_case() {
        assert_eq!("READY".parse::<HealthStatus>().unwrap(), Ready);
        assert_eq!("NotReady".parse::<HealthStatus>().unwrap(), NotReady);
        for bad in ["", "healthy", "ready ", "not ready"] {
            let error = bad.parse::<HealthStatus>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{bad:?} ")), "{error}");
        }
    }
}
