use super::http::{self, RequestHead};
use super::{OTHER, grpc};
use crate::classify::{GrpcCode, Head};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// A label whose value a request brings: where it comes from, what it is called, and which metrics carry it.
///
/// See the [module](crate::labels) for which label goes where. Layers that share a registry and have the same constant labels
/// must have the same labels of a request; where one is made of a closure, clone it for the other
/// layers, for closures can't be compared.
#[derive(Clone)]
#[must_use = "a label is given to a layer by `MetricsLayerBuilder::label`"]
pub struct Label {
    name: Cow<'static, str>,
    source: Source,
    absent: Cow<'static, str>,
    at_begin: bool,
    on_duration: bool,
}

type FromRequest = dyn for<'a> Fn(&RequestHead<'a>) -> Option<&'a str> + Send + Sync;
type FromResponse = dyn for<'a> Fn(&Head<'a>) -> Option<&'a str> + Send + Sync;

#[derive(Clone)]
enum Source {
    Method,
    Scheme,
    Version,
    GrpcService,
    GrpcMethod,
    Request(Arc<FromRequest>),
    Status,
    StatusClass,
    VersionOfResponse,
    Response(Arc<FromResponse>),
    Code(&'static [&'static str]),
    ErrorType,
}

/// When a label's value is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    Begin,
    Head,
    End,
}

/// What the label says where there is no value, unless told otherwise.
const ABSENT: &str = "none";

// === impl Label ===

impl Label {
    /// `method`: the request's, `_OTHER` if it is not one of HTTP's
    /// ([RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-9), and `PATCH`).
    pub fn method() -> Self {
        Self::new("method", Source::Method)
    }

    /// `scheme`: `http`, `https`, `ws` or `wss` as the request's target says, which over HTTP/2 it always does and over
    /// HTTP/1 only to proxies. Others are `_OTHER`. A server that knows says
    /// what is meant where there is none: `Label::scheme().absent("https")`.
    pub fn scheme() -> Self {
        Self::new("scheme", Source::Scheme)
    }

    /// `version`: that of HTTP, as `1.1` or `2`.
    pub fn version() -> Self {
        Self::new("version", Source::Version)
    }

    /// `route`: the template that the router has matched, as `/items/{id}`; never the path itself, which
    /// can be anything. `find` reads it from where the router has left it:
    ///
    /// ```
    /// use tower_openmetrics::labels::Label;
    ///
    /// /// What our router puts into the extensions of requests.
    /// #[derive(Clone)]
    /// struct Matched(&'static str);
    ///
    /// let route = Label::route(|head| Some(head.extensions.get::<Matched>()?.0));
    /// ```
    ///
    /// The layer must be inside the router to find it there: it is asked when a call begins. What axum's router uses for
    /// itself (`/{*__private__axum_fallback}`) is no template, and counts as none. For axum there is a
    /// [section](super#routes-of-axum) on what it finds where.
    pub fn route<F>(find: F) -> Self
    where
        F: for<'a> Fn(&RequestHead<'a>) -> Option<&'a str> + Send + Sync + 'static,
    {
        Self::from_request("route", move |head| http::public_route(find(head)?))
    }

    /// A label of your own, read from the request when a call begins.
    ///
    /// Values are borrowed, from the request or for ever, so that reading one costs no allocation. Keep them few.
    pub fn from_request<F>(name: impl Into<Cow<'static, str>>, read: F) -> Self
    where
        F: for<'a> Fn(&RequestHead<'a>) -> Option<&'a str> + Send + Sync + 'static,
    {
        Self::new(name, Source::Request(Arc::new(read)))
    }

    /// `status`: the response's, as `404`. `request_duration_seconds` does not carry it
    /// unless [told to](Self::on_duration).
    pub fn status() -> Self {
        Self::new("status", Source::Status).on_duration(false)
    }

    /// `status`: the class of the response's, as `4xx`; `_OTHER` from 600 on.
    /// `request_duration_seconds` does not carry it unless [told to](Self::on_duration).
    pub fn status_class() -> Self {
        Self::new("status", Source::StatusClass).on_duration(false)
    }

    /// A label of your own, read from the head of the response. A handler gives it by a header,
    /// or by a value that it puts into the extensions:
    ///
    /// ```
    /// use http::Response;
    /// use tower_openmetrics::labels::Label;
    ///
    /// #[derive(Clone)]
    /// enum Cache { Hit, Miss }
    ///
    /// let cache = Label::from_response("cache", |head| {
    ///     Some(match head.extensions.get()? {
    ///         Cache::Hit => "hit",
    ///         Cache::Miss => "miss",
    ///     })
    /// });
    ///
    /// // In the handler:
    /// let mut response = Response::new("body");
    /// response.extensions_mut().insert(Cache::Hit);
    /// ```
    pub fn from_response<F>(name: impl Into<Cow<'static, str>>, read: F) -> Self
    where
        F: for<'a> Fn(&Head<'a>) -> Option<&'a str> + Send + Sync + 'static,
    {
        Self::new(name, Source::Response(Arc::new(read)))
    }

    /// `code`: what the protocol itself calls the outcome, as gRPC does. The protocol gives its place among
    /// these names by [`Call::set_code`](crate::Call::set_code); one past the last of them is `_OTHER`.
    /// `request_duration_seconds` does not carry it unless [told to](Self::on_duration).
    pub fn code(names: &'static [&'static str]) -> Self {
        Self::new("code", Source::Code(names)).on_duration(false)
    }

    /// `grpc_service`: the service, with its package, that a gRPC request's path names, as
    /// `shop.Cart` of `/shop.Cart/Add`; none for other requests. [`MetricsLayer::grpc`](crate::MetricsLayer::grpc) has it.
    ///
    /// What is no name in Protocol Buffers is `_OTHER`. A server gets those paths that its clients
    /// send, and beyond the budget of label sets they are `_OTHER` too.
    pub fn grpc_service() -> Self {
        Self::new("grpc_service", Source::GrpcService)
    }

    /// `grpc_method`: the method that a gRPC request's path names, as `Add` of `/shop.Cart/Add`; in all else
    /// as [`grpc_service`](Self::grpc_service).
    pub fn grpc_method() -> Self {
        Self::new("grpc_method", Source::GrpcMethod)
    }

    /// `grpc_code`: the status of a gRPC call by its name, as `NOT_FOUND`, or `none` where none came. Codes that gRPC
    /// does not know are `UNKNOWN`. `request_duration_seconds` does not carry it unless [told
    /// to](Self::on_duration). [`MetricsLayer::grpc`](crate::MetricsLayer::grpc) has it.
    pub fn grpc_code() -> Self {
        Self::code(&GrpcCode::NAMES).named("grpc_code")
    }

    /// `version`: that of HTTP in which the response came.
    pub(crate) fn version_of_response() -> Self {
        Self::new("version", Source::VersionOfResponse)
    }

    /// `error_type` on what is recorded at the end, as OpenTelemetry has it; the
    /// label is there without a value if all went well.
    pub(crate) fn error_type() -> Self {
        Self::new("error_type", Source::ErrorType).absent("")
    }

    fn new(name: impl Into<Cow<'static, str>>, source: Source) -> Self {
        Self {
            name: name.into(),
            source,
            absent: ABSENT.into(),
            at_begin: true,
            on_duration: true,
        }
    }

    /// Another name for the label.
    pub fn named(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = name.into();
        self
    }

    /// What the label says where there is no value. Defaults to `none`.
    pub fn absent(mut self, value: impl Into<Cow<'static, str>>) -> Self {
        self.absent = value.into();
        self
    }

    /// Whether `concurrent_requests`, `request_bytes_total` and `request_messages_total` carry it, which only a
    /// label of the request can be on. Defaults to true.
    pub fn at_begin(mut self, on: bool) -> Self {
        self.at_begin = on;
        self
    }

    /// Whether `request_duration_seconds` and `stream_duration_seconds` carry it: every value there is as many series as
    /// there are buckets. Defaults to true, but for the status and the code.
    pub fn on_duration(mut self, on: bool) -> Self {
        self.on_duration = on;
        self
    }

    /// What the label says where there is no value, unless that was said already.
    pub(crate) fn absent_by_default(self, value: &'static str) -> Self {
        match &*self.absent {
            ABSENT => self.absent(value),
            _ => self,
        }
    }

    /// Whether it is `other`, but for which metrics carry it and what it says where there is no value.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.name == other.name && self.source == other.source
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn absent_value(&self) -> &str {
        &self.absent
    }

    pub(super) fn is_at_begin(&self) -> bool {
        self.at_begin
    }

    pub(super) fn is_on_duration(&self) -> bool {
        self.on_duration
    }

    /// Whether the crate gives it its name.
    pub(super) fn is_error_type(&self) -> bool {
        matches!(self.source, Source::ErrorType)
    }

    pub(super) fn moment(&self) -> Moment {
        match self.source {
            Source::Method
            | Source::Scheme
            | Source::Version
            | Source::GrpcService
            | Source::GrpcMethod
            | Source::Request(_) => Moment::Begin,
            Source::Status
            | Source::StatusClass
            | Source::VersionOfResponse
            | Source::Response(_) => Moment::Head,
            Source::Code(_) | Source::ErrorType => Moment::End,
        }
    }

    #[inline]
    pub(super) fn of_request<'a>(&'a self, head: &RequestHead<'a>) -> &'a str {
        let value = match &self.source {
            Source::Method => Some(http::method(head.method)),
            Source::Scheme => http::scheme(head.uri),
            Source::Version => Some(http::version(head.version)),
            Source::GrpcService => grpc::service(head),
            Source::GrpcMethod => grpc::method(head),
            Source::Request(read) => read(head),
            _ => None,
        };
        value.unwrap_or(&self.absent)
    }

    #[inline]
    pub(super) fn of_response<'a>(&'a self, head: &'a Head<'_>) -> &'a str {
        let value = match &self.source {
            Source::Status => Some(head.status.as_str()),
            Source::StatusClass => Some(http::status_class(head.status)),
            Source::VersionOfResponse => Some(http::version(head.version)),
            Source::Response(read) => read(head),
            _ => None,
        };
        value.unwrap_or(&self.absent)
    }

    #[inline]
    pub(super) fn of_end<'a>(&'a self, code: Option<u8>, error: Option<&'a str>) -> &'a str {
        let value = match &self.source {
            Source::Code(names) => {
                code.map(|code| names.get(usize::from(code)).copied().unwrap_or(OTHER))
            }
            Source::ErrorType => error,
            _ => None,
        };
        value.unwrap_or(&self.absent)
    }

    /// What a declared series has where nothing was said of this label: what is expected.
    pub(super) fn expected(&self) -> &str {
        match self.source {
            Source::Status => "200",
            Source::StatusClass => "2xx",
            Source::Code(names) => names.first().unwrap_or(&OTHER),
            _ => &self.absent,
        }
    }
}

impl PartialEq for Label {
    /// Closures are the same if they are clones of one.
    fn eq(&self, other: &Self) -> bool {
        let Self {
            name,
            source,
            absent,
            at_begin,
            on_duration,
        } = self;
        *name == other.name
            && *source == other.source
            && *absent == other.absent
            && *at_begin == other.at_begin
            && *on_duration == other.on_duration
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Label")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

// === impl Source ===

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Request(a), Self::Request(b)) => Arc::ptr_eq(a, b),
            (Self::Response(a), Self::Response(b)) => Arc::ptr_eq(a, b),
            (Self::Code(a), Self::Code(b)) => a == b,
            (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
        }
    }
}
