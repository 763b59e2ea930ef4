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
use std::any::Any;
use std::fmt;
use std::sync::Arc;
use tower_layer::Layer;

/// Measures the services that it wraps.
///
/// All services of one layer, and of layers with the same labels on the same
/// [`MetricsRegistry`], count into the same series.
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
    /// If a label's name is invalid, reserved (`le`, `quantile`, `error_type`, `__*`) or
    /// given twice. For labels that are not known when the program is written there is
    /// [`builder`](Self::builder)`().build(labels)`, which returns the reason as an error.
    #[track_caller]
    pub fn new<L, M>(labels: L) -> Self
    where
        L: ConstantLabels<M>,
    {
        Self::builder().build_or_panic("new", labels)
    }

    /// A layer for HTTP with settings of your own.
    pub fn builder() -> MetricsLayerBuilder {
        MetricsLayerBuilder::new(Http::default())
            .without_messages()
            .without_message_counts()
    }
}

impl MetricsLayer<Http<HttpClient>> {
    /// A layer for HTTP where the program is the client, with a registry of its own: 4xx are failures, and
    /// connections that can't be made count as [`connect`](crate::ErrorType::CONNECT). See [`HttpClient`].
    ///
    /// It stands around the client, and what is counted is mirrored: a request's bytes as the connection takes
    /// them of the body that was sent, a response's as the program takes them of the answer. A call is as long as it takes to read
    /// the answer, and one whose answer is dropped unread was cancelled.
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
    /// // hyper-util's client fails with errors that the feature `client` looks inside of.
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
    /// On the registry of a server's layer it needs labels, or a prefix, that differ from the server's.
    ///
    /// # Panics
    ///
    /// As [`MetricsLayer::new`].
    #[track_caller]
    pub fn client<L, M>(labels: L) -> Self
    where
        L: ConstantLabels<M>,
    {
        Self::client_builder().build_or_panic("client", labels)
    }

    /// As [`client`](Self::client), with settings of your own.
    pub fn client_builder() -> MetricsLayerBuilder<Http<HttpClient>> {
        MetricsLayer::builder().classifier(HttpClient)
    }
}

impl MetricsLayer<Grpc> {
    /// A layer for a server of [gRPC](Grpc), with a registry of its own. For a client there is
    /// [`grpc_client`](MetricsLayer::grpc_client).
    ///
    /// Its metrics have the labels `grpc_service`, `grpc_method` and `grpc_code` where they are known, and
    /// messages are counted.
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
    /// // Where tonic's server is, this is `Server::builder().layer(metrics.clone())`.
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
    /// response.into_body().collect().await?; // the caller takes the message, and `NOT_FOUND`
    ///
    /// // The page has these lines among others:
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
    /// As [`MetricsLayer::new`].
    #[track_caller]
    pub fn grpc<L, M>(labels: L) -> Self
    where
        L: ConstantLabels<M>,
    {
        Self::grpc_builder().build_or_panic("grpc", labels)
    }

    /// As [`grpc`](Self::grpc), with settings of your own. A label with the name of one of the three takes its place. To leave them out, begin with
    /// [`protocol_builder`](Self::protocol_builder)`(Grpc::new())`.
    pub fn grpc_builder() -> MetricsLayerBuilder<Grpc> {
        MetricsLayerBuilder::new(Grpc::new())
            .without_messages()
            .messages_total(true)
            .default_labels([
                Label::grpc_service(),
                Label::grpc_method(),
                Label::grpc_code(),
            ])
    }
}

impl MetricsLayer<Grpc<HttpClient>> {
    /// A layer for a client of [gRPC](Grpc), with a registry of its own: a message that can't be encoded is
    /// [`invalid_message`](crate::ErrorType::INVALID_MESSAGE), where a server takes its client for gone, and a connection that can't
    /// be made is [`connect`](crate::ErrorType::CONNECT). See [`HttpClient`] for the errors that are known.
    ///
    /// In all else as [`grpc`](MetricsLayer::grpc). It stands around tonic's channel, or another client:
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
    /// On the registry of a server's layer it needs labels, or a prefix, that differ from the server's.
    ///
    /// # Panics
    ///
    /// As [`MetricsLayer::new`].
    #[track_caller]
    pub fn grpc_client<L, M>(labels: L) -> Self
    where
        L: ConstantLabels<M>,
    {
        Self::grpc_client_builder().build_or_panic("grpc_client", labels)
    }

    /// As [`grpc_client`](Self::grpc_client), with settings of your own. The layer stays a client's with any other
    /// [classifier](MetricsLayerBuilder::classifier). To leave out the labels, begin with
    /// [`protocol_builder`](Self::protocol_builder)`(Grpc::new()).classifier(HttpClient)`.
    pub fn grpc_client_builder() -> MetricsLayerBuilder<Grpc<HttpClient>> {
        MetricsLayer::grpc_builder().classifier(HttpClient)
    }
}

impl MetricsLayer<Unary> {
    /// A layer for services that answer a value with a value, with a registry of its own.
    ///
    /// Requests and responses are to be [`Message`](crate::Message)s; for other types there
    /// is [`unary_builder`](Self::unary_builder).
    ///
    /// # Panics
    ///
    /// As [`MetricsLayer::new`].
    #[track_caller]
    pub fn unary<L, M>(labels: L) -> Self
    where
        L: ConstantLabels<M>,
    {
        Self::unary_builder().build_or_panic("unary", labels)
    }

    /// As [`unary`](Self::unary), with settings of your own. Those that are about heads of requests are an error, for there
    /// are none; labels come from the request itself, by [`Label::from_message`].
    pub fn unary_builder() -> MetricsLayerBuilder<Unary> {
        MetricsLayerBuilder::new(Unary::default()).without_heads()
    }
}

impl MetricsLayer<Streaming> {
    /// A layer for services that answer a value with a stream of items, with a
    /// registry of its own: work handlers.
    ///
    /// Requests and items are to be [`Message`](crate::Message)s; for other types there is
    /// [`streaming_builder`](Self::streaming_builder). Items may be `Result`s.
    ///
    /// # Panics
    ///
    /// As [`MetricsLayer::new`].
    #[track_caller]
    pub fn streaming<L, M>(labels: L) -> Self
    where
        L: ConstantLabels<M>,
    {
        Self::streaming_builder().build_or_panic("streaming", labels)
    }

    /// As [`streaming`](Self::streaming), with settings of your own. Those that are about heads of requests are an error, for there are
    /// none; labels come from the request itself, by [`Label::from_message`].
    pub fn streaming_builder() -> MetricsLayerBuilder<Streaming> {
        MetricsLayerBuilder::new(Streaming::default()).without_heads()
    }
}

impl<P> MetricsLayer<P> {
    /// A layer for traffic that is measured by a [protocol](crate::protocol) of your own.
    ///
    /// Settings that look at the heads of requests, as [`filter`](MetricsLayerBuilder::filter) does, are asked for requests whose
    /// [`Protocol::head`](crate::protocol::Protocol::head) gives one.
    pub fn protocol_builder(protocol: P) -> MetricsLayerBuilder<P>
    where
        P: 'static,
    {
        let known: &dyn Any = &protocol;
        let has_heads = !known.is::<Unary>() && !known.is::<Streaming>();
        let builder = MetricsLayerBuilder::new(protocol);
        match has_heads {
            true => builder,
            false => builder.without_heads(),
        }
    }

    /// A layer that counts into the same metrics and lets bodies keep their type: the service takes, and its caller gets, bodies
    /// of the type `B`, in place of a [`RequestBody`](crate::RequestBody) and a [`ResponseBody`](crate::ResponseBody).
    ///
    /// Everything is counted as without it. Use it where something is written for one type of body:
    ///
    /// | what | `B` |
    /// |---|---|
    /// | axum's `middleware::from_fn` and its like, or a layer of another crate for axum, right inside the layer | `axum::body::Body` |
    /// | `axum::serve` with the layer around the whole router | `axum::body::Body` |
    /// | a layer that may be there or not, by `ServiceBuilder::option_layer` or `tower::util::Either` | that of what is inside |
    /// | a middleware for tonic's own body right inside the layer, or a `Channel` of tonic | `tonic::body::Body` |
    /// | a handler for hyper that is not generic over the request's body | `http_body_util`'s `UnsyncBoxBody` or `BoxBody` |
    ///
    /// [`FromBody`](crate::protocol::FromBody) has all that `B` can be, and the features they need. A `hyper::body::Incoming` can't be
    /// one, for only hyper makes it: let a handler that takes it be generic over the body, or take a `BoxBody<Bytes, hyper::Error>`.
    /// For frameworks that are not among them there is [another way](crate::body#bodies-of-other-frameworks).
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
    /// One allocation for the body of the request, and one for that of the response. On an axum `Router` it
    /// costs nothing more, since axum makes those two of any body that is not its own. tonic's body needs none where
    /// there is nothing in it.
    pub fn boxed<B>(self) -> MetricsLayer<Boxed<P, B>> {
        self.map_protocol(Boxed::new)
    }

    /// A layer that counts into the same metrics and gives the service a handle to each call: `pass` puts it where the service
    /// finds it. See [`PassHandle`].
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

    pub(crate) fn of(registry: MetricsRegistry, endpoint: Arc<Endpoint>, protocol: P) -> Self {
        Self {
            registry,
            endpoint,
            protocol,
        }
    }

    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// The registry that the layer's metrics are in.
    pub fn registry(&self) -> &MetricsRegistry {
        &self.registry
    }

    /// Puts a metric of your own beside the automatic ones, with the layer's
    /// labels, and gives it back. The layer's prefix is not put before its name.
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
    /// If the name is not a metric's, is taken by something else, or is registered already
    /// with the same labels; if it is with others but differs in type, unit or help; or if the
    /// layer has been [removed](Self::remove).
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
        self.registry
            .add(name.as_ref(), help.into(), None, endpoint, metric.clone())?;
        Ok(metric)
    }

    /// As [`register`](Self::register), with a unit, which the family's name
    /// will end in.
    ///
    /// # Errors
    ///
    /// As those of [`register`](Self::register).
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
        self.registry.add(
            name.as_ref(),
            help.into(),
            Some(&unit),
            endpoint,
            metric.clone(),
        )?;
        Ok(metric)
    }

    /// Puts an info beside the automatic metrics, with the layer's labels. It is
    /// registered without the `_info` that its sample will have.
    ///
    /// # Errors
    ///
    /// As those of [`register`](Self::register).
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

    /// Takes a metric of your own off the page that was registered through the layer, or another one with the same labels. Returns
    /// whether it was there.
    ///
    /// In all else as [`MetricsRegistry::unregister`].
    pub fn unregister(&self, name: impl AsRef<str>) -> bool {
        self.registry
            .remove_custom(name.as_ref(), Some(&self.endpoint))
    }

    /// Takes the layer's metrics off the page, its own and those registered through it or through
    /// another layer with the same labels. Returns whether they were there: a layer that was removed before, or
    /// replaced by one with the same labels, removes nothing.
    ///
    /// What a layer with the same labels and another prefix counts stays, and with it all
    /// that was registered. So does what was registered through a layer without labels, for that is the registry's own;
    /// [`MetricsRegistry::remove`] takes that too.
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
