use super::health::{Health, HealthStatus};
use super::limits::Limits;
use super::running::BoundStatusServer;
use crate::error::Error;
use crate::exporter::MetricsExporter;
use std::net::SocketAddr;
use std::time::Duration;

/// A status server that is not bound yet: where it will listen and what it
/// allows its clients.
///
/// See the [module](super) for an example.
#[derive(Debug)]
#[must_use = "a status server does nothing until it is bound"]
pub struct StatusServer {
    host: String,
    port: u16,
    health: Health,
    limits: Limits,
}

// === impl StatusServer ===

impl StatusServer {
    /// A status server with every default.
    pub fn new() -> Self {
        Self {
            host: "0.0.0.0".to_owned(),
            port: 0,
            health: Health::new(HealthStatus::NotReady),
            limits: Limits::default(),
        }
    }

    /// The address or name of the interface to listen on, as in `127.0.0.1`,
    /// `::1` or `localhost`. An IPv6 address may be in brackets, as in `[::1]`.
    ///
    /// Defaults to `0.0.0.0`, every IPv4 interface, since a scraper usually
    /// comes from elsewhere.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        let host = host.into();
        self.host = match unbracketed(&host) {
            Some(address) => address.to_owned(),
            None => host,
        };
        self
    }

    /// The port to listen on; 0 picks a free one, which
    /// [`BoundStatusServer::local_addr`] then tells.
    ///
    /// Defaults to 0.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Host and port in one. (The scope of a link-local IPv6 address gets
    /// lost; `host` takes it, as in `fe80::1%eth0`.)
    ///
    /// Defaults to `0.0.0.0:0`.
    pub fn addr(self, addr: SocketAddr) -> Self {
        self.host(addr.ip().to_string()).port(addr.port())
    }

    /// What `/health` says while no endpoint is set: see [`Health`].
    ///
    /// Defaults to [`HealthStatus::NotReady`], so that no work is sent before
    /// the process has said that it takes it.
    pub fn starting_health_status(self, status: HealthStatus) -> Self {
        self.health.start_as(status);
        self
    }

    /// How many connections are served at once. When there are more, the one
    /// that has waited longest for its client is closed to make room: be it
    /// that the client has sent no whole request, takes no answer, or has got
    /// its answer and may ask again. A client whose answer is in the making is
    /// never cut off for another one.
    ///
    /// Defaults to 64. 0 is an error when the server is bound.
    pub fn max_connections(mut self, max: usize) -> Self {
        self.limits.max_connections = max;
        self
    }

    /// How long a client may take to send the head of a request, from the start
    /// of its connection on, or from the first byte of a later request. Then the
    /// connection is closed, however the bytes come.
    ///
    /// Defaults to 5 seconds. A shorter [`read_timeout`](Self::read_timeout)
    /// counts here too.
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        self.limits.header_timeout = timeout;
        self
    }

    /// How long a connection is kept open for another request, from the end of
    /// the answer before. Then it is closed.
    ///
    /// Defaults to 40 seconds, so that a scraper that comes every 15 or 30
    /// seconds keeps its connection.
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.limits.read_timeout = timeout;
        self
    }

    /// How long a client may take to receive an answer, from the moment on
    /// that it does not take all that is ready for it. Then the connection is
    /// closed.
    ///
    /// Defaults to 30 seconds.
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.limits.write_timeout = timeout;
        self
    }

    /// How long a shutdown waits for requests that are on their way. Then
    /// their connections are closed.
    ///
    /// Defaults to 5 seconds.
    pub fn shutdown_grace(mut self, grace: Duration) -> Self {
        self.limits.shutdown_grace = grace;
        self
    }

    /// The handle by which the process tells its health, before and after the
    /// server is bound.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Opens the port. From here on clients can connect; they are answered
    /// once the [`BoundStatusServer`] serves.
    ///
    /// # Errors
    ///
    /// The address can't be listened on (it is in use, not of this machine,
    /// not resolved, not permitted), or `max_connections` is 0.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime that has its I/O and time drivers enabled.
    pub async fn bind(self, exporter: MetricsExporter) -> Result<BoundStatusServer, Error> {
        let Self {
            host,
            port,
            health,
            limits,
        } = self;
        if limits.max_connections == 0 {
            return Err(Error::new(
                "max_connections is 0: the status server needs at least 1",
            ));
        }
        BoundStatusServer::bind(&host, port, exporter, health, limits).await
    }
}

impl Default for StatusServer {
    fn default() -> Self {
        Self::new()
    }
}

/// What stands between the brackets of an IPv6 address, as a URL has it.
fn unbracketed(host: &str) -> Option<&str> {
    let address = host.strip_prefix('[')?.strip_suffix(']')?;
    address.contains(':').then_some(address)
}
