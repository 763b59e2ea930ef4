use super::config::StatusServer;
use super::health::HealthStatus;
use crate::error::Error;
use std::env;
use std::ffi::OsString;

/// The variables of one prefix, wherever they come from.
struct Variables<'a, F> {
    prefix: &'a str,
    lookup: F,
}

// === impl StatusServer ===

impl StatusServer {
    /// A status server as the environment asks for it, or `None` when it
    /// doesn't. With the prefix `DYN_SYSTEM`:
    ///
    /// | variable | values | when unset |
    /// |---|---|---|
    /// | `DYN_SYSTEM_ENABLED` | `true`, `1`, `yes`, `on`; `false`, `0`, `no`, `off` | disabled: `None` |
    /// | `DYN_SYSTEM_HOST` | as [`host`](Self::host) takes it | `0.0.0.0` |
    /// | `DYN_SYSTEM_PORT` | 0 to 65535; 0 picks a free one | 0 |
    /// | `DYN_SYSTEM_STARTING_HEALTH_STATUS` | `ready`, `notready` | `notready` |
    ///
    /// Words may be in any case. A variable that is set to nothing counts as
    /// unset. Where the first says that the server is disabled, the others are
    /// not read.
    ///
    /// # Errors
    ///
    /// A value is none of these, or not UTF-8; the error names the variable
    /// and its value.
    pub fn from_env(prefix: &str) -> Result<Option<Self>, Error> {
        Variables {
            prefix,
            lookup: |name: &str| env::var_os(name),
        }
        .status_server()
    }
}

// === impl Variables ===

impl<F> Variables<'_, F>
where
    F: Fn(&str) -> Option<OsString>,
{
    fn status_server(&self) -> Result<Option<StatusServer>, Error> {
        let enabled = self.read("ENABLED", "`true` or `false`", parse_bool)?;
        if !enabled.unwrap_or(false) {
            return Ok(None);
        }
        let mut server = StatusServer::new();
        let any = |s: &str| Some(s.to_owned());
        if let Some(host) = self.read("HOST", "a host name or an address", any)? {
            server = server.host(host);
        }
        if let Some(port) = self.read("PORT", "a port, 0 to 65535", |s| s.parse().ok())? {
            server = server.port(port);
        }
        let parse_status = |s: &str| s.parse::<HealthStatus>().ok();
        if let Some(status) = self.read(
            "STARTING_HEALTH_STATUS",
            "`ready` or `notready`",
            parse_status,
        )? {
            server = server.starting_health_status(status);
        }
        Ok(Some(server))
    }

    fn read<T>(
        &self,
        name: &str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let name = format!("{}_{name}", self.prefix);
        match (self.lookup)(&name).filter(|value| !value.is_empty()) {
            None => Ok(None),
            Some(value) => match value.to_str().and_then(parse) {
                Some(parsed) => Ok(Some(parsed)),
                None => Err(Error::new(format!("{name} is {value:?}, not {expected}"))),
            },
        }
    }
}

fn parse_bool(text: &str) -> Option<bool> {
    let is_any_of = |words: [&str; 4]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is_any_of(["true", "1", "yes", "on"]) {
        Some(true)
    } else if is_any_of(["false", "0", "no", "off"]) {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        let prefix = "DYN_SYSTEM";
        match (Variables { prefix, lookup }).status_server() {
            Ok(server) => Ok(server.map(|server| format!("{server:?}"))),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn disabled_unless_asked_for() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("DYN_SYSTEM_PORT", "8081")]), Ok(None));
        for no in ["", "false", "FALSE", "0", "no", "Off"] {
            // What is not used is not judged.
            let port = ("DYN_SYSTEM_PORT", "what");
            assert_eq!(read(&[("DYN_SYSTEM_ENABLED", no), port]), Ok(None), "{no}");
        }
    }

    #[test]
    fn the_defaults_are_those_of_a_new_server() {
        let new = format!("{:?}", StatusServer::new());
        for yes in ["true", "True", "1", "YES", "on"] {
            let enabled = ("DYN_SYSTEM_ENABLED", yes);
            assert_eq!(read(&[enabled]).unwrap().unwrap(), new, "{yes}");
            let empty = [
                enabled,
                ("DYN_SYSTEM_HOST", ""),
                ("DYN_SYSTEM_PORT", ""),
                ("DYN_SYSTEM_STARTING_HEALTH_STATUS", ""),
            ];
            assert_eq!(read(&empty).unwrap().unwrap(), new);
        }
    }

    #[test]
    fn every_variable_is_read() {
        let expected = StatusServer::new()
            .host("localhost")
            .port(8081)
            .starting_health_status(HealthStatus::Ready);
        let read = read(&[
            ("DYN_SYSTEM_ENABLED", "true"),
            ("DYN_SYSTEM_HOST", "localhost"),
            ("DYN_SYSTEM_PORT", "8081"),
            ("DYN_SYSTEM_STARTING_HEALTH_STATUS", "Ready"),
            ("SYSTEM_PORT", "1"),
            ("DYN_SYSTEM_PORT_", "2"),
        ]);
        assert_eq!(read.unwrap().unwrap(), format!("{expected:?}"));
    }

    #[test]
    fn an_error_names_variable_and_value() {
        for (name, value, expected) in [
            ("ENABLED", "maybe", "`true` or `false`"),
            ("PORT", "65536", "a port, 0 to 65535"),
            ("PORT", "-1", "a port, 0 to 65535"),
            ("PORT", "80 81", "a port, 0 to 65535"),
            ("STARTING_HEALTH_STATUS", "ill", "`ready` or `notready`"),
        ] {
            let name = format!("DYN_SYSTEM_{name}");
            let error = read(&[(&name, value), ("DYN_SYSTEM_ENABLED", "1")]).unwrap_err();
            assert_eq!(error, format!("{name} is {value:?}, not {expected}"));
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_not_utf8_is_an_error() {
        use std::os::unix::ffi::OsStringExt;

        for suffix in ["ENABLED", "HOST", "PORT", "STARTING_HEALTH_STATUS"] {
            let name = format!("S_{suffix}");
            let lookup = |asked: &str| match asked {
                asked if asked == name => Some(OsString::from_vec(b"1\xff".to_vec())),
                "S_ENABLED" => Some("1".into()),
                _ => None,
            };
            let variables = Variables {
                prefix: "S",
                lookup,
            };
            let error = variables.status_server().unwrap_err().to_string();
            let start = format!("{name} is \"1\\xFF\", not ");
            assert!(error.starts_with(&start), "{error}");
        }
    }
}
