use super::connection::Shared;
use super::health::Health;
use super::health_status::HealthStatus;
use super::limits::Limits;
use super::paths::Paths;
use super::routes::Routes;
use super::running::BoundStatusServer;
use crate::error::Error;
use crate::exporter::MetricsExporter;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::Notify;

/// The configuration of a status server: its address and the limits for its clients.
///
/// See the [module](super) for an example.
#[derive(Debug)]
#[must_use = "a status server does nothing until it is bound"]
pub struct StatusServer {
    host: String,
    port: u16,
    health: Health,
    paths: Paths,
    limits: Limits,
}

// === impl StatusServer ===

impl StatusServer {
    /// Returns a status server with the default settings.
    pub fn new() -> Self {
        Self {
            host: "0.0.0.0".to_owned(),
            port: 0,
            health: Health::new(HealthStatus::NotReady),
            paths: Paths::default(),
            limits: Limits::default(),
        }
    }

    /// The address or name of the interface to listen on, such as `127.0.0.1`, `::1` or
    /// `localhost`. An IPv6 address may be in brackets, such as `[::1]`.
    ///
    /// Defaults to `0.0.0.0`, every IPv4 interface, because scrapers usually run on another host.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = host.into();
        if let Some(address) = unbracketed(&self.host) {
            self.host = address.to_owned();
        }
        self
    }

    /// The port to listen on. 0 picks a free port, which [`BoundStatusServer::local_addr`]
    /// returns.
    ///
    /// Defaults to 0.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Sets host and port together.
    ///
    /// The scope of a link-local IPv6 address is lost. Use [`host`](Self::host) to keep it, as in
    /// `fe80::1%eth0`.
    ///
    /// Defaults to `0.0.0.0:0`.
    pub fn addr(self, addr: SocketAddr) -> Self {
        self.host(addr.ip().to_string()).port(addr.port())
    }

    /// The status of `/health` while no endpoint is set. See [`Health`].
    ///
    /// Defaults to [`HealthStatus::NotReady`], so that the process gets no work before it is
    /// ready.
    pub fn starting_health_status(self, status: HealthStatus) -> Self {
        self.health.set_starting(status);
        self
    }

    /// The path of the health, for a platform that asks for it elsewhere.
    ///
    /// Defaults to `/health`. The path of another page, and a text that is not a path, are errors when the server is
    /// bound.
    pub fn health_path(mut self, path: impl Into<String>) -> Self {
        self.paths.health = path.into();
        self
    }

    /// The path that is 200 while the server serves.
    ///
    /// Defaults to `/live`. The path of another page, and a text that is not a path, are errors when the server is bound.
    pub fn live_path(mut self, path: impl Into<String>) -> Self {
        self.paths.live = path.into();
        self
    }

    /// Maximum number of connections served at once.
    ///
    /// When another client connects, the connection that has waited longest for its client is
    /// closed: the client has not sent a whole request, does not read its response, or has its
    /// response and is idle. A connection whose response is being made is never closed for
    /// another one.
    ///
    /// Defaults to 64. 0 is an error when the server is bound.
    pub fn max_connections(mut self, max: usize) -> Self {
        self.limits.max_connections = max;
        self
    }

    /// Maximum time for a client to send a request head. Later, the connection is closed.
    ///
    /// The time starts with the connection, or with the first byte of a later request. More bytes
    /// do not extend it.
    ///
    /// Defaults to 5 seconds. A shorter [`read_timeout`](Self::read_timeout) applies here too.
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        self.limits.header_timeout = timeout;
        self
    }

    /// Maximum time that a connection stays idle after a response. Later, it is closed.
    ///
    /// Defaults to 40 seconds, so that scrapers with an interval of 15 or 30 seconds keep their
    /// connection.
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.limits.read_timeout = timeout;
        self
    }

    /// Maximum time for a client to receive a response. Later, the connection is closed.
    ///
    /// The time starts when the client first does not take everything that is ready for it.
    ///
    /// Defaults to 30 seconds.
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.limits.write_timeout = timeout;
        self
    }

    /// Maximum time that a shutdown waits for requests in flight. Later, their connections are
    /// closed.
    ///
    /// Defaults to 5 seconds.
    pub fn shutdown_grace(mut self, grace: Duration) -> Self {
        self.limits.shutdown_grace = grace;
        self
    }

    /// Returns a handle to set the health that `/health` reports.
    ///
    /// It works before and after the server is bound.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Opens the port.
    ///
    /// Clients can connect from now on. They get responses once the [`BoundStatusServer`] serves.
    ///
    /// # Errors
    ///
    /// Returns an error if the server can't listen on the address (it is in use, not permitted,
    /// not resolved, or belongs to another machine), if `max_connections` is 0, or if two pages have the same
    /// path or one has none.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime with I/O and time enabled.
    pub async fn bind(self, exporter: MetricsExporter) -> Result<BoundStatusServer, Error> {
        if self.limits.max_connections == 0 {
            return Err(Error::new("max_connections is 0: use at least 1"));
        }
        self.paths.check()?;
        let failed = |source: io::Error| {
            let address = host_and_port(&self.host, self.port);
            let message = format!("the status server can't listen on {address}");
            Error::new(message).with_source(source)
        };
        let bound = TcpListener::bind((&*self.host, self.port)).await;
        let listener = bound.map_err(failed)?;
        Ok(BoundStatusServer {
            local_addr: listener.local_addr().map_err(failed)?,
            listener,
            shared: Arc::new(Shared {
                routes: Routes::new(exporter, self.health, self.paths),
                limits: self.limits,
                evictions: Notify::new(),
            }),
            runtime: Handle::current(),
        })
    }
}

impl Default for StatusServer {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns the IPv6 address between brackets, as in a URL.
fn unbracketed(host: &str) -> Option<&str> {
    let address = host.strip_prefix('[')?.strip_suffix(']')?;
    address.contains(':').then_some(address)
}

/// Returns `host:port`, with an IPv6 address in brackets.
fn host_and_port(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}
