use super::config::StatusServer;
use super::paths::is_path;
use crate::error::Error;
use std::env;
use std::ffi::OsString;

/// The environment variables with one prefix. Tests replace the lookup.
struct Variables<'a> {
    prefix: &'a str,
    lookup: &'a dyn Fn(&str) -> Option<OsString>,
}

/// The port that disables the server.
const DISABLED: i32 = -1;

// === impl StatusServer ===

impl StatusServer {
    /// Returns a status server configured by environment variables, or `None` if they don't
    /// enable it.
    ///
    /// With the prefix `DYN_SYSTEM`, these variables are read:
    ///
    /// | variable | values | when unset |
    /// |---|---|---|
    /// | `DYN_SYSTEM_ENABLED` | `true`, `1`, `yes`, `on`; `false`, `0`, `no`, `off` | the port decides |
    /// | `DYN_SYSTEM_HOST` | any [`host`](Self::host), such as `0.0.0.0`, `::1`, `[::1]` or `localhost` | `0.0.0.0` |
    /// | `DYN_SYSTEM_PORT` | 0 to 65535; 0 picks a free port; -1 disables the server | a free port if enabled |
    /// | `DYN_SYSTEM_STARTING_HEALTH_STATUS` | `ready`, `notready` | `notready` |
    /// | `DYN_SYSTEM_HEALTH_PATH` | the [`health_path`](Self::health_path) | `/health` |
    /// | `DYN_SYSTEM_LIVE_PATH` | the [`live_path`](Self::live_path) | `/live` |
    ///
    /// A port alone enables the server. `ENABLED` and `PORT` can each disable it:
    ///
    /// | | no port | a port | -1 |
    /// |---|---|---|---|
    /// | `ENABLED` unset | `None` | that port | `None` |
    /// | `ENABLED=true` | a free port | that port | `None` |
    /// | `ENABLED=false` | `None` | `None` | `None` |
    ///
    /// Letter case and surrounding whitespace are ignored. An empty variable counts as unset. Once
    /// a variable disables the server, the variables below it are not read.
    ///
    /// # Kubernetes
    ///
    /// For a Service named `dyn-system`, Kubernetes sets `DYN_SYSTEM_PORT=tcp://10.3.4.5:80` in
    /// every pod of the namespace. This is the address of the Service, not a port to listen on. It
    /// counts as unset, and so do addresses that begin with `udp://` and `sctp://`. To set the
    /// port in such a namespace, set `DYN_SYSTEM_PORT` in the container's `env`, which Kubernetes
    /// does not override, or choose another prefix. Avoid prefixes that end in `_SERVICE`:
    /// Kubernetes sets more variables with these names.
    ///
    /// # Errors
    ///
    /// Returns an error if a value is not in the table or not UTF-8. The error names the variable
    /// and its value. An unusable host is an error of [`bind`](Self::bind).
    pub fn from_env(prefix: &str) -> Result<Option<Self>, Error> {
        Variables {
            prefix,
            lookup: &|name| env::var_os(name),
        }
        .status_server()
    }
}

// === impl Variables ===

impl Variables<'_> {
    fn status_server(&self) -> Result<Option<StatusServer>, Error> {
        let enabled = self.read("ENABLED", "`true` or `false`", parse_bool)?;
        if enabled == Some(false) {
            return Ok(None);
        }
        let port = self.read("PORT", "a port, 0 to 65535", parse_port)?;
        let if_unset = if enabled == Some(true) { 0 } else { DISABLED };
        let Ok(port) = u16::try_from(port.flatten().unwrap_or(if_unset)) else {
            return Ok(None);
        };
        let mut server = StatusServer::new().port(port);
        let any = |text: &str| Some(text.to_owned());
        if let Some(host) = self.read("HOST", "a host name or an address", any)? {
            server = server.host(host);
        }
        let status = |text: &str| text.parse().ok();
        if let Some(status) =
            self.read("STARTING_HEALTH_STATUS", "`ready` or `notready`", status)?
        {
            server = server.starting_health_status(status);
        }
        let path = |text: &str| is_path(text).then(|| text.to_owned());
        if let Some(path) = self.read("HEALTH_PATH", "a path such as `/health`", path)? {
            server = server.health_path(path);
        }
        if let Some(path) = self.read("LIVE_PATH", "a path such as `/live`", path)? {
            server = server.live_path(path);
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
        let Some(value) = (self.lookup)(&name) else {
            return Ok(None);
        };
        let text = value.to_str().map(str::trim);
        if text == Some("") {
            return Ok(None);
        }
        match text.and_then(parse) {
            Some(parsed) => Ok(Some(parsed)),
            None => Err(Error::new(format!("{name} is {value:?}: use {expected}"))),
        }
    }
}

/// Returns a port, [`DISABLED`], or `None` for the address of a Kubernetes Service, which is not for this server.
fn parse_port(text: &str) -> Option<Option<i32>> {
    let schemes = ["tcp://", "udp://", "sctp://"];
    if schemes.iter().any(|scheme| text.starts_with(scheme)) {
        return Some(None);
    }
    let port = text.parse().ok();
    port.filter(|port| (DISABLED..=65535).contains(port))
        .map(Some)
}

fn parse_bool(text: &str) -> Option<bool> {
    match &*text.to_ascii_lowercase() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::HealthStatus;

    fn read(variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        let variables = Variables {
            prefix: "DYN_SYSTEM",
            lookup: &lookup,
        };
        match variables.status_server() {
            Ok(server) => Ok(server.map(|server| format!("{server:?}"))),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_server_is_disabled_by_default() {
        assert_eq!(read(&[]), Ok(None));
        for no in ["", "false", "FALSE", "0", "no", " Off\n"] {
            let disabled = ("DYN_SYSTEM_ENABLED", no);
            assert_eq!(read(&[disabled]), Ok(None), "{no}");
            // Variables below it are not read.
            let host = ("DYN_SYSTEM_STARTING_HEALTH_STATUS", "what");
            assert_eq!(read(&[disabled, host]), Ok(None), "{no}");
        }
        for port in ["-1", "8081", "what", SERVICE_ADDRESS] {
            let disabled = ("DYN_SYSTEM_ENABLED", "false");
            assert_eq!(read(&[disabled, ("DYN_SYSTEM_PORT", port)]), Ok(None));
        }
    }

    /// The value that Kubernetes sets for a Service named `dyn-system`.
    const SERVICE_ADDRESS: &str = "tcp://10.3.4.5:80";

    #[test]
    fn a_port_enables_the_server() {
        let enabled = ("DYN_SYSTEM_ENABLED", "true");
        for (port, alone, with_enabled) in [
            ("8081", Some(8081), Some(8081)),
            (" 8081\n", Some(8081), Some(8081)),
            ("0", Some(0), Some(0)),
            ("65535", Some(65535), Some(65535)),
            ("-1", None, None),
            ("", None, Some(0)),
            (" ", None, Some(0)),
            (SERVICE_ADDRESS, None, Some(0)),
            ("udp://[fd00::1]:53", None, Some(0)),
            ("sctp://10.3.4.5:9", None, Some(0)),
        ] {
            let server = |port: Option<u16>| port.map(|port| StatusServer::new().port(port));
            let expected = |port| Ok(server(port).map(|server| format!("{server:?}")));
            let port = ("DYN_SYSTEM_PORT", port);
            assert_eq!(read(&[port]), expected(alone), "{port:?}");
            assert_eq!(read(&[port, enabled]), expected(with_enabled), "{port:?}");
        }
    }

    #[test]
    fn an_address_may_be_in_brackets() {
        for (host, expected) in [
            ("[::1]", "::1"),
            ("::1", "::1"),
            ("[::]", "::"),
            ("[fe80::1%eth0]", "fe80::1%eth0"),
            (" 127.0.0.1 ", "127.0.0.1"),
            ("[localhost]", "[localhost]"),
        ] {
            let read = read(&[("DYN_SYSTEM_PORT", "1"), ("DYN_SYSTEM_HOST", host)]);
            let server = format!("{:?}", StatusServer::new().port(1).host(expected));
            assert!(server.contains(&format!("host: {expected:?}")), "{server}");
            assert_eq!(read, Ok(Some(server)), "{host}");
        }
    }

    #[test]
    fn unset_variables_have_the_defaults_of_new() {
        let new = format!("{:?}", StatusServer::new());
        for yes in ["true", "True", "1", "YES", "on"] {
            let enabled = ("DYN_SYSTEM_ENABLED", yes);
            assert_eq!(read(&[enabled]).unwrap().unwrap(), new, "{yes}");
            let empty = [
                enabled,
                ("DYN_SYSTEM_HOST", ""),
                ("DYN_SYSTEM_PORT", ""),
                ("DYN_SYSTEM_STARTING_HEALTH_STATUS", ""),
                ("DYN_SYSTEM_HEALTH_PATH", ""),
                ("DYN_SYSTEM_LIVE_PATH", ""),
            ];
            assert_eq!(read(&empty).unwrap().unwrap(), new);
        }
    }

    #[test]
    fn every_variable_is_read() {
        let expected = StatusServer::new()
            .host("localhost")
            .port(8081)
            .starting_health_status(HealthStatus::Ready)
            .health_path("/ready")
            .live_path("/up");
        let read = read(&[
            ("DYN_SYSTEM_ENABLED", "true"),
            ("DYN_SYSTEM_HOST", "localhost"),
            ("DYN_SYSTEM_PORT", "8081"),
            ("DYN_SYSTEM_STARTING_HEALTH_STATUS", "Ready"),
            ("DYN_SYSTEM_HEALTH_PATH", "/ready"),
            ("DYN_SYSTEM_LIVE_PATH", " /up "),
            ("SYSTEM_PORT", "1"),
            ("DYN_SYSTEM_PORT_", "2"),
        ]);
        assert_eq!(read.unwrap().unwrap(), format!("{expected:?}"));
    }

    #[test]
    fn an_error_names_the_variable_and_its_value() {
        for (name, value, expected) in [
            ("ENABLED", "maybe", "`true` or `false`"),
            ("PORT", "65536", "a port, 0 to 65535"),
            ("PORT", "-2", "a port, 0 to 65535"),
            ("PORT", "http://10.3.4.5", "a port, 0 to 65535"),
            ("PORT", "80 81", "a port, 0 to 65535"),
            ("STARTING_HEALTH_STATUS", "ill", "`ready` or `notready`"),
            ("HEALTH_PATH", "health", "a path such as `/health`"),
            ("LIVE_PATH", "/live?", "a path such as `/live`"),
        ] {
            let name = format!("DYN_SYSTEM_{name}");
            let error = read(&[(&name, value), ("DYN_SYSTEM_ENABLED", "1")]).unwrap_err();
            assert_eq!(error, format!("{name} is {value:?}: use {expected}"));
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_not_utf8_is_an_error() {
        use std::os::unix::ffi::OsStringExt;

        for suffix in [
            "ENABLED",
            "HOST",
            "PORT",
            "STARTING_HEALTH_STATUS",
            "HEALTH_PATH",
            "LIVE_PATH",
        ] {
            let name = format!("S_{suffix}");
            let lookup = |asked: &str| match asked {
                asked if asked == name => Some(OsString::from_vec(b"1\xff".to_vec())),
                "S_ENABLED" => Some("1".into()),
                _ => None,
            };
            let variables = Variables {
                prefix: "S",
                lookup: &lookup,
            };
            let error = variables.status_server().unwrap_err().to_string();
            let start = format!("{name} is \"1\\xFF\": use ");
            assert!(error.starts_with(&start), "{error}");
        }
    }
}
