//! The status server: `/metrics`, `/health` and `/live` on a port of their own.
//!
//! A process whose work is not HTTP, or whose HTTP port is not the one that a
//! scraper should reach, answers its operators here. Where an HTTP router is at
//! hand already, [`MetricsExporter`](crate::MetricsExporter) can be mounted in
//! it instead, without this feature.
//!
//! | path | answers |
//! |---|---|
//! | `/metrics` | the exporter's page |
//! | `/dashboard` | with the feature `dashboard`: the live page, which draws what is at `/metrics` |
//! | `/health` | 200 when [`Health::status`] is ready, else 503 |
//! | `/live` | 200 for as long as the server serves, whatever the health |
//!
//! All take `GET` and `HEAD`; another method is a 405 with `Allow`, another
//! path a 404. `/health` answers with
//!
//! ```json
//! {"status":"notready","uptime":12.345,"endpoints":{"cart":"ready","stock":"notready"}}
//! ```
//!
//! and `/live` with `{"status":"live","uptime":12.345}`, both as
//! `application/json`. `uptime` is in seconds since the server was bound.
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
//!     .port(0) // any free one
//!     .bind(registry.exporter())
//!     .await?
//!     .spawn();
//! println!("curl http://{}/metrics", server.local_addr());
//!
//! // 503 until the endpoint is ready, 200 from here on:
//! server.health().set("cart", HealthStatus::Ready);
//!
//! // ... and when the process is asked to stop:
//! server.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # By environment
//!
//! [`StatusServer::from_env`] leaves the choice to whoever starts the process:
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
//! # What a client can't do
//!
//! Every wait for a client has an end, and so has the number of clients: see
//! [`header_timeout`](StatusServer::header_timeout),
//! [`read_timeout`](StatusServer::read_timeout),
//! [`write_timeout`](StatusServer::write_timeout),
//! [`max_connections`](StatusServer::max_connections) and
//! [`shutdown_grace`](StatusServer::shutdown_grace). Clients that hold all
//! connections there may be lose them to those who ask: `/live` is answered
//! while hundreds send half a request, or read nothing, and come back at once.
//! A client that closes its half of the connection after its request, as
//! `nc -N` does, gets its whole answer.
//!
//! The server speaks HTTP/1.1 in plain text and asks nobody who they are: bind
//! it where only those who may read it can reach it, or serve the exporter
//! yourself: the example `secure_exporter` does, with credentials and TLS.

mod accept;
mod activity;
mod config;
mod connection;
#[cfg(feature = "dashboard")]
mod dashboard;
#[cfg(not(feature = "dashboard"))]
#[path = "no_dashboard.rs"]
mod dashboard;
mod env;
mod health;
mod limits;
mod routes;
mod running;
mod tracked;

pub use self::config::StatusServer;
pub use self::health::{Health, HealthStatus};
pub use self::running::{BoundStatusServer, StatusServerHandle};
