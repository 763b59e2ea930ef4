//! The endpoints of a process, and what `/health` says of them.

use super::health_status::HealthStatus;
use super::watch::Watch;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a [`Health`](super::Health) knows.
#[derive(Debug)]
pub(super) struct Endpoints {
    /// The status while there are none.
    pub(super) starting: HealthStatus,
    pub(super) draining: bool,
    // Sorted, so that equal states have equal reports.
    by_name: BTreeMap<String, Endpoint>,
}

#[derive(Debug)]
pub(super) struct Endpoint {
    /// What it was set to.
    pub(super) status: HealthStatus,
    pub(super) watch: Option<Watch>,
}

/// An endpoint at one moment.
struct Checked<'a> {
    name: &'a str,
    status: HealthStatus,
    /// Why its watch has failed, if so.
    failure: Option<String>,
}

// === impl Endpoints ===

impl Endpoints {
    pub(super) fn new(starting: HealthStatus) -> Self {
        Self {
            starting,
            draining: false,
            by_name: BTreeMap::new(),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Endpoint> {
        self.by_name.get(name)
    }

    /// Returns an endpoint. A new one is ready.
    pub(super) fn get_or_insert(&mut self, name: String) -> &mut Endpoint {
        self.by_name.entry(name).or_insert(Endpoint {
            status: HealthStatus::Ready,
            watch: None,
        })
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<Endpoint> {
        self.by_name.remove(name)
    }

    /// Takes all watches, so that they can be dropped without a lock.
    #[must_use]
    pub(super) fn take_watches(&mut self) -> Vec<Watch> {
        let endpoints = self.by_name.values_mut();
        endpoints
            .filter_map(|endpoint| endpoint.watch.take())
            .collect()
    }

    /// Returns the status of the process.
    pub(super) fn status(&self) -> HealthStatus {
        self.status_of(&self.check())
    }

    /// Returns the status of the process and the JSON of `/health`, both of one moment.
    pub(super) fn report(&self, uptime: Duration) -> (HealthStatus, String) {
        let checked = self.check();
        let status = self.status_of(&checked);
        let uptime = uptime.as_secs_f64();
        let statuses = checked.iter().map(|of| (of.name, of.status.as_str()));
        let failures = checked
            .iter()
            .filter_map(|of| Some((of.name, of.failure.as_deref()?)));

        let mut json = format!(r#"{{"status":"{status}","uptime":{uptime:.3},"endpoints":"#);
        push_json_object(&mut json, statuses);
        if failures.clone().next().is_some() {
            json.push_str(r#","reasons":"#);
            push_json_object(&mut json, failures);
        }
        if self.draining {
            json.push_str(r#","draining":true"#);
        }
        json.push('}');
        (status, json)
    }

    fn check(&self) -> Vec<Checked<'_>> {
        let endpoints = self.by_name.iter();
        let checked = endpoints.map(|(name, endpoint)| {
            let (status, failure) = endpoint.check();
            Checked {
                name,
                status,
                failure,
            }
        });
        checked.collect()
    }

    fn status_of(&self, checked: &[Checked<'_>]) -> HealthStatus {
        match checked {
            _ if self.draining => HealthStatus::NotReady,
            [] => self.starting,
            _ if checked.iter().all(|of| of.status == HealthStatus::Ready) => HealthStatus::Ready,
            _ => HealthStatus::NotReady,
        }
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// Returns the status, and why the watch has failed, if so.
    pub(super) fn check(&self) -> (HealthStatus, Option<String>) {
        match self.watch.as_ref().and_then(Watch::failure) {
            None => (self.status, None),
            failure => (HealthStatus::NotReady, failure),
        }
    }
}

/// Appends texts by name as a JSON object.
fn push_json_object<'a>(json: &mut String, members: impl Iterator<Item = (&'a str, &'a str)>) {
    json.push('{');
    for (i, (name, text)) in members.enumerate() {
        if i > 0 {
            json.push(',');
        }
        push_json_string(json, name);
        json.push(':');
        push_json_string(json, text);
    }
    json.push('}');
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
    fn the_report_is_sorted_and_has_the_uptime_in_seconds() {
        let mut endpoints = Endpoints::new(NotReady);
        let uptime = Duration::from_millis(61_500);
        let empty = r#"{"status":"notready","uptime":61.500,"endpoints":{}}"#;
        assert_eq!(endpoints.report(uptime), (NotReady, empty.to_owned()));
        endpoints.get_or_insert("b".to_owned());
        endpoints.get_or_insert("a".to_owned());
        let both = r#"{"status":"ready","uptime":61.500,"endpoints":{"a":"ready","b":"ready"}}"#;
        assert_eq!(endpoints.report(uptime), (Ready, both.to_owned()));
        endpoints.draining = true;
        let both = r#"{"status":"notready","uptime":61.500,"endpoints":{"a":"ready","b":"ready"},"draining":true}"#;
        assert_eq!(endpoints.report(uptime), (NotReady, both.to_owned()));
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
}
