//! The status server: `/metrics`, `/health` and `/live` on their own port.
//!
//! Use it for a process without an HTTP server, or if scrapers must not reach the HTTP port. In a
//! process with an HTTP router, mount [`MetricsExporter`](crate::MetricsExporter) there instead.
//! That does not need this feature.
//!
//! | path | response |
//! |---|---|
//! | `/metrics` | the exporter's page |
//! | `/dashboard` | with the feature `dashboard`: the live page, which draws what is at `/metrics` |
//! | `/health` | 200 if [`Health::status`] is ready, else 503 |
//! | `/live` | 200 while the server serves, regardless of the health |
//!
//! All paths accept `GET` and `HEAD`. Another method is a 405 with `Allow`, another path is a 404.
//! [`health_path`](StatusServer::health_path) and [`live_path`](StatusServer::live_path) change the last two. The body
//! of `/health` is
//!
//! ```json
//! {"status":"notready","uptime":12.345,"endpoints":{"cart":"ready","stock":"notready"}}
//! ```
//!
//! and the body of `/live` is `{"status":"live","uptime":12.345}`, both as `application/json`.
//! `uptime` is the time since the server was bound, in seconds. The body of `/health` has two more fields when they
//! apply: `"reasons":{"cart":"…"}` has what each failed [watch](Health::watch) found, and `"draining":true` says that
//! the process [drains](Health::drain). A reason contains the text of the probe's error, which must not be secret.
//!
//! # Example
//!
//! ```
//! use tower_openmetrics::MetricsRegistry;
//! use tower_openmetrics::server::{HealthStatus, StatusServer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower_openmetrics::Error> {
//! let registry = MetricsRegistry::new();
//!
//! let server = StatusServer::new()
//!     .host("127.0.0.1")
//!     .port(0) // picks a free port
//!     .bind(registry.exporter())
//!     .await?
//!     .spawn();
//! println!("curl http://{}/metrics", server.local_addr());
//!
//! // `/health` is 503 until the endpoint is ready, and 200 from now on.
//! server.health().set("cart", HealthStatus::Ready);
//!
//! // When the process stops:
//! server.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Health
//!
//! | an endpoint is ready | by |
//! |---|---|
//! | when the program says so | [`Health::set`] |
//! | while its calls, or else a canary, succeed | [`Health::watch`] |
//!
//! When the process stops, [`Health::drain`] makes it not ready first, so that no more work is sent to it.
//!
//! # Environment variables
//!
//! [`StatusServer::from_env`] reads the configuration from environment variables:
//!
//! ```
//! # use tower_openmetrics::MetricsRegistry;
//! # use tower_openmetrics::server::StatusServer;
//! # async fn start(registry: MetricsRegistry) -> Result<(), tower_openmetrics::Error> {
//! // SHOP_STATUS_PORT=8081 ./shop
//! let server = match StatusServer::from_env("SHOP_STATUS")? {
//!     Some(server) => Some(server.bind(registry.exporter()).await?.spawn()),
//!     None => None,
//! };
//! # Ok(())
//! # }
//! ```
//!
//! # Slow and malicious clients
//!
//! Every wait for a client has a timeout, and the number of clients is limited. See
//! [`header_timeout`](StatusServer::header_timeout),
//! [`read_timeout`](StatusServer::read_timeout),
//! [`write_timeout`](StatusServer::write_timeout),
//! [`max_connections`](StatusServer::max_connections) and
//! [`shutdown_grace`](StatusServer::shutdown_grace). When all connections are in use, a new client
//! evicts one that waits for its client. So `/live` responds even if hundreds of clients send half
//! a request or read nothing, and reconnect at once. A client that closes its half of the
//! connection after its request, as `nc -N` does, gets its whole response.
//!
//! The server speaks HTTP/1.1 without encryption or authentication. Bind it to an address that only
//! trusted clients can reach, or serve the exporter yourself. The example `secure_exporter` does
//! so with credentials and TLS.

mod activity;
mod canary;
mod config;
mod connection;
#[cfg(feature = "dashboard")]
mod dashboard;
#[cfg(not(feature = "dashboard"))]
#[path = "no_dashboard.rs"]
mod dashboard;
mod endpoints;
mod env;
mod health;
mod health_status;
mod limits;
mod paths;
mod routes;
mod running;
mod tracked;
mod watch;

pub use self::canary::Canary;
pub use self::config::StatusServer;
pub use self::health::Health;
pub use self::health_status::HealthStatus;
pub use self::running::{BoundStatusServer, StatusServerHandle};
