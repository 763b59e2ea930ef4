//! A measured hyper server, over HTTP/1 and HTTP/2, with a router of its own.
//!
//! ```text
//! $ PORT=8080 cargo run --release --example hyper --features http2
//! $ curl http://127.0.0.1:8080/
//! hello
//! $ curl --http2-prior-knowledge -d 'some bytes' http://127.0.0.1:8080/count
//! 10
//! $ curl http://127.0.0.1:8080/metrics
//! ```
//!
//! The handler takes any body. A handler for one type of body, such as `BoxBody<Bytes, hyper::Error>`, needs the layer
//! `metrics.boxed::<BoxBody<Bytes, hyper::Error>>()`.
//!
//! `serving/mod.rs` is the server: it serves each connection, and stops gracefully.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `PORT` | the port; 0 picks a free one | 8080 |
//! | `DRAIN_MS` | how long to go on after Ctrl-C or SIGTERM | 2000 |
//!
//! Then the server finishes open responses.

mod process;
mod serving;

use self::process::Stop;
use bytes::{Buf, Bytes};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::pin::pin;
use std::process::ExitCode;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_http::timeout::RequestBodyTimeoutLayer;
use tower_openmetrics::MetricsLayer;
use tower_openmetrics::labels::Label;

#[tokio::main]
async fn main() -> ExitCode {
    process::report(run()).await
}

async fn run() -> Result<(), BoxError> {
    let stop = Stop::on_signals()?;
    let listener = process::listen(Ipv4Addr::LOCALHOST, "PORT", 8080).await?;
    println!("http://{}", listener.local_addr()?);
    serve(listener, stop.closing).await
}

pub(crate) async fn serve(listener: TcpListener, stop: CancellationToken) -> Result<(), BoxError> {
    serving::serve(listener, with_page(&metrics()?), stop).await;
    Ok(())
}

// === the measured service ===

/// The matched route, for the layer and the handler.
#[derive(Clone, Copy)]
struct Route(&'static str);

fn route(path: &str) -> Option<Route> {
    match path {
        "/" => Some(Route("/")),
        "/count" => Some(Route("/count")),
        _ => {
            let greeted = path.strip_prefix("/hello/")?;
            (!greeted.contains('/')).then_some(Route("/hello/{name}"))
        }
    }
}

fn metrics() -> Result<MetricsLayer, tower_openmetrics::Error> {
    MetricsLayer::builder()
        .label(Label::method())
        .label(Label::route(|head| Some(head.extensions.get::<Route>()?.0)))
        .label(Label::status())
        .label(Label::version())
        .build([("service", "plain")])
}

/// Returns a service of the measured handler and the page.
fn with_page(
    metrics: &MetricsLayer,
) -> impl Service<
    Request<Incoming>,
    Response = Response<impl Body<Data = Bytes, Error = BoxError> + Send + 'static>,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
+ 'static {
    let page = metrics.exporter();
    let measured = ServiceBuilder::new()
        .layer(RequestBodyTimeoutLayer::new(serving::UPLOAD))
        .map_request(|mut request: Request<_>| {
            if let Some(route) = route(request.uri().path()) {
                request.extensions_mut().insert(route);
            }
            request
        })
        .layer(metrics.clone())
        .service(service_fn(handle));
    service_fn(move |request: Request<Incoming>| {
        let (page, measured) = (page.clone(), measured.clone());
        async move {
            if request.uri().path() == "/metrics" {
                let page = page.oneshot(request).await?;
                Ok(page.map(Either::Left))
            } else {
                let answer = measured.oneshot(request).await?;
                Ok(answer.map(Either::Right))
            }
        }
    })
}

async fn handle<B>(request: Request<B>) -> Result<Response<Full<Bytes>>, Infallible>
where
    B: Body,
{
    let route = request.extensions().get::<Route>();
    let answer = match (route, request.method()) {
        (Some(Route("/")), &Method::GET) => text(StatusCode::OK, "hello"),
        (Some(Route("/count")), &Method::POST) => match count(request.into_body()).await {
            Ok(bytes) => text(StatusCode::OK, &bytes.to_string()),
            Err(_) => text(StatusCode::BAD_REQUEST, "the body broke off"),
        },
        (Some(Route("/hello/{name}")), &Method::GET) => text(StatusCode::OK, "hello to you"),
        (Some(_), _) => text(StatusCode::METHOD_NOT_ALLOWED, "use another method"),
        (None, _) => text(StatusCode::NOT_FOUND, "there is no such page"),
    };
    Ok(answer)
}

/// Counts the bytes of a body without keeping them.
async fn count<B: Body>(body: B) -> Result<usize, B::Error> {
    let mut body = pin!(body);
    let mut bytes = 0;
    while let Some(frame) = body.frame().await.transpose()? {
        bytes += frame.data_ref().map_or(0, Buf::remaining);
    }
    Ok(bytes)
}

fn text(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{text}\n")));
    *response.status_mut() = status;
    response
}
