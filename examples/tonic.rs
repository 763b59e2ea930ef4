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
//! With names it is a client, which prints what it has counted itself; without, the server. The service is
//! written by hand, where yours is generated, so that this needs no `protoc`.

use bytes::{Buf, BufMut};
use http::{Request, Response, Uri};
use http_body_util::BodyExt;
use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::iter::successors;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Server};
use tonic::{Status, TimeoutExpired};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_openmetrics::classify::{Classify, GrpcCode, by_error};
use tower_openmetrics::protocol::Grpc;
use tower_openmetrics::server::StatusServer;
use tower_openmetrics::{ErrorType, MetricsLayer};

const GRPC: &str = "127.0.0.1:50051";
const METRICS_PORT: u16 = 9090;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let names: Vec<String> = env::args().skip(1).collect();
    if names.is_empty() {
        let listener = TcpListener::bind(GRPC).await?;
        let stop = async { drop(tokio::signal::ctrl_c().await) };
        return serve(listener, server_metrics(), METRICS_PORT, stop).await;
    }
    let metrics = client_metrics()?;
    for name in names {
        println!(
            "{}",
            greet(&metrics, format!("http://{GRPC}").parse()?, name).await?
        );
    }
    println!("{}", page(&metrics).await?);
    Ok(())
}

// === the server ===

pub(crate) fn server_metrics() -> MetricsLayer<Grpc> {
    MetricsLayer::grpc([("component", "greeter")])
}

/// The service on `listener`, and the page beside it on a port of its own.
pub(crate) async fn serve(
    listener: TcpListener,
    metrics: MetricsLayer<Grpc>,
    metrics_port: u16,
    stop: impl Future<Output = ()>,
) -> Result<(), BoxError> {
    let status = StatusServer::new().host("127.0.0.1").port(metrics_port);
    let status = status.bind(metrics.exporter()).await?.spawn();
    println!("metrics: http://{}/metrics", status.local_addr());

    Server::builder()
        .layer(metrics) // this is all
        .add_service(Greeter)
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop)
        .await?;
    status.shutdown().await;
    Ok(())
}

// === the client ===

/// What tonic's own errors mean is told by closures, for the layer knows nothing of tonic.
pub(crate) fn client_metrics()
-> Result<MetricsLayer<Grpc<impl Classify + Send + 'static>>, BoxError> {
    let of_the_channel = by_error(|error: &tonic::transport::Error, _| {
        let mut causes = successors(error.source(), |cause| (*cause).source());
        causes
            .any(|cause| cause.is::<TimeoutExpired>())
            .then_some(ErrorType::TIMEOUT)
    });
    let of_bodies = by_error(|status: &Status, _| {
        GrpcCode::from_number(i32::from(status.code()) as u32).fault()
    });
    let layer = MetricsLayer::grpc_builder().classifier(of_the_channel.or(of_bodies));
    Ok(layer.build([("component", "greeter_client")])?)
}

pub(crate) async fn greet<C: Classify + Send + 'static>(
    metrics: &MetricsLayer<Grpc<C>>,
    server: Uri,
    name: String,
) -> Result<String, BoxError> {
    let channel = Channel::builder(server).connect_lazy();
    let channel = ServiceBuilder::new()
        // A channel wants tonic's own body.
        .layer(metrics.clone().boxed::<Body>())
        .service(channel);

    // What a generated client does.
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await?;
    let path = "/example.Greeter/Greet".parse()?;
    let response = client.unary(tonic::Request::new(name), path, Text).await?;
    Ok(response.into_inner())
}

/// What a scrape would get.
pub(crate) async fn page<P>(metrics: &MetricsLayer<P>) -> Result<String, BoxError> {
    let response = metrics.exporter().oneshot(Request::new(())).await?;
    let page = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(page.into())?)
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
struct Text;

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
