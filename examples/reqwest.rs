//! reqwest's client with metrics. It gets each of its arguments, and prints the page.
//!
//! ```text
//! $ cargo run --release --package clients --example reqwest -- http://localhost:8080/ http://localhost:1/
//! ```
//!
//! reqwest's `Client` is a tower service, of requests and responses of its own. [`send`] makes it one of
//! `http::Request` and `http::Response`, which is what the layer measures. Two things are lost by that: the layer's
//! body can't be sent a second time, so that a redirect that asks for it (307, 308) is an answer;
//! and the `http::Response` doesn't say which address the answer came from in the end.
//!
//! A call is what the program asked for: redirects that reqwest follows on the way are a part of it.

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

/// Gets all of it, one after another, and gives the page.
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
        // With all that reqwest's builder can do: headers, authentication, JSON …
        let request: Request<Body> = client.get(&url).build()?.try_into()?;
        match service.ready().await?.call(request).await {
            Ok(response) => {
                let status = response.status();
                // A call is over when its answer has been read, or dropped.
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

/// Bytes, of which none is kept: who knows how many come.
async fn count<B: http_body::Body>(body: B) -> Result<usize, B::Error> {
    let mut body = pin!(body);
    let mut bytes = 0;
    while let Some(frame) = body.frame().await.transpose()? {
        bytes += frame.data_ref().map_or(0, Buf::remaining);
    }
    Ok(bytes)
}

/// reqwest's client as the layer takes it.
pub(crate) async fn send(
    client: Client,
    request: Request<RequestBody<Body>>,
) -> Result<Response<Body>, reqwest::Error> {
    let request = reqwest::Request::try_from(request.map(Body::wrap))?;
    Ok(client.execute(request).await?.into())
}

/// What reqwest says of its errors; the rest goes by where the call was.
pub(crate) fn error_type(error: &reqwest::Error, _: Phase) -> Option<ErrorType> {
    if error.is_connect() {
        Some(ErrorType::CONNECT)
    } else if error.is_timeout() {
        Some(ErrorType::TIMEOUT)
    } else {
        None
    }
}
