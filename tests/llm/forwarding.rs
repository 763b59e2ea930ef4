//! Requests that the front end forwards.

use crate::chain::Chain;
use crate::llm_frontend::forwarder;
use crate::{llm_frontend, within};
use axum::Router;
use axum::http::Uri;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower_openmetrics::MetricsRegistry;

/// Returns the raw HTTP/1.1 response to `target`.
async fn ask_for(addr: SocketAddr, target: &str) -> String {
    let asked = async {
        let mut client = TcpStream::connect(addr).await.unwrap();
        let request =
            format!("GET {target} HTTP/1.1\r\nhost: elsewhere\r\nconnection: close\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        answer
    };
    within(asked).await
}

#[tokio::test]
async fn requests_with_an_absolute_uri_are_forwarded() {
    let chain = Chain::start_forwarded(0).await;
    for target in ["/v1/models", "http://elsewhere:1/v1/models"] {
        let answer = ask_for(chain.addr, target).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{target}: {answer}");
        assert!(answer.contains("parrot"), "{answer}");
    }
    chain.stop().await;
}

#[tokio::test]
async fn requests_over_http2_are_forwarded() {
    let chain = Chain::start_forwarded(0).await;
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let request = Request::get(format!("http://{}/v1/models", chain.addr));
    let answer = within(client.request(request.body(Empty::new()).unwrap())).await;
    let answer = answer.unwrap();
    assert_eq!(answer.status(), 200);
    let models = within(answer.into_body().collect())
        .await
        .unwrap()
        .to_bytes();
    assert!(String::from_utf8_lossy(&models).contains("parrot"));
    drop(client);
    chain.stop().await;
}

/// The path of the upstream is prepended, and queries are kept.
#[tokio::test]
async fn paths_are_joined() {
    let stop = CancellationToken::new();
    let mut servers = JoinSet::new();
    let mut start = async |app: Router| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        servers.spawn(llm_frontend::serving::serve(listener, app, stop.clone()));
        addr
    };
    let echo = async |uri: Uri| format!("asked for {uri}");
    let upstream = start(Router::new().fallback(echo)).await;
    for (path, expected) in [
        ("", "/v1/models?a=b"),
        ("/", "/v1/models?a=b"),
        ("/api", "/api/v1/models?a=b"),
        ("/api/", "/api/v1/models?a=b"),
    ] {
        let upstream = format!("http://{upstream}{path}");
        let front = forwarder(upstream, &MetricsRegistry::new()).unwrap();
        let front = start(front).await;
        for target in ["/v1/models?a=b", "http://elsewhere/v1/models?a=b"] {
            let answer = ask_for(front, target).await;
            assert!(
                answer.ends_with(&format!("asked for {expected}")),
                "{answer}"
            );
        }
    }
}

#[test]
fn invalid_upstreams_are_errors() {
    for url in [
        "",
        "localhost:8000",
        "https://localhost",
        "/v1",
        "http://a/?b",
        "http://",
    ] {
        let error = forwarder(url.to_owned(), &MetricsRegistry::new()).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("UPSTREAM") && error.contains(&format!("{url:?}")),
            "{error}"
        );
        assert!(error.contains("http://host:port"), "{error}");
    }
}
