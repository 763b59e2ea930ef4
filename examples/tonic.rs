//! A gRPC server and its client, each measured by one layer.
//!
//! ```text
//! $ cargo run -p grpc --example tonic
//! $ cargo run -p grpc --example tonic -- Ada Grace
//! Hello Ada!
//! Hello Grace!
//! $ curl http://127.0.0.1:9090/metrics
//! ```
//!
//! With names as arguments it is a client, which prints its own page. Without arguments it is the server. The service is
//! written by hand instead of generated, so that the example needs no `protoc`. `GREETER_PORT` and `METRICS_PORT` choose
//! other ports.
//!
//! After Ctrl-C or SIGTERM the server goes on for `DRAIN_MS`, 2000 by default, with 503 at `/health` of the metrics' port.
//! Then it finishes open responses.

pub(crate) mod process;
mod serving;
mod status;

use self::process::Stop;
use bytes::{Buf, BufMut};
use http::{Request, Response, Uri};

use std::convert::Infallible;
use std::env;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::process::ExitCode;
use std::task::{Context, Poll};
use tokio::net::TcpListener;
use tonic::Status;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::service::Routes;
use tonic::transport::Channel;
use tower::{BoxError, Service, ServiceBuilder, service_fn};
use tower_openmetrics::classify::{Classify, HttpClient};
use tower_openmetrics::protocol::Grpc;
use tower_openmetrics::server::StatusServer;
use tower_openmetrics::{Error, Format, MetricsLayer};

const GREETER_PORT: &str = "GREETER_PORT";
const DEFAULT_PORT: u16 = 50051;

#[tokio::main]
async fn main() -> ExitCode {
    process::report(run()).await
}

async fn run() -> Result<(), BoxError> {
    let names: Vec<String> = env::args().skip(1).collect();
    if names.is_empty() {
        let listener = process::listen(Ipv4Addr::LOCALHOST, GREETER_PORT, DEFAULT_PORT).await?;
        println!("greeter: http://{}", listener.local_addr()?);
        let metrics_port = process::variable("METRICS_PORT")?.unwrap_or(9090);
        let stop = Stop::on_signals()?;
        return serve(listener, server_metrics(), metrics_port, stop).await;
    }
    let port: u16 = process::variable(GREETER_PORT)?.unwrap_or(DEFAULT_PORT);
    let server: Uri = format!("http://127.0.0.1:{port}").parse()?;
    let metrics = client_metrics();
    for name in names {
        println!("{}", greet(&metrics, server.clone(), name).await?);
    }
    println!("{}", page(&metrics)?);
    Ok(())
}

// === the server ===

pub(crate) fn server_metrics() -> MetricsLayer<Grpc> {
    MetricsLayer::grpc([("component", "greeter")])
}

/// Serves the service on `listener`, and the page on a port of its own.
pub(crate) async fn serve(
    listener: TcpListener,
    metrics: MetricsLayer<Grpc>,
    metrics_port: u16,
    stop: Stop,
) -> Result<(), BoxError> {
    let status = StatusServer::new().host("127.0.0.1").port(metrics_port);
    let status = status.bind(metrics.exporter()).await?.spawn();
    println!("metrics: http://{}/metrics", status.local_addr());
    status::ready_until(&stop.asked, status.health(), "greeter");

    // tonic's `Server::layer` takes the layer as well, but that server waits for silent clients for ever.
    let greeter = ServiceBuilder::new()
        .layer(metrics) // measures the service
        .service(Routes::new(Greeter));
    serving::serve(listener, greeter, stop.closing).await;
    status.shutdown().await;
    Ok(())
}

// === the client ===

/// The feature `tonic` recognises time limits that have passed, and connections that can't be made.
pub(crate) fn client_metrics() -> MetricsLayer<Grpc<HttpClient>> {
    MetricsLayer::grpc_client([("component", "greeter_client")])
}

pub(crate) async fn greet<C: Classify + Send + 'static>(
    metrics: &MetricsLayer<Grpc<C>>,
    server: Uri,
    name: String,
) -> Result<String, BoxError> {
    let channel = Channel::builder(server).connect_lazy();
    let channel = ServiceBuilder::new()
        // A channel takes tonic's own body.
        .layer(metrics.clone().boxed::<Body>())
        .service(channel);

    // A generated client does the same.
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await?;
    let path = "/example.Greeter/Greet".parse()?;
    let response = client.unary(tonic::Request::new(name), path, Text).await?;
    Ok(response.into_inner())
}

/// Returns the page that a scrape would get.
pub(crate) fn page<P>(metrics: &MetricsLayer<P>) -> Result<String, Error> {
    metrics.registry().encode(Format::Prometheus)
}

// === the service, as it would be generated ===

#[derive(Clone, Copy, Debug)]
struct Greeter;

async fn greet_by_name(request: tonic::Request<String>) -> Result<tonic::Response<String>, Status> {
    match request.get_ref().as_str() {
        "" => Err(Status::invalid_argument("who are you?")),
        name => Ok(tonic::Response::new(format!("Hello {name}!"))),
    }
}

impl tonic::server::NamedService for Greeter {
    const NAME: &'static str = "example.Greeter";
}

impl<B> Service<Request<B>> for Greeter
where
    B: http_body::Body<Error: Into<BoxError> + Send> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(Text);
            Ok(match request.uri().path() {
                "/example.Greeter/Greet" => grpc.unary(service_fn(greet_by_name), request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

/// Messages are plain text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text;

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Text {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, text: String, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(text.as_bytes());
        Ok(())
    }
}

impl Decoder for Text {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        let text = String::from_utf8(bytes.into());
        text.map(Some).map_err(|_| Status::internal("not text"))
    }
}
