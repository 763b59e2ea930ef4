//! Servers and clients with a layer.

use http::{Request, Response, Uri};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::rt::TokioExecutor;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::service::{InterceptorLayer, Routes};
use tonic::transport::{Channel, Endpoint, Server as TonicServer};
use tower::util::BoxCloneService;
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt};
use tower_openmetrics::MetricsLayer;
use tower_openmetrics::classify::Classify;
use tower_openmetrics::grpc::RequestBody;
use tower_openmetrics::protocol::Grpc;

use crate::bounded;
use crate::service::Obedient;

/// The implementation at both ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Transport {
    /// tonic's server and channel.
    Tonic,
    /// tonic's server and channel with boxed layers, and a service inside that only takes tonic's body.
    Boxed,
    /// hyper's server and client, which do not know gRPC and enforce no deadlines.
    Hyper,
}

/// Takes tonic's own body only, as many middlewares do.
#[derive(Clone, Debug)]
struct Typed<S>(S);

#[derive(Clone, Copy, Debug)]
struct TypedLayer;

impl<S> Layer<S> for TypedLayer {
    type Service = Typed<S>;

    fn layer(&self, inner: S) -> Typed<S> {
        Typed(inner)
    }
}

impl<S> Service<Request<Body>> for Typed<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> S::Future {
        self.0.call(request)
    }
}

/// A server. Ends with [`stop`](Self::stop) or with the runtime.
pub(crate) struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// A client with a layer around it.
pub(crate) type Client = BoxCloneService<Request<Body>, Response<Body>, BoxError>;

impl Transport {
    pub(crate) const ALL: [Self; 3] = [Self::Tonic, Self::Boxed, Self::Hyper];

    pub(crate) async fn serve(self, layer: &MetricsLayer<Grpc>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            let _ = stopped.await; // or the sender is dropped
        };
        let layer = layer.clone();
        let task = match self {
            Self::Tonic => tokio::spawn(async move {
                let server = TonicServer::builder().layer(layer).add_service(Obedient);
                let incoming = TcpListenerStream::new(listener);
                server
                    .serve_with_incoming_shutdown(incoming, stopped)
                    .await
                    .unwrap();
            }),
            Self::Boxed => tokio::spawn(async move {
                let layers = ServiceBuilder::new()
                    .layer(InterceptorLayer::new(Ok))
                    .option_layer(Some(layer.boxed::<Body>()))
                    .layer(TypedLayer)
                    .into_inner();
                let server = TonicServer::builder().layer(layers).add_service(Obedient);
                let incoming = TcpListenerStream::new(listener);
                server
                    .serve_with_incoming_shutdown(incoming, stopped)
                    .await
                    .unwrap();
            }),
            Self::Hyper => tokio::spawn(async move {
                let app = Routes::new(Obedient).into_axum_router().layer(layer);
                let server = axum::serve(listener, app);
                server.with_graceful_shutdown(stopped).await.unwrap();
            }),
        };
        Server {
            address,
            stop,
            task,
        }
    }

    /// A client of `server` with `layer`.
    pub(crate) async fn connect<C>(self, server: &Server, layer: &MetricsLayer<Grpc<C>>) -> Client
    where
        C: Classify + Send + 'static,
    {
        let layer = layer.clone();
        match self {
            Self::Tonic => ServiceBuilder::new()
                .layer(layer)
                .map_request(|request: Request<RequestBody<Body>>| request.map(Body::new))
                .service(server.channel().await)
                .map_response(|response| response.map(Body::new))
                .map_err(BoxError::from)
                .boxed_clone(),
            Self::Boxed => ServiceBuilder::new()
                .map_err(BoxError::from)
                .layer(layer.boxed::<Body>())
                .service(Typed(server.channel().await))
                .boxed_clone(),
            Self::Hyper => ServiceBuilder::new()
                .layer(layer)
                .service(
                    HyperClient::builder(TokioExecutor::new())
                        .http2_only(true)
                        .build_http::<RequestBody<Body>>(),
                )
                .map_response(|response| response.map(Body::new))
                .map_err(BoxError::from)
                .boxed_clone(),
        }
    }
}

impl Server {
    pub(crate) fn origin(&self) -> Uri {
        let address = self.address;
        format!("http://{address}").parse().unwrap()
    }

    pub(crate) async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from(self.origin());
        bounded("a connection", endpoint.connect()).await.unwrap()
    }

    /// Waits until all connections and calls have ended.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        bounded("the end of the server", self.task).await.unwrap();
    }
}
