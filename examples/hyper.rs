//! A plain hyper server that is measured, over HTTP/1 and HTTP/2, with a router of its own.
//!
//! ```text
//! $ PORT=8080 cargo run --release --example hyper
//! $ curl http://127.0.0.1:8080/
//! hello
//! $ curl --http2-prior-knowledge -d 'some bytes' http://127.0.0.1:8080/count
//! 10
//! $ curl http://127.0.0.1:8080/metrics
//! ```
//!
//! The handler takes any body. One that wants a certain type, such as `BoxBody<Bytes, hyper::Error>`, gets it from
//! `metrics.boxed::<BoxBody<Bytes, hyper::Error>>()`.
//!
//! Ctrl-C lets the answers that are on their way finish.

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::env;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_openmetrics::MetricsLayer;
use tower_openmetrics::labels::Label;

/// How long answers that are on their way may take after the signal to stop.
const GRACE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let port = match env::var("PORT") {
        Ok(port) => port.parse()?,
        Err(_) => 8080,
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("http://{}", listener.local_addr()?);

    let stop = CancellationToken::new();
    let server = tokio::spawn(serve(listener, stop.clone()));
    tokio::signal::ctrl_c().await?;
    println!("stopping");
    stop.cancel();
    server.await?
}

/// HTTP/1.1 or HTTP/2, whichever a client begins with, until it is to stop.
pub(crate) async fn serve(listener: TcpListener, stop: CancellationToken) -> Result<(), BoxError> {
    let service = with_page(&metrics()?);
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new());
    http.http2().timer(TokioTimer::new());
    let connections = GracefulShutdown::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors, most likely.
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let service = TowerToHyperService::new(service.clone());
        let connection = http.serve_connection(TokioIo::new(stream), service);
        // How a connection fails is its client's affair.
        tokio::spawn(connections.watch(connection.into_owned()));
    }
    drop(listener);
    if timeout(GRACE, connections.shutdown()).await.is_err() {
        eprintln!("some answers took longer than {GRACE:?} and are cut off");
    }
    Ok(())
}

// === what is measured ===

/// What the router has found, for the layer and the handler.
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

/// The measured handler, and the page beside it.
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
        .map_request(|mut request: Request<Incoming>| {
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
        (Some(Route("/count")), &Method::POST) => match request.into_body().collect().await {
            Ok(body) => text(StatusCode::OK, &body.to_bytes().len().to_string()),
            Err(_) => text(StatusCode::BAD_REQUEST, "the body broke off"),
        },
        (Some(Route("/hello/{name}")), &Method::GET) => text(StatusCode::OK, "hello to you"),
        (Some(_), _) => text(StatusCode::METHOD_NOT_ALLOWED, "use another method"),
        (None, _) => text(StatusCode::NOT_FOUND, "there is no such page"),
    };
    Ok(answer)
}

fn text(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{text}\n")));
    *response.status_mut() = status;
    response
}
