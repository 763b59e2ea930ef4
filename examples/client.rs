//! An HTTP client with metrics, hyper-util's. It calls a server on the loopback interface, then a server that is gone,
//! and prints the page.
//!
//! ```text
//! $ cargo run --release --example client --features client
//! ```

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::TcpListener;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};
use tower_openmetrics::classify::HttpClient;
use tower_openmetrics::labels::Label;
use tower_openmetrics::protocol::Http;
use tower_openmetrics::{Metrics, MetricsLayer, RequestBody};

/// The measured client. Clones are cheap, and share its connections.
type StockClient = Metrics<Client<HttpConnector, RequestBody<Full<Bytes>>>, Http<HttpClient>>;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    print!("{}", run().await?);
    Ok(())
}

/// Calls a server, stops it, calls it again, and returns the page.
pub(crate) async fn run() -> Result<String, BoxError> {
    let metrics = MetricsLayer::client_builder()
        .label(Label::method())
        .label(Label::status())
        .build([("endpoint", "stock")])?;
    let client = ServiceBuilder::new()
        .layer(metrics.clone())
        .service(Client::builder(TokioExecutor::new()).build_http());

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let here = listener.local_addr()?;
    let server = tokio::spawn(serve(listener));
    for path in ["items/7", "items/7", "items/8"] {
        report(path, get(client.clone(), here, path).await);
    }

    // The server no longer accepts connections: `errors_total{error_type="connect"}`. Open connections would still
    // answer, so this takes a new client.
    server.abort();
    let _ = server.await;
    let client = ServiceBuilder::new()
        .layer(metrics.clone())
        .service(Client::builder(TokioExecutor::new()).build_http());
    report("items/7", get(client, here, "items/7").await);

    let page = metrics.exporter().oneshot(Request::new(())).await?;
    let page = page.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(page.to_vec())?)
}

async fn get(
    mut client: StockClient,
    server: SocketAddr,
    path: &str,
) -> Result<(StatusCode, Bytes), BoxError> {
    let request = Request::get(format!("http://{server}/{path}")).body(Full::default())?;
    let response = client.ready().await?.call(request).await?;
    let status = response.status();
    // A call ends when its response has been read, or dropped.
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, body))
}

fn report(path: &str, outcome: Result<(StatusCode, Bytes), BoxError>) {
    match outcome {
        Ok((status, body)) => eprintln!("{path}: {status}, {} bytes", body.len()),
        Err(error) => eprintln!("{path}: {error}"),
    }
}

/// Serves item 7, and no other.
async fn serve(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        let connection =
            http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(item));
        tokio::spawn(connection);
    }
}

async fn item(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let found = request.uri().path() == "/items/7";
    let mut response = Response::new(Full::from(if found { "a teapot" } else { "no such item" }));
    if !found {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    Ok(response)
}
