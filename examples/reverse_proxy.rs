//! A reverse proxy with metrics, for any HTTP/1.1 server.
//!
//! ```text
//! $ cargo run --release --example reverse_proxy --features client,http2,server -- 127.0.0.1:3000
//! $ curl http://localhost:8080/           what the server at port 3000 answers
//! $ curl http://localhost:9090/metrics    the numbers of both sides
//! ```
//!
//! The variable `UPSTREAM` can name the server as well. `PROXY_PORT` defaults to 8080 and `METRICS_PORT` to 9090. After
//! Ctrl-C or SIGTERM the proxy goes on for `DRAIN_MS`, 2000 by default, with 503 at `/health` of the metrics' port. Then it
//! finishes open responses.
//!
//! Clients use HTTP/1 or HTTP/2. Bodies and trailers stream through in both directions, frame by frame. `Host` stays what
//! the client sent. An upgraded connection, such as a WebSocket, becomes a tunnel. Header fields of one connection (RFC 9110,
//! section 7.6.1) are not forwarded. Over HTTP/1, trailers are sent only to clients that accept them by `TE: trailers`, and
//! only if `Trailer` announced them.
//!
//! Metrics without a prefix are what clients saw; those with `upstream_` are what the server did. If the server can't be
//! reached, clients get a 502, which is `errors_total{error_type="generate"}`, and the other side counts
//! `upstream_errors_total{error_type="connect"}`. An upload that a client breaks off is a cancellation on the client's side. On
//! the server's side it is `invalid_message`, because the server gets less than it was promised.

mod process;
mod serving;
mod status;

use self::process::Stop;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE, VIA};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
};
use http_body_util::{Either, Full};
use hyper::body::{Body, Incoming};
use hyper::upgrade::OnUpgrade;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::convert::Infallible;
use std::env;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::{BoxError, Layer, Service, ServiceBuilder};
use tower_openmetrics::classify::HttpClient;
use tower_openmetrics::labels::{Label, is_long_lived};
use tower_openmetrics::protocol::Http;
use tower_openmetrics::server::StatusServer;
use tower_openmetrics::{
    Error, Metrics, MetricsLayer, MetricsRegistry, RequestBody, ResponseBody, UpgradedCall,
};

/// A request's body, measured twice: from the client, and to the server.
type Upload = RequestBody<RequestBody<Incoming>>;
/// The body of the server's response, or of the proxy's own.
type Download = Either<ResponseBody<Incoming, HttpClient>, Full<Bytes>>;

pub(crate) struct Proxy {
    clients: MetricsLayer,
    upstream: Upstream,
}

/// The upstream server, and the client for it.
#[derive(Clone)]
struct Upstream {
    authority: Authority,
    client: Metrics<Client<HttpConnector, Upload>, Http<HttpClient>>,
}

#[tokio::main]
async fn main() -> ExitCode {
    process::report(run()).await
}

async fn run() -> Result<(), BoxError> {
    let upstream = env::args().nth(1).or_else(|| env::var("UPSTREAM").ok());
    let upstream = upstream.ok_or("name the server, as 127.0.0.1:3000, or set UPSTREAM to it")?;
    let upstream = upstream.trim_start_matches("http://").trim_end_matches('/');
    let stop = Stop::on_signals()?;
    let registry = MetricsRegistry::new();
    let proxy = Proxy::new(upstream.parse()?, &registry)?;
    let listener = process::listen(Ipv4Addr::UNSPECIFIED, "PROXY_PORT", 8080).await?;
    let here = listener.local_addr()?;
    println!("proxy:   http://{here}/ for http://{upstream}/");
    let page = StatusServer::new().port(process::variable("METRICS_PORT")?.unwrap_or(9090));
    let page = page.bind(registry.exporter()).await?.spawn();
    println!("metrics: http://{}/metrics", page.local_addr());
    status::ready_until(&stop.asked, page.health(), "proxy");
    proxy.serve(listener, stop.closing).await;
    page.shutdown().await;
    Ok(())
}

// === impl Proxy ===

impl Proxy {
    /// Returns a proxy whose metrics are in `registry`.
    pub(crate) fn new(upstream: Authority, registry: &MetricsRegistry) -> Result<Self, Error> {
        let clients = MetricsLayer::builder()
            .registry(registry)
            .label(Label::method())
            .label(Label::status_class())
            .stream_duration_seconds(is_long_lived);
        let server = MetricsLayer::client_builder()
            .registry(registry)
            .prefix("upstream")
            .label(Label::method())
            .label(Label::status_class())
            .stream_duration_seconds(is_long_lived)
            .build([("endpoint", "proxy")])?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(Self {
            clients: clients.build([("endpoint", "proxy")])?,
            upstream: Upstream {
                authority: upstream,
                client: server.layer(client),
            },
        })
    }

    /// Serves until it is told to `stop`, and then finishes open responses.
    pub(crate) async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let Self { clients, upstream } = self;
        let service = ServiceBuilder::new()
            .layer(clients)
            .service_fn(move |request| {
                let upstream = upstream.clone();
                async move { Ok::<_, Infallible>(upstream.forward(request).await) }
            });
        serving::serve(listener, service, stop).await;
    }
}

// === impl Upstream ===

impl Upstream {
    async fn forward(mut self, mut request: Request<RequestBody<Incoming>>) -> Response<Download> {
        if request.method() == Method::CONNECT {
            return own_answer(StatusCode::NOT_IMPLEMENTED, "there are no tunnels here\n");
        }
        let upgrade = wanted_upgrade(&request);
        let client_side = hyper::upgrade::on(&mut request);
        let request = match self.outgoing(request, upgrade) {
            Ok(request) => request,
            Err(error) => {
                eprintln!("a request that can't be passed on: {error}");
                return own_answer(StatusCode::BAD_REQUEST, "no such target\n");
            }
        };
        // hyper-util's client is always ready.
        match self.client.call(request).await {
            Ok(response) => incoming(response, client_side),
            Err(error) => {
                eprintln!("no answer from {}: {}", self.authority, causes(&error));
                own_answer(
                    StatusCode::BAD_GATEWAY,
                    "the server behind did not answer\n",
                )
            }
        }
    }

    /// Returns the request to send to the server.
    fn outgoing<B: Body>(
        &self,
        request: Request<B>,
        upgrade: Option<HeaderValue>,
    ) -> Result<Request<B>, http::Error> {
        let (parts, body) = request.into_parts();
        let mut headers = parts.headers;
        let takes_trailers = has_token(&headers, &TE, "trailers");
        end_here(&mut headers);
        if takes_trailers {
            headers.insert(TE, HeaderValue::from_static("trailers"));
            headers.append(CONNECTION, HeaderValue::from_static("te"));
        }
        if let Some(protocol) = upgrade {
            headers.insert(UPGRADE, protocol);
            headers.append(CONNECTION, HeaderValue::from_static("upgrade"));
        }
        // Otherwise hyper would send a GET of unknown length without its body.
        let is_chunked =
            body.size_hint().exact().is_none() && !headers.contains_key(CONTENT_LENGTH);
        if is_chunked {
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        // HTTP/2 requests, and requests to proxies, have the host in the target.
        if let Some(authority) = parts.uri.authority() {
            headers.insert(HOST, HeaderValue::from_str(authority.as_str())?);
        }
        headers.append(VIA, HeaderValue::from_static("1.1 reverse_proxy"));
        if let Some(peer) = parts.extensions.get::<SocketAddr>() {
            let peer = HeaderValue::from_str(&peer.ip().to_string())?;
            headers.append("x-forwarded-for", peer);
        }

        let root = PathAndQuery::from_static("/");
        let uri = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(self.authority.clone())
            .path_and_query(parts.uri.path_and_query().cloned().unwrap_or(root))
            .build()?;
        let mut outgoing = Request::new(body);
        *outgoing.method_mut() = parts.method;
        *outgoing.uri_mut() = uri;
        *outgoing.headers_mut() = headers;
        Ok(outgoing)
    }
}

/// Returns the response to send to the client. A response that switches protocols begins a tunnel.
fn incoming(
    mut response: Response<ResponseBody<Incoming, HttpClient>>,
    client_side: OnUpgrade,
) -> Response<Download> {
    let server_side = hyper::upgrade::on(&mut response);
    let protocol = response.headers().get(UPGRADE).cloned();
    end_here(response.headers_mut());
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.extend(protocol.map(|protocol| (UPGRADE, protocol)));
        // The guard follows the call to the server. It follows the client's call as well, because its response keeps the
        // extensions.
        let call = response.extensions().get::<UpgradedCall>();
        let guard = call.map(UpgradedCall::guard);
        tokio::spawn(async move {
            // A tunnel ends when either side ends, for any reason.
            let _ = tunnel(client_side, server_side).await;
            drop(guard);
        });
    }
    *response.version_mut() = Version::HTTP_11;
    response.map(Either::Left)
}

async fn tunnel(client: OnUpgrade, server: OnUpgrade) -> Result<(), BoxError> {
    let (client, server) = tokio::try_join!(client, server)?;
    let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

/// Returns the protocol that the client wants to upgrade to.
fn wanted_upgrade<B>(request: &Request<B>) -> Option<HeaderValue> {
    let headers = request.headers();
    let wants = request.version() == Version::HTTP_11 && has_token(headers, &CONNECTION, "upgrade");
    headers.get(UPGRADE).filter(|_| wants).cloned()
}

/// Removes header fields of the connection (RFC 9110, section 7.6.1).
fn end_here(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = tokens(headers, &CONNECTION)
        .filter_map(|name| name.parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [CONNECTION, TE, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
    for name in ["keep-alive", "proxy-connection"] {
        headers.remove(name);
    }
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|one| one.eq_ignore_ascii_case(token))
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter();
    let lists = values.filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(str::trim)
}

fn own_answer(status: StatusCode, text: &'static str) -> Response<Download> {
    let mut response = Response::new(Either::Right(Full::from(text)));
    *response.status_mut() = status;
    response
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
