//! `MetricsLayer::client` around hyper-util's client, over loopback connections: statuses, failures to connect, and failed
//! uploads.

mod connecting;
mod example;
mod statuses;
mod uploads;
#[path = "../wire_support/mod.rs"]
mod wire_support;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::TokioExecutor;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tower_layer::Layer;
use tower_openmetrics::classify::{Classify, HttpClient};
use tower_openmetrics::protocol::Http;
use tower_openmetrics::{Metrics, MetricsLayer, RequestBody};

type Upload = RequestBody<Full<Bytes>>;
type MeasuredClient<C, T> = Metrics<Client<T, Upload>, Http<C>>;

fn layer() -> MetricsLayer<Http<HttpClient>> {
    MetricsLayer::client([("", ""); 0])
}

fn client<C: Classify>(layer: &MetricsLayer<Http<C>>) -> MeasuredClient<C, HttpConnector> {
    over(layer, HttpConnector::new())
}

fn over<C, T>(layer: &MetricsLayer<Http<C>>, connector: T) -> MeasuredClient<C, T>
where
    C: Classify,
    T: Connect + Clone,
{
    layer.layer(Client::builder(TokioExecutor::new()).build(connector))
}

/// Returns an address where nothing listens.
async fn nowhere() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}
