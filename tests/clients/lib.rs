//! `MetricsLayer::client` around reqwest's client and tonic's channel, over loopback connections. This is a crate of its own
//! because both take long to build.

#![cfg(test)]

mod reqwest_client;
mod tonic_channel;
#[path = "../wire_support/mod.rs"]
mod wire_support;

use http::Response;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use wire_support::{Handler, Scripted, data};

/// Returns a handler that reads the request body and responds with `hello`.
fn hello(status: u16) -> Handler {
    let mut response = Response::new(Scripted::new([data("hello")]));
    *response.status_mut() = status.try_into().unwrap();
    Handler::answers(response).reads_all()
}

/// Returns an address where nothing listens.
async fn nowhere() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}
