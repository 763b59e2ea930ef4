//! reqwest's client with metrics. It gets each URL that it is given, and prints the page.
//!
//! ```text
//! $ cargo run --release --package clients --example reqwest -- http://localhost:8080/ http://localhost:1/
//! ```
//!
//! reqwest's `Client` is a tower service with request and response types of its own. [`send`] converts it to
//! `http::Request` and `http::Response`, which the layer measures. The conversion has two drawbacks. The layer's body
//! can't be sent a second time, so reqwest doesn't follow redirects that need it (307, 308). And the `http::Response`
//! doesn't have the final URL.
//!
//! A call is one request of the program. It includes the redirects that reqwest follows.

use bytes::Buf;
use http::{Request, Response};
use http_body_util::BodyExt;
use reqwest::{Body, Client};
use std::env;
use std::pin::pin;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};
use tower_openmetrics::classify::{HttpClient, Phase, by_error};
use tower_openmetrics::labels::Label;
use tower_openmetrics::{ErrorType, MetricsLayer, RequestBody};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    print!("{}", run(Client::new(), env::args().skip(1)).await?);
    Ok(())
}

/// Gets all URLs, one after another, and returns the page.
pub(crate) async fn run(
    client: Client,
    urls: impl IntoIterator<Item = String>,
) -> Result<String, BoxError> {
    let metrics = MetricsLayer::client_builder()
        .classifier(by_error(error_type).or(HttpClient))
        .label(Label::method())
        .label(Label::status())
        .build([("endpoint", "web")])?;
    let sender = client.clone();
    let mut service = ServiceBuilder::new()
        .layer(metrics.clone())
        .service_fn(move |request| send(sender.clone(), request));

    for url in urls {
        // reqwest's builder also sets headers, authentication, JSON …
        let request: Request<Body> = client.get(&url).build()?.try_into()?;
        match service.ready().await?.call(request).await {
            Ok(response) => {
                let status = response.status();
                // A call ends when its response has been read, or dropped.
                match count(response.into_body()).await {
                    Ok(bytes) => eprintln!("{url}: {status}, {bytes} bytes"),
                    Err(error) => eprintln!("{url}: {status}, and then {error}"),
                }
            }
            Err(error) => eprintln!("{error}"),
        }
    }

    let page = metrics.exporter().oneshot(Request::new(())).await?;
    let page = page.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(page.to_vec())?)
}

/// Counts the bytes of a body without keeping them, because there may be many.
async fn count<B: http_body::Body>(body: B) -> Result<usize, B::Error> {
    let mut body = pin!(body);
    let mut bytes = 0;
    while let Some(frame) = body.frame().await.transpose()? {
        bytes += frame.data_ref().map_or(0, Buf::remaining);
    }
    Ok(bytes)
}

/// Sends an `http::Request` by reqwest's client.
pub(crate) async fn send(
    client: Client,
    request: Request<RequestBody<Body>>,
) -> Result<Response<Body>, reqwest::Error> {
    let request = reqwest::Request::try_from(request.map(Body::wrap))?;
    Ok(client.execute(request).await?.into())
}

/// Classifies errors of reqwest. Other errors are classified by their phase.
pub(crate) fn error_type(error: &reqwest::Error, _: Phase) -> Option<ErrorType> {
    if error.is_connect() {
        Some(ErrorType::CONNECT)
    } else if error.is_timeout() {
        Some(ErrorType::TIMEOUT)
    } else {
        None
    }
}
