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
    pub(super) by_name: BTreeMap<String, Endpoint>,
}

#[derive(Debug)]
pub(super) struct Endpoint {
    /// What it was set to.
    pub(super) status: HealthStatus,
    pub(super) watch: Option<Watch>,
}

/// The name of an endpoint, its status, and why its watch has failed, if so.
pub(super) type Checked<'a> = (&'a str, (HealthStatus, Option<String>));

// === impl Endpoints ===

impl Endpoints {
    pub(super) fn new(starting: HealthStatus) -> Self {
        Self {
            starting,
            draining: false,
            by_name: BTreeMap::new(),
        }
    }

    /// Returns an endpoint. A new one is ready.
    pub(super) fn get_or_insert(&mut self, name: String) -> &mut Endpoint {
        self.by_name.entry(name).or_insert(Endpoint {
            status: HealthStatus::Ready,
            watch: None,
        })
    }

    /// Returns the status of the process and the JSON of `/health`, both of one moment.
    pub(super) fn report(&self, uptime: Duration) -> (HealthStatus, String) {
        let (status, checked) = self.check();
        let uptime = uptime.as_secs_f64();
        let statuses = checked
            .iter()
            .map(|(name, (status, _))| (*name, status.as_str()));
        let statuses = json_object(statuses);
        let mut json =
            format!(r#"{{"status":"{status}","uptime":{uptime:.3},"endpoints":{statuses}"#);
        let reasons = checked
            .iter()
            .filter_map(|(name, (_, reason))| Some((*name, reason.as_deref()?)));
        if reasons.clone().count() > 0 {
            json += &format!(r#","reasons":{}"#, json_object(reasons));
        }
        if self.draining {
            json += r#","draining":true"#;
        }
        json.push('}');
        (status, json)
    }

    /// Returns the status of the process, and all endpoints, of one moment.
    pub(super) fn check(&self) -> (HealthStatus, Vec<Checked<'_>>) {
        let endpoints = self.by_name.iter();
        let checked = endpoints.map(|(name, endpoint)| (&**name, endpoint.check()));
        let checked: Vec<Checked<'_>> = checked.collect();
        let is_ready = |(_, (status, _)): &Checked<'_>| *status == HealthStatus::Ready;
        let status = match checked.as_slice() {
            _ if self.draining => HealthStatus::NotReady,
            [] => self.starting,
            checked if checked.iter().all(is_ready) => HealthStatus::Ready,
            _ => HealthStatus::NotReady,
        };
        (status, checked)
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

/// Returns a JSON object of texts by name.
fn json_object<'a>(members: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let members =
        members.map(|(name, text)| format!("{}:{}", json_string(name), json_string(text)));
    let members: Vec<String> = members.collect();
    format!("{{{}}}", members.join(","))
}

/// Returns `text` as a JSON string (RFC 8259, section 7).
fn json_string(text: &str) -> String {
    let mut json = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            '\0'..='\x1f' => json += &format!("\\u{:04x}", u32::from(c)),
            _ => json.push(c),
        }
    }
    json + "\""
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
        let json = json_string(&text);
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        assert!(!json.contains('\n'));
    }
}
