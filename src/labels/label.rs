use super::http::{self, RequestHead};
use super::source::{FromMessage, Source};
use super::values::{KeptValue, Value};
use super::{ERROR_TYPE, OTHER, grpc};
use crate::classify::{GrpcCode, Head};
use crate::function::Function;
use std::any::Any;
use std::borrow::Cow;
use std::sync::Arc;

/// A label whose value differs from call to call: its name, where its value comes from, and which metrics carry it.
///
/// The [module](crate::labels) says which metric carries which label. Layers with the same constant labels on one registry
/// must have equal labels here. Captured values of closures can't be compared: if a label is made of a closure that captures
/// something, clone the label for the other layers.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a label is given to a layer by `MetricsLayerBuilder::label`"]
pub struct Label {
    name: Cow<'static, str>,
    pub(super) source: Source,
    /// `None` if it was not set.
    absent: Option<Cow<'static, str>>,
    pub(super) on_begin: bool,
    pub(super) on_duration: bool,
    pub(super) on_errors: bool,
    max_len: usize,
    /// Whether values that are not declared are hidden.
    only_declared: bool,
    /// Declared values, sorted.
    declared: Vec<KeptValue>,
    /// Whether clients can make up values that only the server's answers prove to exist.
    pub(super) has_to_be_proven: bool,
}

/// The default of [`Label::absent`].
const ABSENT: &str = "none";

/// The default of [`Label::max_len`].
const MAX_LEN: usize = 128;

// === impl Label ===

impl Label {
    /// `method`: the request's method, or `_OTHER` if HTTP doesn't define it
    /// ([RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-9), `PATCH` and `QUERY`).
    pub fn method() -> Self {
        Self::new("method", Source::Method)
    }

    /// `scheme`: the scheme of the request's target: `http`, `https`, `ws`, `wss`, or `_OTHER`.
    ///
    /// Over HTTP/2 every target has a scheme. Over HTTP/1 only targets for proxies do. A server that knows its scheme gives it
    /// as the default: `Label::scheme().absent("https")`.
    pub fn scheme() -> Self {
        Self::new("scheme", Source::Scheme)
    }

    /// `version`: the HTTP version of the request, such as `1.1` or `2`.
    pub fn version() -> Self {
        Self::new("version", Source::Version)
    }

    /// `route`: the template that the router has matched, such as `/items/{id}`.
    ///
    /// It must not be the path, which can be anything. `find` reads the template from where the router has left it:
    ///
    /// ```
    /// use tower_openmetrics::labels::Label;
    ///
    /// /// The router puts this into the extensions of requests.
    /// #[derive(Clone)]
    /// struct Matched(&'static str);
    ///
    /// let route = Label::route(|head| Some(head.extensions.get::<Matched>()?.0));
    /// ```
    ///
    /// `find` is called when a call begins, so the layer must be inside the router. The templates that axum's router uses for
    /// itself (`/{*__private__axum_fallback}`) count as none. [Routes of axum](super#routes-of-axum) says what a layer sees
    /// where.
    pub fn route<F>(find: F) -> Self
    where
        F: for<'a> Fn(&RequestHead<'a>) -> Option<&'a str> + Send + Sync + 'static,
    {
        let label = Self::from_request("route", move |head| http::public_route(find(head)?));
        label.max_len(usize::MAX)
    }

    /// A label of your own, read from the request when a call begins.
    ///
    /// Values are borrowed from the request or `'static`, so reading one costs no allocation. Keep the number of values small.
    pub fn from_request<F>(name: impl Into<Cow<'static, str>>, read: F) -> Self
    where
        F: for<'a> Fn(&RequestHead<'a>) -> Option<&'a str> + Send + Sync + 'static,
    {
        Self::new(name, Source::Request(Function::new::<F>(Arc::new(read))))
    }

    /// A label of your own, read from the message that a call begins with: the request of a
    /// [work handler](crate::MetricsLayer::streaming) or of another service [without heads](crate::MetricsLayer::unary).
    ///
    /// The value is computed, or borrowed from the message, which costs no allocation. `T` is exactly the type that the service
    /// is called with, for example an `Arc`. Messages of another type have [no value](Self::absent). Keep the number of values
    /// small: they count towards the [cardinality limit](crate::MetricsLayerBuilder::cardinality_limit).
    ///
    /// ```
    /// use tower_openmetrics::labels::Label;
    /// use tower_openmetrics::{Message, MetricsLayer};
    ///
    /// struct Chat {
    ///     model: String,
    ///     prompt: String,
    ///     tenant: Option<u32>,
    /// }
    ///
    /// impl Message for Chat {
    ///     fn size(&self) -> u64 {
    ///         self.prompt.size()
    ///     }
    /// }
    ///
    /// # fn main() -> Result<(), tower_openmetrics::Error> {
    /// let layer = MetricsLayer::streaming_builder()
    ///     .label(Label::from_message("model", |chat: &Chat| Some(chat.model.as_str().into())))
    ///     .label(Label::from_message("tenant", |chat: &Chat| Some(chat.tenant?.to_string().into())))
    ///     .filter_messages(|chat: &Chat| chat.model != "probe")
    ///     .build([("endpoint", "generate")])?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// If the request is a stream of messages, `T` is the stream: no message has been read when the call begins.
    pub fn from_message<T, F>(name: impl Into<Cow<'static, str>>, read: F) -> Self
    where
        T: 'static,
        F: for<'a> Fn(&'a T) -> Option<Cow<'a, str>> + Send + Sync + 'static,
    {
        let read = borrowing(move |message| read(message.downcast_ref()?));
        Self::new(name, Source::Message(FromMessage::new::<F>(Arc::new(read))))
    }

    /// `status`: the status of the response, such as `404`.
    ///
    /// `request_duration_seconds` and `errors_total` don't carry it by default: see [`on_duration`](Self::on_duration) and
    /// [`on_errors`](Self::on_errors).
    pub fn status() -> Self {
        Self::of_status("status", Source::Status)
    }

    /// `status`: the class of the response's status, such as `4xx`, or `_OTHER` from 600 on. Otherwise like
    /// [`status`](Self::status).
    pub fn status_class() -> Self {
        Self::of_status("status", Source::StatusClass)
    }

    /// A label of your own, read from the head of the response. A handler sets it by a header, or by a value in the
    /// extensions:
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
        Self::new(name, Source::Response(Function::new::<F>(Arc::new(read))))
    }

    /// `code`: the protocol's own name for the outcome, such as gRPC's status.
    ///
    /// The protocol sets it by [`Call::set_code`](crate::Call::set_code), as a [`Code`](super::Code) of the same `names`. Only
    /// the first 256 names can be codes. It is `none` if the protocol sets none. `request_duration_seconds` and `errors_total`
    /// don't carry it by default: see [`on_duration`](Self::on_duration) and [`on_errors`](Self::on_errors).
    pub fn code(names: &'static [&'static str]) -> Self {
        Self::of_status("code", Source::Code(names))
    }

    /// `grpc_service`: the service in the path of a gRPC request, with its package: `shop.Cart` in `/shop.Cart/Add`. It is
    /// `none` unless the content type says gRPC. [`MetricsLayer::grpc`](crate::MetricsLayer::grpc) has this label by default.
    ///
    /// A name that is not valid in Protocol Buffers is `_OTHER`. Clients can send any name. When there is no room for more label
    /// sets, those that the server never answered, or only with `UNIMPLEMENTED`, make room: their series leave the page, and
    /// their numbers move to `_OTHER`. [`only_declared`](Self::only_declared) never shows such names.
    pub fn grpc_service() -> Self {
        Self::of_grpc("grpc_service", grpc::service)
    }

    /// `grpc_method`: the method in the path of a gRPC request: `Add` in `/shop.Cart/Add`. Otherwise like
    /// [`grpc_service`](Self::grpc_service).
    pub fn grpc_method() -> Self {
        Self::of_grpc("grpc_method", grpc::method)
    }

    /// `grpc_code`: the name of a gRPC call's status, such as `NOT_FOUND`. It is `none` if no status came, and `UNKNOWN` for
    /// a code that gRPC doesn't define. [`MetricsLayer::grpc`](crate::MetricsLayer::grpc) has this label by default. Otherwise
    /// like [`code`](Self::code).
    pub fn grpc_code() -> Self {
        Self::code(&GrpcCode::NAMES).named("grpc_code")
    }

    /// `rpc_method`: the service and the method in the path of a gRPC request: `shop.Cart/Add`. It is `_OTHER` if one of the
    /// names is not valid. Otherwise like [`grpc_service`](Self::grpc_service).
    ///
    /// OpenTelemetry's conventions for [RPC](crate::open_telemetry::rpc) have this label, and layers that follow them have it by
    /// default.
    pub fn rpc_method() -> Self {
        // As long as the two names can be, and the slash.
        Self::of_grpc("rpc_method", grpc::full_method).max_len(2 * MAX_LEN + 1)
    }

    /// `version`: the HTTP version of the response.
    pub(crate) fn version_of_response() -> Self {
        Self::from_response("version", |head| Some(http::version(head.version)))
    }

    /// `error_type` on metrics that are recorded at the end, by OpenTelemetry's conventions. It is empty if the call didn't
    /// fail.
    pub(crate) fn error_type() -> Self {
        Self::new(ERROR_TYPE, Source::ErrorType).absent("")
    }

    fn new(name: impl Into<Cow<'static, str>>, source: Source) -> Self {
        Self {
            name: name.into(),
            source,
            absent: None,
            on_begin: true,
            on_duration: true,
            on_errors: true,
            max_len: MAX_LEN,
            only_declared: false,
            declared: Vec::new(),
            has_to_be_proven: false,
        }
    }

    /// A label that is read from the path of a gRPC request.
    fn of_grpc<F>(name: &'static str, read: F) -> Self
    where
        F: for<'a> Fn(&RequestHead<'a>) -> Option<&'a str> + Send + Sync + 'static,
    {
        Self {
            has_to_be_proven: true,
            ..Self::from_request(name, read)
        }
    }

    /// A label of the outcome: on counters, but not on histograms or `errors_total`.
    fn of_status(name: &'static str, source: Source) -> Self {
        Self::new(name, source).on_duration(false).on_errors(false)
    }

    /// The name of the label. Defaults to the name of its constructor.
    pub fn named(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = name.into();
        self
    }

    /// The label's value for a call that has none. Defaults to `none`.
    pub fn absent(mut self, value: impl Into<Cow<'static, str>>) -> Self {
        self.absent = Some(value.into());
        self
    }

    /// Whether `concurrent_requests`, `request_bytes_total` and `request_messages_total` carry it. They never carry labels
    /// of the response. Defaults to true.
    pub fn on_begin(mut self, on: bool) -> Self {
        self.on_begin = on;
        self
    }

    /// Whether `request_duration_seconds` and `stream_duration_seconds` carry it. Every value adds as many series as there
    /// are buckets. Defaults to false for the status and the code, and to true for all others.
    pub fn on_duration(mut self, on: bool) -> Self {
        self.on_duration = on;
        self
    }

    /// Whether `errors_total` carries it. Defaults to false for the status and the code, and to true for all others.
    ///
    /// Each error type stands at 0 as soon as the labels of `errors_total` are known, so that the first error is an increase.
    /// Labels of the request are known when a call begins. With a label that is known later, a series may begin above 0.
    pub fn on_errors(mut self, on: bool) -> Self {
        self.on_errors = on;
        self
    }

    /// The maximum length of a value in bytes. A longer value is `_OTHER`, unless it is
    /// [declared](crate::MetricsLayerBuilder::declare). Defaults to 128. [`route`](Self::route) has no maximum by default,
    /// because the program chose the templates.
    pub fn max_len(mut self, bytes: usize) -> Self {
        self.max_len = bytes;
        self
    }

    /// Whether to show only [declared](crate::MetricsLayerBuilder::declare) values. All others are `_OTHER`. Defaults to false.
    ///
    /// A value may be declared with any label set. The value of [`absent`](Self::absent) needs no declaration. Clients then
    /// can't use up the cardinality limit with made-up values.
    ///
    /// ```
    /// use tower_openmetrics::MetricsLayer;
    /// use tower_openmetrics::labels::Label;
    ///
    /// # fn main() -> Result<(), tower_openmetrics::Error> {
    /// let layer = MetricsLayer::grpc_builder()
    ///     // These replace the builder's default labels of the same names.
    ///     .label(Label::grpc_service().only_declared(true))
    ///     .label(Label::grpc_method().only_declared(true))
    ///     .declare([("grpc_service", "shop.Cart"), ("grpc_method", "Add")])
    ///     .declare([("grpc_service", "shop.Cart"), ("grpc_method", "Remove")])
    ///     .build([("component", "cart")])?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn only_declared(mut self, on: bool) -> Self {
        self.only_declared = on;
        self
    }

    /// Sets what was not set, so that labels that show the same compare equal.
    pub(super) fn settled(self) -> Self {
        self.absent_by_default(ABSENT)
    }

    /// Sets `absent`, unless it was set before.
    pub(crate) fn absent_by_default(mut self, value: &'static str) -> Self {
        self.absent.get_or_insert(value.into());
        self
    }

    /// Whether the name and the source are those of `other`.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.name == other.name && self.source == other.source
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Adds a declared value.
    pub(super) fn declare(&mut self, value: KeptValue) {
        if let Err(at) = self.position(value.borrow()) {
            self.declared.insert(at, value);
        }
    }

    /// Whether the value is `_OTHER` on the page, because it is too long or not declared.
    #[inline]
    pub(super) fn hides(&self, value: Value<'_>) -> bool {
        let is_too_long = matches!(value, Value::Text(text) if text.len() > self.max_len);
        (is_too_long || self.only_declared) && self.is_undeclared(value)
    }

    /// Not inlined, so that labels that show all values stay short.
    #[inline(never)]
    fn is_undeclared(&self, value: Value<'_>) -> bool {
        self.position(value).is_err() && value != self.absent_value()
    }

    /// Finds a declared value, or where it would be.
    fn position(&self, value: Value<'_>) -> Result<usize, usize> {
        let order = |declared: &KeptValue| declared.borrow().cmp(&value);
        self.declared.binary_search_by(order)
    }

    /// Whether it is `error_type`, a name that is reserved for the crate.
    pub(super) fn is_error_type(&self) -> bool {
        matches!(self.source, Source::ErrorType)
    }

    /// Whether it is read from the message that a call begins with.
    pub(crate) fn is_of_message(&self) -> bool {
        matches!(self.source, Source::Message(_))
    }

    #[inline]
    pub(super) fn request_value<'a>(&'a self, head: &RequestHead<'a>) -> Value<'a> {
        let text = match &self.source {
            Source::Method => return Value::Code(http::method(head.method)),
            Source::Scheme => http::scheme(head.uri),
            Source::Version => Some(http::version(head.version)),
            Source::Request(read) => (**read)(head),
            _ => None,
        };
        self.text_or_absent(text)
    }

    /// Reads the value from the message. Returns `None` for labels that are not read from messages.
    pub(super) fn message_text<'a>(&self, message: &'a dyn Any) -> Option<Cow<'a, str>> {
        match &self.source {
            Source::Message(read) => (**read)(message),
            _ => None,
        }
    }

    /// Returns the value for a call that begins with a message, from which `text` was read.
    pub(super) fn message_value<'a>(
        &'a self,
        head: Option<&RequestHead<'a>>,
        text: Option<&'a str>,
    ) -> Value<'a> {
        match head {
            Some(head) if !self.is_of_message() => self.request_value(head),
            _ => self.text_or_absent(text),
        }
    }

    #[inline]
    pub(super) fn response_value<'a>(&'a self, head: &'a Head<'_>) -> Value<'a> {
        let text = match &self.source {
            Source::Status => return Value::Code(head.status.as_u16()),
            Source::StatusClass => return Value::Code(http::status_class(head.status)),
            Source::Response(read) => (**read)(head),
            _ => None,
        };
        self.text_or_absent(text)
    }

    #[inline]
    pub(super) fn end_value<'a>(&'a self, code: Option<u8>, error: Option<&'a str>) -> Value<'a> {
        match (&self.source, code) {
            (Source::Code(_), Some(code)) => Value::Code(code.into()),
            (Source::ErrorType, _) => self.text_or_absent(error),
            _ => self.absent_value(),
        }
    }

    pub(super) fn absent_value(&self) -> Value<'_> {
        self.text_or_absent(None)
    }

    #[inline]
    fn text_or_absent<'a>(&'a self, text: Option<&'a str>) -> Value<'a> {
        Value::Text(text.unwrap_or_else(|| self.absent_text()))
    }

    fn absent_text(&self) -> &str {
        self.absent.as_deref().unwrap_or(ABSENT)
    }

    /// Whether calls can have the value that the page shows as `shown`.
    pub(super) fn can_be(&self, shown: &str) -> bool {
        !self.source.is_coded()
            || matches!(self.source.value_of(shown), KeptValue::Code(_))
            || [self.absent_text(), OTHER].contains(&shown)
    }

    /// Returns the value in a declared label set that leaves this label out.
    pub(super) fn expected(&self) -> &str {
        match self.source {
            Source::Status => "200",
            Source::StatusClass => "2xx",
            Source::Code(names) => names.first().unwrap_or(&OTHER),
            _ => self.absent_text(),
        }
    }
}

/// Tells the compiler that `read` may return text borrowed from the message.
fn borrowing<F>(read: F) -> F
where
    F: for<'a> Fn(&'a dyn Any) -> Option<Cow<'a, str>>,
{
    read
}
