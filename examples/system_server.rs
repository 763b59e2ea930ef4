//! A measured work handler, and its status server.
//!
//! The handler takes a JSON string by `POST /` and streams it back, one line of JSON per character, like the tokens of a
//! model server:
//!
//! ```text
//! $ DYN_SYSTEM_ENABLED=true DYN_SYSTEM_PORT=8081 \
//!       cargo run --release --example system_server --features http2,server
//! $ curl -d '"hi"' http://127.0.0.1:8080/
//! {"data":"h"}
//! {"data":"i"}
//! $ curl http://127.0.0.1:8081/metrics
//! ```
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `DYN_HTTP_PORT` | the handler's port; 0 picks a free one | 8080 |
//! | `DYN_SYSTEM_*` | the status server, see `StatusServer::from_env` | none |
//! | `DRAIN_MS` | how long to take requests after Ctrl-C or SIGTERM, with 503 at `/health` | 2000 |
//!
//! Then the handler finishes open responses. The status server stops last.

mod process;
mod serving;
mod status;

use self::process::Stop;
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited, StreamBody};
use prometheus_client::metrics::counter::Counter;
use serde_json::json;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use tower::{BoxError, ServiceBuilder};
use tower_http::timeout::RequestBodyTimeoutLayer;
use tower_openmetrics::MetricsLayer;

const ENDPOINT: &str = "dyn_example_endpoint";

/// The maximum size of a request. Longer ones are refused.
const MAX_REQUEST_BYTES: usize = 1 << 20;

// === the work, without any metrics ===

type Answer = UnsyncBoxBody<Bytes, Infallible>;

/// Streams the characters of the JSON string in `request`.
async fn work<B>(
    request: Request<B>,
    bytes_processed: Counter,
) -> Result<Response<Answer>, Infallible>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    if request.uri().path() != "/" {
        return Ok(refuse(StatusCode::NOT_FOUND, "POST to /"));
    }
    if request.method() != Method::POST {
        let mut refusal = refuse(StatusCode::METHOD_NOT_ALLOWED, "use POST");
        let allow = HeaderValue::from_static("POST");
        refusal.headers_mut().insert(ALLOW, allow);
        return Ok(refusal);
    }
    let body = Limited::new(request.into_body(), MAX_REQUEST_BYTES);
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Ok(refuse(StatusCode::PAYLOAD_TOO_LARGE, "send 1 MiB at most"));
        }
        Err(_) => return Ok(refuse(StatusCode::BAD_REQUEST, "the body broke off")),
    };
    let Ok(text) = serde_json::from_slice::<String>(&body) else {
        return Ok(refuse(StatusCode::BAD_REQUEST, "send a JSON string"));
    };
    bytes_processed.inc_by(text.len() as u64);

    let mut response = Response::new(StreamBody::new(characters(text)).boxed_unsync());
    let ndjson = HeaderValue::from_static("application/x-ndjson");
    response.headers_mut().insert(CONTENT_TYPE, ndjson);
    Ok(response)
}

/// A body of one frame per character. Its length is unknown until its end.
fn characters(text: String) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> {
    let characters = text.chars().collect::<Vec<_>>().into_iter();
    stream::unfold(characters, async |mut characters| {
        // A model would compute here. Meanwhile hyper sends what it has.
        tokio::task::yield_now().await;
        let item = json!({ "data": characters.next()? });
        Some((Ok(Frame::data(format!("{item}\n").into())), characters))
    })
}

fn refuse(status: StatusCode, why: &'static str) -> Response<Answer> {
    let mut response = Response::new(Full::from(format!("{why}\n")).boxed_unsync());
    *response.status_mut() = status;
    response
}

// === the process ===

#[tokio::main]
async fn main() -> ExitCode {
    process::report(run()).await
}

async fn run() -> Result<(), BoxError> {
    let stop = Stop::on_signals()?;

    // The layer, and the measured service.
    let metrics = MetricsLayer::new([
        ("namespace", "dyn_example_namespace"),
        ("component", "dyn_example_component"),
        ("endpoint", ENDPOINT),
    ]);
    let bytes_processed = metrics.register(
        "my_custom_bytes_processed",
        "Data bytes processed by the handler",
        Counter::<u64>::default(),
    )?;
    let exporter = metrics.exporter();
    let handler = ServiceBuilder::new()
        .layer(RequestBodyTimeoutLayer::new(serving::UPLOAD))
        .layer(metrics)
        .service_fn(move |request| work(request, bytes_processed.clone()));

    let listener = process::listen(Ipv4Addr::UNSPECIFIED, "DYN_HTTP_PORT", 8080).await?;
    println!("work handler:  http://{}/", listener.local_addr()?);
    let status = status::serve(exporter, ENDPOINT, &stop.asked).await?;

    serving::serve(listener, handler, stop.closing).await;
    // The status server stops last, so that the page can still show the last call.
    if let Some(status) = status {
        status.shutdown().await;
    }
    Ok(())
}
