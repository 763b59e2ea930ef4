//! A page behind a bearer token, a password, TLS, or TLS with client certificates.
//!
//! ```text
//! $ METRICS_BEARER_TOKEN=secret \
//!   METRICS_TLS_CERTIFICATE=server.pem METRICS_TLS_KEY=server.key \
//!       cargo run --release --example secure_exporter
//! $ curl --cacert ca.pem -H 'authorization: Bearer secret' https://localhost:9443/metrics
//! ```
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `METRICS_PORT` | the port; 0 picks a free one | 9443 |
//! | `METRICS_BEARER_TOKEN` | the accepted token | no token is accepted |
//! | `METRICS_BASIC_USER`, `METRICS_BASIC_PASSWORD` | the accepted name and password | none are accepted |
//! | `METRICS_TLS_CERTIFICATE`, `METRICS_TLS_KEY` | PEM files of the server's certificate and key | no TLS |
//! | `METRICS_TLS_CLIENT_CA` | a PEM file of the authorities that must have signed a client's certificate | clients need no certificate |
//!
//! Prometheus sends credentials by `authorization`, `basic_auth` and `tls_config` of a [scrape config].
//!
//! After Ctrl-C or SIGTERM the server finishes open responses.
//!
//! A refused client learns which credentials are needed, and nothing about the page: the exporter is not called. A
//! client without the right certificate can't send a request.
//!
//! [scrape config]: https://prometheus.io/docs/prometheus/latest/configuration/configuration/#scrape_config

pub(crate) mod access;
mod process;
mod serving;

use self::access::{Credentials, Tls, acceptor};
use self::process::Stop;
use axum::Router;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::Duration;
use tokio::io::{self, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tower::BoxError;
use tower_http::validate_request::ValidateRequestHeaderLayer;
use tower_openmetrics::collectors::TokioCollector;
use tower_openmetrics::{MetricsExporter, MetricsRegistry};

/// The time for a refused client to read the reason, and the bytes that it may have sent meanwhile.
const GOODBYE: Duration = Duration::from_secs(1);
const UNREAD: u64 = 64 * 1024;

/// The access controls. At least one is needed.
#[derive(Debug, Default)]
pub(crate) struct Access {
    pub(crate) credentials: Credentials,
    pub(crate) tls: Option<Tls>,
}

/// A server of `/metrics` with access control.
#[derive(Clone)]
pub(crate) struct SecureExporter {
    app: Router,
    tls: Option<TlsAcceptor>,
}

// === impl Access ===

impl Access {
    fn from_env() -> Result<Self, BoxError> {
        let mut credentials = Credentials::default();
        if let Some(token) = process::variable::<String>("METRICS_BEARER_TOKEN")? {
            credentials = credentials.bearer(&token)?;
        }
        let user: Option<String> = process::variable("METRICS_BASIC_USER")?;
        let password: Option<String> = process::variable("METRICS_BASIC_PASSWORD")?;
        if user.is_some() || password.is_some() {
            let (user, password) = (user.unwrap_or_default(), password.unwrap_or_default());
            credentials = credentials.basic(&user, &password)?;
        }
        let tls = Tls::of(
            process::variable("METRICS_TLS_CERTIFICATE")?,
            process::variable("METRICS_TLS_KEY")?,
            process::variable("METRICS_TLS_CLIENT_CA")?,
        )?;
        Ok(Self { credentials, tls })
    }

    /// Whether clients need a certificate.
    fn is_mutual(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some())
    }
}

// === impl SecureExporter ===

impl SecureExporter {
    pub(crate) fn new(page: MetricsExporter, access: &Access) -> Result<Self, BoxError> {
        if access.credentials.is_empty() && !access.is_mutual() {
            return Err(
                "anybody could read this: set METRICS_BEARER_TOKEN, METRICS_BASIC_USER and \
                 METRICS_BASIC_PASSWORD, or METRICS_TLS_CLIENT_CA"
                    .into(),
            );
        }
        let app = Router::new().route_service("/metrics", page);
        let app = match access.credentials.is_empty() {
            true => app,
            // Around all routes, so that a stranger can't find out which paths exist.
            false => app.layer(ValidateRequestHeaderLayer::custom(
                access.credentials.clone(),
            )),
        };
        let tls = access.tls.as_ref().map(acceptor).transpose()?;
        Ok(Self { app, tls })
    }

    /// Serves until it is told to `stop`, and then finishes open responses.
    pub(crate) async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let Self { app, tls } = self;
        match tls {
            None => serving::serve(listener, app, stop).await,
            Some(tls) => {
                let handshake = |socket| shake_hands(tls.clone(), socket);
                serving::serve_after(listener, handshake, app, stop).await;
            }
        }
    }
}

async fn shake_hands(tls: TlsAcceptor, socket: TcpStream) -> Option<TlsStream<TcpStream>> {
    match tls.accept(socket).into_fallible().await {
        Ok(socket) => Some(socket),
        Err((_refused, socket)) => {
            say_goodbye(socket).await;
            None
        }
    }
}

/// Lets the client read why it was refused. Closing a socket with unread data resets the connection. A client that has
/// sent its request by then would see only the reset.
async fn say_goodbye(mut socket: TcpStream) {
    let goodbye = async {
        socket.shutdown().await?;
        io::copy(&mut socket.take(UNREAD), &mut io::sink()).await
    };
    // Errors don't matter any more.
    let _ = timeout(GOODBYE, goodbye).await;
}

// === the process ===

#[tokio::main]
async fn main() -> ExitCode {
    process::report(run()).await
}

async fn run() -> Result<(), BoxError> {
    let stop = Stop::on_signals()?;
    let access = Access::from_env()?;

    let registry = MetricsRegistry::new();
    registry.register_collector(TokioCollector::new(&Handle::current()))?;
    registry.build_info([("version", env!("CARGO_PKG_VERSION"))])?;
    let exporter = SecureExporter::new(registry.exporter().self_metrics()?, &access)?;

    let listener = process::listen(Ipv4Addr::UNSPECIFIED, "METRICS_PORT", 9443).await?;
    let here = listener.local_addr()?;
    match &access.tls {
        Some(_) => println!("page: https://{here}/metrics"),
        None => println!("page: http://{here}/metrics, for all to listen in"),
    }
    exporter.serve(listener, stop.asked).await;
    Ok(())
}
