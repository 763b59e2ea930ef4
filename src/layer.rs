use crate::Error;
use crate::builder::MetricsLayerBuilder;
use crate::classify::HttpClient;
use crate::handle::CallHandle;
use crate::labels::{ConstantLabels, Label};
use crate::protocol::{Boxed, Grpc, Http, PassHandle, Streaming, Unary};
use crate::registry::{Endpoint, MetricsRegistry};
use crate::service::Metrics;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Unit};
use std::fmt;
use std::sync::Arc;
use tower_layer::Layer;

/// Measures the services that it wraps.
///
/// All services of one layer, and of layers with the same labels on the same
/// [`MetricsRegistry`], count into the same series.
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::{BodyExt, Full};
/// use std::convert::Infallible;
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
/// use tower_openmetrics::{Format, MetricsLayer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let metrics = MetricsLayer::new([("endpoint", "cart")]);
/// let service = ServiceBuilder::new()
///     .layer(metrics.clone())
///     .service(service_fn(async |_: Request<_>| {
///         Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("hello")))
///     }));
///
/// let response = service.oneshot(Request::new(Full::<Bytes>::default())).await?;
/// response.into_body().collect().await?; // The call ends here.
///
/// // An exporter shows this page, too: `metrics.exporter()`.
/// let page = metrics.registry().encode(Format::Prometheus)?;
/// assert!(page.contains(r#"requests_total{endpoint="cart"} 1"#));
/// assert!(page.contains(r#"response_bytes_total{endpoint="cart"} 5"#));
/// # Ok(())
/// # }
/// ```
#[must_use = "a layer measures nothing until a service is wrapped in it"]
pub struct MetricsLayer<P = Http> {
    registry: MetricsRegistry,
    endpoint: Arc<Endpoint>,
    protocol: P,
}

// === impl MetricsLayer ===

impl MetricsLayer {
    /// A layer for HTTP with these labels on all its metrics, and with a registry of its own. For no labels, give `()`.
    ///
    /// # Panics
    ///
    /// Panics if a label's name is invalid, reserved (`le`, `quantile`, `error_type`, `__*`) or
    /// given twice. If labels are only known at run time, use
    /// [`builder`](Self::builder)`().build(labels)`, which returns an error instead.
    #[track_caller]
    pub fn new<M>(labels: impl ConstantLabels<M>) -> Self {
        Self::builder().build_or_panic("new", labels)
    }

    /// A layer for HTTP with settings of your own.
    pub fn builder() -> MetricsLayerBuilder {
        MetricsLayerBuilder::new(Http::default()).http_traffic()
    }
}

impl MetricsLayer<Http<HttpClient>> {
    /// A layer for an HTTP client, with a registry of its own. 4xx are failures, and
    /// connections that can't be made count as [`connect`](crate::ErrorType::CONNECT). See [`HttpClient`].
    ///
    /// The layer wraps the client. Request bytes count as the connection takes them, and response bytes as the
    /// program reads them. A call ends when its response has been read to the end. A call whose response is dropped
    /// unread is cancelled.
    ///
    /// ```no_run
    /// use bytes::Bytes;
    /// use http::Request;
    /// use http_body_util::{BodyExt, Full};
    /// use hyper_util::client::legacy::Client;
    /// use hyper_util::rt::TokioExecutor;
    /// use tower::{Service, ServiceBuilder, ServiceExt};
    /// use tower_openmetrics::MetricsLayer;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), tower::BoxError> {
    /// // The feature `client` looks inside the errors of hyper-util's client.
    /// let metrics = MetricsLayer::client([("endpoint", "stock")]);
    /// let mut client = ServiceBuilder::new()
    ///     .layer(metrics.clone())
    ///     .service(Client::builder(TokioExecutor::new()).build_http());
    ///
    /// let request = Request::get("http://stock.internal/items/7").body(Full::<Bytes>::default())?;
    /// let response = client.ready().await?.call(request).await?;
    /// let item = response.into_body().collect().await?.to_bytes();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A client's layer that shares a registry with a server's layer needs other labels or another prefix.
    ///
    /// # Panics
    ///
    /// See [`MetricsLayer::new`].
    #[track_caller]
    pub fn client<M>(labels: impl ConstantLabels<M>) -> Self {
        Self::client_builder().build_or_panic("client", labels)
    }

    /// Like [`client`](Self::client), with settings of your own.
    pub fn client_builder() -> MetricsLayerBuilder<Http<HttpClient>> {
        MetricsLayer::builder().classifier(HttpClient)
    }
}

impl MetricsLayer<Grpc> {
    /// A layer for a [gRPC](Grpc) server, with a registry of its own. For a client, use
    /// [`grpc_client`](MetricsLayer::grpc_client).
    ///
    /// Its metrics carry the labels `grpc_service`, `grpc_method` and `grpc_code` where they are known. It
    /// also counts messages.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http::{HeaderMap, HeaderName, Request, Response};
    /// use http_body_util::{BodyExt, Full};
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    /// use tower_openmetrics::{Format, MetricsLayer};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // With tonic's server: `Server::builder().layer(metrics.clone())`.
    /// let metrics = MetricsLayer::grpc([("component", "cart")]);
    /// let service = ServiceBuilder::new()
    ///     .layer(metrics.clone())
    ///     .service(service_fn(async |_: Request<_>| {
    ///         let message = Full::new(Bytes::from_static(b"\0\0\0\0\x05hello"));
    ///         let trailers = HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), 5.into())]);
    ///         Ok::<_, std::convert::Infallible>(Response::new(
    ///             message.with_trailers(std::future::ready(Some(Ok(trailers)))),
    ///         ))
    ///     }));
    ///
    /// let request = Request::post("/shop.Cart/Get").header("content-type", "application/grpc");
    /// let response = service.oneshot(request.body(Full::<Bytes>::default())?).await?;
    /// response.into_body().collect().await?; // reads the message, and the status `NOT_FOUND`
    ///
    /// // The page contains these lines:
    /// let page = metrics.registry().encode(Format::Prometheus)?;
    /// for line in [
    ///     r#"requests_total{component="cart",grpc_code="NOT_FOUND",grpc_method="Get",grpc_service="shop.Cart"} 1"#,
    ///     r#"response_messages_total{component="cart",grpc_method="Get",grpc_service="shop.Cart"} 1"#,
    /// ] {
    ///     assert!(page.lines().any(|l| l == line), "{line}\n{page}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// See [`MetricsLayer::new`].
    #[track_caller]
    pub fn grpc<M>(labels: impl ConstantLabels<M>) -> Self {
        Self::grpc_builder().build_or_panic("grpc", labels)
    }

    /// Like [`grpc`](Self::grpc), with settings of your own.
    ///
    /// A [label](MetricsLayerBuilder::label) named like one of the three gRPC labels replaces it. To leave out all three,
    /// start from [`protocol_builder`](Self::protocol_builder)`(Grpc::new())`.
    pub fn grpc_builder() -> MetricsLayerBuilder<Grpc> {
        MetricsLayerBuilder::new(Grpc::new())
            .messages_total(true)
            .default_labels([
                Label::grpc_service(),
                Label::grpc_method(),
                Label::grpc_code(),
            ])
    }
}

impl MetricsLayer<Grpc<HttpClient>> {
    /// A layer for a [gRPC](Grpc) client, with a registry of its own.
    ///
    /// A message that can't be encoded is [`invalid_message`](crate::ErrorType::INVALID_MESSAGE); a server's layer would
    /// count it as a cancellation. A connection that can't be made is [`connect`](crate::ErrorType::CONNECT). See
    /// [`HttpClient`] for the errors that are known. Otherwise it measures like [`grpc`](MetricsLayer::grpc).
    ///
    /// The layer wraps tonic's channel, or another client:
    ///
    /// ```
    /// use http::Request;
    /// use tonic::body::Body;
    /// use tonic::transport::{Channel, Error};
    /// use tower::ServiceBuilder;
    /// use tower_openmetrics::MetricsLayer;
    /// use tower_openmetrics::grpc::RequestBody;
    ///
    /// async fn connect() -> Result<(), Error> {
    ///     let channel = Channel::from_static("http://cart.internal:50051").connect().await?;
    ///     let metrics = MetricsLayer::grpc_client([("component", "cart_client")]);
    ///     let channel = ServiceBuilder::new()
    ///         .layer(metrics.clone())
    ///         .map_request(|request: Request<RequestBody<Body>>| request.map(Body::new))
    ///         .service(channel);
    ///     // let cart = CartClient::new(channel);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// With the feature `tonic`, [`boxed`](MetricsLayer::boxed) does the same without the `map_request`.
    ///
    /// A client's layer that shares a registry with a server's layer needs other labels or another prefix.
    ///
    /// # Panics
    ///
    /// See [`MetricsLayer::new`].
    #[track_caller]
    pub fn grpc_client<M>(labels: impl ConstantLabels<M>) -> Self {
        Self::grpc_client_builder().build_or_panic("grpc_client", labels)
    }

    /// Like [`grpc_client`](Self::grpc_client), with settings of your own.
    ///
    /// Another [classifier](MetricsLayerBuilder::classifier) doesn't make it a server's layer. To leave out the three gRPC
    /// labels, start from [`protocol_builder`](Self::protocol_builder)`(Grpc::new()).classifier(HttpClient)`.
    pub fn grpc_client_builder() -> MetricsLayerBuilder<Grpc<HttpClient>> {
        MetricsLayer::grpc_builder().classifier(HttpClient)
    }
}

impl MetricsLayer<Unary> {
    /// A layer for services that answer a value with a value, with a registry of its own.
    ///
    /// Requests and responses must be [`Message`](crate::Message)s. For other types, use
    /// [`unary_builder`](Self::unary_builder).
    ///
    /// ```
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    /// use tower_openmetrics::{Format, MetricsLayer};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let metrics = MetricsLayer::unary([("endpoint", "squares")]);
    /// let service = ServiceBuilder::new()
    ///     .layer(metrics.clone())
    ///     .service(service_fn(async |n: u32| n.checked_mul(n).ok_or("too large")));
    ///
    /// service.clone().oneshot(3).await?;
    /// service.oneshot(u32::MAX).await.unwrap_err();
    /// let page = metrics.registry().encode(Format::Prometheus)?;
    /// assert!(page.contains(r#"requests_total{endpoint="squares"} 2"#));
    /// assert!(page.contains(r#"errors_total{endpoint="squares",error_type="generate"} 1"#));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// See [`MetricsLayer::new`].
    #[track_caller]
    pub fn unary<M>(labels: impl ConstantLabels<M>) -> Self {
        Self::unary_builder().build_or_panic("unary", labels)
    }

    /// Like [`unary`](Self::unary), with settings of your own.
    ///
    /// Requests have no heads here, so settings that read heads are an error. Labels are read from the request itself, by
    /// [`Label::from_message`].
    pub fn unary_builder() -> MetricsLayerBuilder<Unary> {
        MetricsLayerBuilder::new(Unary::default())
    }
}

impl MetricsLayer<Streaming> {
    /// A layer for work handlers, with a registry of its own: services that answer a value with a stream of items.
    ///
    /// Requests and items must be [`Message`](crate::Message)s. For other types, use
    /// [`streaming_builder`](Self::streaming_builder). Items may be `Result`s.
    ///
    /// ```
    /// use futures_util::{StreamExt, stream};
    /// use std::convert::Infallible;
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    /// use tower_openmetrics::{Format, MetricsLayer};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let metrics = MetricsLayer::streaming([("endpoint", "generate")]);
    /// let engine = ServiceBuilder::new()
    ///     .layer(metrics.clone())
    ///     .service(service_fn(async |prompt: &'static str| {
    ///         Ok::<_, Infallible>(stream::iter(prompt.split(' ')))
    ///     }));
    ///
    /// // The call ends with the stream.
    /// engine.oneshot("to be").await?.collect::<Vec<_>>().await;
    /// let page = metrics.registry().encode(Format::Prometheus)?;
    /// assert!(page.contains(r#"requests_total{endpoint="generate"} 1"#));
    /// assert!(page.contains(r#"response_bytes_total{endpoint="generate"} 4"#));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// See [`MetricsLayer::new`].
    #[track_caller]
    pub fn streaming<M>(labels: impl ConstantLabels<M>) -> Self {
        Self::streaming_builder().build_or_panic("streaming", labels)
    }

    /// Like [`streaming`](Self::streaming), with settings of your own.
    ///
    /// Requests have no heads here, so settings that read heads are an error. Labels are read from the request itself, by
    /// [`Label::from_message`].
    pub fn streaming_builder() -> MetricsLayerBuilder<Streaming> {
        MetricsLayerBuilder::new(Streaming::default())
    }
}

impl<P> MetricsLayer<P> {
    /// A layer for traffic that a [protocol](crate::protocol) of your own measures.
    ///
    /// Settings that read request heads, such as [`filter`](MetricsLayerBuilder::filter), apply to requests for which
    /// [`Protocol::head`](crate::protocol::Protocol::head) returns a head.
    pub fn protocol_builder(protocol: P) -> MetricsLayerBuilder<P>
    where
        P: 'static,
    {
        MetricsLayerBuilder::new(protocol)
    }

    /// A layer that counts into the same metrics and keeps the type of bodies. The service takes bodies of the type `B`
    /// instead of [`RequestBody`](crate::RequestBody), and its caller gets a `B` instead of a
    /// [`ResponseBody`](crate::ResponseBody).
    ///
    /// It counts the same. Use it around code that takes one type of body:
    ///
    /// | code | `B` |
    /// |---|---|
    /// | axum's `middleware::from_fn` and similar, or another crate's layer for axum, right inside the layer | `axum::body::Body` |
    /// | `axum::serve` with the layer around the whole router | `axum::body::Body` |
    /// | an optional layer, by `ServiceBuilder::option_layer` or `tower::util::Either` | the body of the inner service |
    /// | a middleware for tonic's own body right inside the layer, or a `Channel` of tonic | `tonic::body::Body` |
    /// | a handler for hyper that is not generic over the request's body | `http_body_util`'s `UnsyncBoxBody` or `BoxBody` |
    ///
    /// [`FromBody`](crate::protocol::FromBody) lists the types that `B` can be, and the features that they need. `B` can't be
    /// `hyper::body::Incoming`, because only hyper makes one: make the handler generic over the body, or let it take a
    /// `BoxBody<Bytes, hyper::Error>`. Other frameworks have [another way](crate::body#bodies-of-other-frameworks).
    ///
    /// ```
    /// use axum::Router;
    /// use axum::body::Body;
    /// use axum::extract::Request;
    /// use axum::middleware::{self, Next};
    /// use axum::response::Response;
    /// use axum::routing::get;
    /// use tower::ServiceBuilder;
    /// use tower_openmetrics::MetricsLayer;
    ///
    /// async fn authenticate(request: Request, next: Next) -> Response {
    ///     next.run(request).await
    /// }
    ///
    /// let metrics = MetricsLayer::new([("endpoint", "http")]);
    /// let app: Router = Router::new().route("/", get(async || "hello\n")).layer(
    ///     ServiceBuilder::new()
    ///         .layer(metrics.clone().boxed::<Body>())
    ///         .layer(middleware::from_fn(authenticate)),
    /// );
    /// ```
    ///
    /// # What it costs
    ///
    /// One allocation for the request's body and one for the response's. On an axum `Router` it costs nothing more,
    /// because axum boxes every body that is not its own. An empty body of tonic's costs no allocation.
    pub fn boxed<B>(self) -> MetricsLayer<Boxed<P, B>> {
        self.map_protocol(Boxed::new)
    }

    /// A layer that counts into the same metrics and gives the service a handle to each call. `pass` puts the handle
    /// where the service finds it. See [`PassHandle`].
    pub fn pass_handle<Req, F>(self, pass: F) -> MetricsLayer<PassHandle<P, F>>
    where
        F: Fn(&mut Req, CallHandle) + Clone,
    {
        self.map_protocol(|protocol| PassHandle::new(protocol, pass))
    }

    fn map_protocol<Q>(self, map: impl FnOnce(P) -> Q) -> MetricsLayer<Q> {
        let Self {
            registry,
            endpoint,
            protocol,
        } = self;
        MetricsLayer {
            registry,
            endpoint,
            protocol: map(protocol),
        }
    }

    pub(crate) fn from_parts(
        registry: MetricsRegistry,
        endpoint: Arc<Endpoint>,
        protocol: P,
    ) -> Self {
        Self {
            registry,
            endpoint,
            protocol,
        }
    }

    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// Returns the registry of the layer's metrics.
    pub fn registry(&self) -> &MetricsRegistry {
        &self.registry
    }

    /// Adds a metric to the page, with the layer's labels, and returns it. Its name doesn't get the layer's prefix.
    ///
    /// Otherwise like [`MetricsRegistry::register`].
    ///
    /// ```
    /// use prometheus_client::metrics::counter::Counter;
    /// use tower_openmetrics::MetricsLayer;
    ///
    /// # fn main() -> Result<(), tower_openmetrics::Error> {
    /// let layer = MetricsLayer::new([("endpoint", "a")]);
    /// let rows = layer.register("rows_read", "Rows read", Counter::<u64>::default())?;
    /// rows.inc_by(3); // shown as rows_read_total{endpoint="a"} 3
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error under the same conditions as [`MetricsRegistry::register`], or if the layer has been
    /// [removed](Self::remove).
    pub fn register<M>(
        &self,
        name: impl AsRef<str>,
        help: impl Into<String>,
        metric: M,
    ) -> Result<M, Error>
    where
        M: Metric + Clone,
    {
        let endpoint = Some(&self.endpoint);
        self.registry.add_handle(name, help, None, endpoint, metric)
    }

    /// Adds a metric with a unit to the page, with the layer's labels, and returns it. The unit is appended to the family's
    /// name.
    ///
    /// # Errors
    ///
    /// Returns an error under the same conditions as [`register`](Self::register), or if the unit is invalid.
    pub fn register_with_unit<M>(
        &self,
        name: impl AsRef<str>,
        help: impl Into<String>,
        unit: Unit,
        metric: M,
    ) -> Result<M, Error>
    where
        M: Metric + Clone,
    {
        let endpoint = Some(&self.endpoint);
        let unit = Some(&unit);
        self.registry.add_handle(name, help, unit, endpoint, metric)
    }

    /// Adds an info to the page, with the layer's labels. Register it without the `_info` that its sample gets.
    ///
    /// # Errors
    ///
    /// Returns an error under the same conditions as [`register`](Self::register).
    pub fn register_info<S>(
        &self,
        name: impl AsRef<str>,
        help: impl Into<String>,
        info: Info<S>,
    ) -> Result<(), Error>
    where
        Info<S>: Metric,
    {
        let endpoint = Some(&self.endpoint);
        self.registry
            .add(name.as_ref(), help.into(), None, endpoint, info)
    }

    /// Removes a metric that was registered through this layer, or through another one with the same labels. Returns whether
    /// it was registered.
    ///
    /// Otherwise like [`MetricsRegistry::unregister`].
    pub fn unregister(&self, name: impl AsRef<str>) -> bool {
        self.registry
            .remove_metric(name.as_ref(), Some(&self.endpoint))
    }

    /// Removes the layer's metrics from the page: the automatic ones, and those registered through it or through another
    /// layer with the same labels. Returns whether they were there. A layer that was removed before, or replaced by one with
    /// the same labels, removes nothing.
    ///
    /// The metrics of a layer with the same labels and another prefix stay. If there is such a layer, registered metrics stay
    /// as well. Metrics registered through a layer without labels belong to the registry and stay.
    /// [`MetricsRegistry::remove`] removes them too.
    pub fn remove(&self) -> bool {
        self.registry.remove_endpoint(&self.endpoint)
    }
}

impl<S, P: Clone> Layer<S> for MetricsLayer<P> {
    type Service = Metrics<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        Metrics::new(inner, self.endpoint.recorder.key(), self.protocol.clone())
    }
}

impl<P: Clone> Clone for MetricsLayer<P> {
    fn clone(&self) -> Self {
        Self {
            registry: self.registry.clone(),
            endpoint: self.endpoint.clone(),
            protocol: self.protocol.clone(),
        }
    }
}

impl Default for MetricsLayer {
    /// A layer for HTTP without labels, and with a registry of its own.
    fn default() -> Self {
        Self::new(())
    }
}

impl<P> fmt::Debug for MetricsLayer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsLayer")
            .field("labels", &self.endpoint.labels)
            .finish_non_exhaustive()
    }
}
