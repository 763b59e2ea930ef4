use crate::Error;
use crate::builder::MetricsLayerBuilder;
use crate::classify::HttpClient;
use crate::labels::Label;
use crate::protocol::{Grpc, Http, Streaming, Unary};
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
#[must_use = "a layer measures nothing until a service is wrapped in it"]
pub struct MetricsLayer<P = Http> {
    registry: MetricsRegistry,
    endpoint: Arc<Endpoint>,
    protocol: P,
}

// === impl MetricsLayer ===

impl MetricsLayer {
    /// A layer for HTTP with these labels on all its metrics, and with a registry of its own.
    ///
    /// # Panics
    ///
    /// If a label's name is invalid, reserved (`le`, `quantile`, `error_type`, `__*`) or
    /// given twice. For labels that are not known when the program is written there is
    /// [`try_new`](Self::try_new).
    #[track_caller]
    pub fn new<L, K, V>(labels: L) -> Self
    where
        L: IntoIterator<Item = (K, V)>,
        K: Into<String>,
        V: Into<String>,
    {
        match Self::try_new(labels) {
            Ok(layer) => layer,
            Err(error) => panic!("`MetricsLayer::new`: {error}"),
        }
    }

    /// As [`new`](Self::new), for labels that may be wrong.
    ///
    /// # Errors
    ///
    /// Where [`new`](Self::new) panics.
    pub fn try_new<L, K, V>(labels: L) -> Result<Self, Error>
    where
        L: IntoIterator<Item = (K, V)>,
        K: Into<String>,
        V: Into<String>,
    {
        Self::builder().build(labels)
    }

    /// A layer for HTTP with settings of your own.
    pub fn builder() -> MetricsLayerBuilder {
        MetricsLayerBuilder::new(Http::default())
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
    pub fn client<L, K, V>(labels: L) -> Self
    where
        L: IntoIterator<Item = (K, V)>,
        K: Into<String>,
        V: Into<String>,
    {
        match Self::client_builder().build(labels) {
            Ok(layer) => layer,
            Err(error) => panic!("`MetricsLayer::client`: {error}"),
        }
    }

    /// As [`client`](Self::client), with settings of your own.
    pub fn client_builder() -> MetricsLayerBuilder<Http<HttpClient>> {
        MetricsLayer::builder().classifier(HttpClient)
    }
}

impl MetricsLayer<Grpc> {
    /// A layer for [gRPC](Grpc), server or client, with a registry of its own.
    ///
    /// Its metrics have the labels `grpc_service`, `grpc_method` and `grpc_code` where they are known, and
    /// messages are counted.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http::{HeaderMap, HeaderName, Request, Response};
    /// use http_body_util::{BodyExt, Full};
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    /// use tower_openmetrics::MetricsLayer;
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
    /// # let scrape = http::Request::new(());
    /// # let page = metrics.exporter().oneshot(scrape).await?.into_body().collect().await?.to_bytes();
    /// # let page = String::from_utf8(page.to_vec())?;
    /// // What `metrics.exporter()` answers has these lines among others:
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
    pub fn grpc<L, K, V>(labels: L) -> Self
    where
        L: IntoIterator<Item = (K, V)>,
        K: Into<String>,
        V: Into<String>,
    {
        match Self::grpc_builder().build(labels) {
            Ok(layer) => layer,
            Err(error) => panic!("`MetricsLayer::grpc`: {error}"),
        }
    }

    /// As [`grpc`](Self::grpc), with settings of your own. To leave out its labels, begin with
    /// [`protocol_builder`](Self::protocol_builder)`(Grpc::new())`.
    pub fn grpc_builder() -> MetricsLayerBuilder<Grpc> {
        MetricsLayerBuilder::new(Grpc::new())
            .messages_total(true)
            .label(Label::grpc_service())
            .label(Label::grpc_method())
            .label(Label::grpc_code())
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
    pub fn unary<L, K, V>(labels: L) -> Self
    where
        L: IntoIterator<Item = (K, V)>,
        K: Into<String>,
        V: Into<String>,
    {
        match Self::unary_builder().build(labels) {
            Ok(layer) => layer,
            Err(error) => panic!("`MetricsLayer::unary`: {error}"),
        }
    }

    /// As [`unary`](Self::unary), with settings of your own.
    pub fn unary_builder() -> MetricsLayerBuilder<Unary> {
        MetricsLayerBuilder::new(Unary::default())
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
    pub fn streaming<L, K, V>(labels: L) -> Self
    where
        L: IntoIterator<Item = (K, V)>,
        K: Into<String>,
        V: Into<String>,
    {
        match Self::streaming_builder().build(labels) {
            Ok(layer) => layer,
            Err(error) => panic!("`MetricsLayer::streaming`: {error}"),
        }
    }

    /// As [`streaming`](Self::streaming), with settings of your own.
    pub fn streaming_builder() -> MetricsLayerBuilder<Streaming> {
        MetricsLayerBuilder::new(Streaming::default())
    }
}

impl<P> MetricsLayer<P> {
    /// A layer for traffic that is measured by a [protocol](crate::protocol) of your own.
    pub fn protocol_builder(protocol: P) -> MetricsLayerBuilder<P> {
        MetricsLayerBuilder::new(protocol)
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
        let lease = self.endpoint.families.lease();
        Metrics::new(inner, lease, self.protocol.clone())
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
        Self::new([("", ""); 0])
    }
}

impl<P> fmt::Debug for MetricsLayer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsLayer")
            .field("labels", &self.endpoint.labels)
            .finish_non_exhaustive()
    }
}
