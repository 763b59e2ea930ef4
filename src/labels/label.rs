use super::http::{self, RequestHead};
use super::source::{FromMessage, Moment, Source};
use super::values::{DeclaredValues, KeptValue, Value};
use super::{OTHER, grpc};
use crate::classify::{GrpcCode, Head};
use crate::function::Function;
use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// A label whose value a request brings: where it comes from, what it is called, and which metrics carry it.
///
/// See the [module](crate::labels) for which label goes where. Layers that share a registry and have the same constant labels
/// must have the same labels of a request; where one is made of a closure that captures something, clone it for the other
/// layers, for what closures capture can't be compared.
#[derive(Clone, PartialEq)]
#[must_use = "a label is given to a layer by `MetricsLayerBuilder::label`"]
pub struct Label {
    name: Cow<'static, str>,
    source: Source,
    absent: Cow<'static, str>,
    on_begin: bool,
    on_duration: bool,
    on_errors: bool,
    max_len: usize,
    /// The only values that are shown; all, if there is none.
    declared: Option<DeclaredValues>,
}

/// What the label says where there is no value, unless told otherwise.
const ABSENT: &str = "none";

/// How long a value may be that a client may have chosen, unless told otherwise.
const MAX_LEN: usize = 128;

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
        let label = Self::from_request("route", move |head| http::public_route(find(head)?));
        label.max_len(usize::MAX)
    }

    /// A label of your own, read from the request when a call begins.
    ///
    /// Values are borrowed, from the request or for ever, so that reading one costs no allocation. Keep them few.
    pub fn from_request<F>(name: impl Into<Cow<'static, str>>, read: F) -> Self
    where
        F: for<'a> Fn(&RequestHead<'a>) -> Option<&'a str> + Send + Sync + 'static,
    {
        Self::new(name, Source::Request(Function::new::<F>(Arc::new(read))))
    }

    /// A label of your own, read from the message that a call begins with: the request of a
    /// [work handler](crate::MetricsLayer::streaming) or of another service [without heads](crate::MetricsLayer::unary).
    ///
    /// The value is borrowed from the message, which costs no allocation, or computed. `T` is the type that the service is
    /// called with, be it an `Arc`; messages of another type have [no value](Self::absent). Keep the values few: they count towards the layer's
    /// [cardinality limit](crate::MetricsLayerBuilder::cardinality_limit) as all others do.
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
    /// For a request that is a stream of messages, `T` is the stream, for none of its messages has been read when the call
    /// begins.
    pub fn from_message<T, F>(name: impl Into<Cow<'static, str>>, read: F) -> Self
    where
        T: 'static,
        F: for<'a> Fn(&'a T) -> Option<Cow<'a, str>> + Send + Sync + 'static,
    {
        let read = any(move |message| read(message.downcast_ref()?));
        Self::new(name, Source::Message(FromMessage::new::<F>(Arc::new(read))))
    }

    /// `status`: the response's, as `404`. Neither `request_duration_seconds` nor `errors_total` carries it unless told
    /// to, by [`on_duration`](Self::on_duration) and [`on_errors`](Self::on_errors).
    pub fn status() -> Self {
        Self::of_status("status", Source::Status)
    }

    /// `status`: the class of the response's, as `4xx`; `_OTHER` from 600 on. In all else as
    /// [`status`](Self::status).
    pub fn status_class() -> Self {
        Self::of_status("status", Source::StatusClass)
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
        Self::new(name, Source::Response(Function::new::<F>(Arc::new(read))))
    }

    /// `code`: what the protocol itself calls the outcome, as gRPC does. The protocol gives its place among
    /// these names by [`Call::set_code`](crate::Call::set_code); one past the last of them is `_OTHER`.
    /// Neither `request_duration_seconds` nor `errors_total` carries it unless told
    /// to, by [`on_duration`](Self::on_duration) and [`on_errors`](Self::on_errors).
    pub fn code(names: &'static [&'static str]) -> Self {
        Self::of_status("code", Source::Code(names))
    }

    /// `grpc_service`: the service, with its package, that a gRPC request's path names, as
    /// `shop.Cart` of `/shop.Cart/Add`; none for requests that don't say by their content type that they are gRPC's. [`MetricsLayer::grpc`](crate::MetricsLayer::grpc) has it.
    ///
    /// What is no name in Protocol Buffers is `_OTHER`. A server gets those paths that its clients
    /// send. What it only ever answered with `UNIMPLEMENTED`, or not at all before the client left, makes room for others when there is none
    /// left: its series leave the page, and their numbers go to `_OTHER`. [`only_declared`](Self::only_declared) keeps them away from the beginning.
    pub fn grpc_service() -> Self {
        Self::new("grpc_service", Source::GrpcService)
    }

    /// `grpc_method`: the method that a gRPC request's path names, as `Add` of `/shop.Cart/Add`; in all else
    /// as [`grpc_service`](Self::grpc_service).
    pub fn grpc_method() -> Self {
        Self::new("grpc_method", Source::GrpcMethod)
    }

    /// `grpc_code`: the status of a gRPC call by its name, as `NOT_FOUND`, or `none` where none came. Codes that gRPC
    /// does not know are `UNKNOWN`. [`MetricsLayer::grpc`](crate::MetricsLayer::grpc) has it. In all else as
    /// [`code`](Self::code).
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
            on_begin: true,
            on_duration: true,
            on_errors: true,
            max_len: MAX_LEN,
            declared: None,
        }
    }

    /// What came of the call: on what is counted, and neither on what is timed nor on errors.
    fn of_status(name: &'static str, source: Source) -> Self {
        Self::new(name, source).on_duration(false).on_errors(false)
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
    pub fn on_begin(mut self, on: bool) -> Self {
        self.on_begin = on;
        self
    }

    /// Whether `request_duration_seconds` and `stream_duration_seconds` carry it: every value there is as many series as
    /// there are buckets. Defaults to true, but for the status and the code.
    pub fn on_duration(mut self, on: bool) -> Self {
        self.on_duration = on;
        self
    }

    /// Whether `errors_total` carries it. Defaults to true, but for the status and the code.
    ///
    /// Each error type stands at 0 from the moment at which the labels of `errors_total` are known, so that the first error
    /// is an increase. With labels of the request alone that is when a call begins; a label that is known later may
    /// bring a series out of nowhere.
    pub fn on_errors(mut self, on: bool) -> Self {
        self.on_errors = on;
        self
    }

    /// The longest value in bytes; what is longer is `_OTHER`, unless it was
    /// [declared](crate::MetricsLayerBuilder::declare). Defaults to 128, for values that a client may
    /// choose; a [route](Self::route) has no bound, for templates are the program's own.
    pub fn max_len(mut self, bytes: usize) -> Self {
        self.max_len = bytes;
        self
    }

    /// Whether only values that were [declared](crate::MetricsLayerBuilder::declare) are shown, with any label set, and all others
    /// are `_OTHER`. [Absence](Self::absent) needs no declaration. Defaults to false.
    ///
    /// So nobody can make up values, nor fill the room for others with them.
    ///
    /// ```
    /// use tower_openmetrics::MetricsLayer;
    /// use tower_openmetrics::labels::Label;
    ///
    /// # fn main() -> Result<(), tower_openmetrics::Error> {
    /// let layer = MetricsLayer::grpc_builder()
    ///     // In place of those that the builder has by itself.
    ///     .label(Label::grpc_service().only_declared(true))
    ///     .label(Label::grpc_method().only_declared(true))
    ///     .declare([("grpc_service", "shop.Cart"), ("grpc_method", "Add")])
    ///     .declare([("grpc_service", "shop.Cart"), ("grpc_method", "Remove")])
    ///     .build([("component", "cart")])?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn only_declared(mut self, on: bool) -> Self {
        self.declared = on.then(DeclaredValues::default);
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

    /// Whether a client can name what the server does not have.
    pub(super) fn has_to_be_proven(&self) -> bool {
        matches!(self.source, Source::GrpcService | Source::GrpcMethod)
    }

    /// One more value that is shown.
    pub(super) fn declare(&mut self, shown: &str) {
        let value = self.value_of(shown);
        if let Some(declared) = &mut self.declared {
            declared.insert(value);
        }
    }

    #[inline]
    pub(super) fn is_undeclared(&self, value: Value<'_>) -> bool {
        let declared = self.declared.as_ref();
        declared.is_some_and(|declared| !declared.has(value) && value != self.absent_value())
    }

    pub(super) fn is_on_begin(&self) -> bool {
        self.on_begin
    }

    pub(super) fn is_on_duration(&self) -> bool {
        self.on_duration
    }

    pub(super) fn is_on_errors(&self) -> bool {
        self.on_errors
    }

    /// Whether the crate gives it its name.
    pub(super) fn is_error_type(&self) -> bool {
        matches!(self.source, Source::ErrorType)
    }

    /// Whether it is read from the message that a call begins with.
    pub(crate) fn is_of_message(&self) -> bool {
        matches!(self.source, Source::Message(_))
    }

    pub(super) fn moment(&self) -> Moment {
        self.source.moment()
    }

    #[inline]
    pub(super) fn of_request<'a>(&'a self, head: &RequestHead<'a>) -> Value<'a> {
        let text = match &self.source {
            Source::Method => return Value::Code(http::method(head.method)),
            Source::Scheme => http::scheme(head.uri),
            Source::Version => Some(http::version(head.version)),
            Source::GrpcService => grpc::service(head),
            Source::GrpcMethod => grpc::method(head),
            Source::Request(read) => (**read)(head),
            _ => None,
        };
        self.text_or_absent(text)
    }

    /// What it reads from the message, if it does from one.
    pub(super) fn text_of<'a>(&self, message: &'a dyn Any) -> Option<Cow<'a, str>> {
        match &self.source {
            Source::Message(read) => (**read)(message),
            _ => None,
        }
    }

    /// The value of a call that begins with a message, from which `text` was read.
    pub(super) fn of_message<'a>(
        &'a self,
        head: Option<&RequestHead<'a>>,
        text: Option<&'a str>,
    ) -> Value<'a> {
        match head {
            Some(head) if !self.is_of_message() => self.of_request(head),
            _ => self.text_or_absent(text),
        }
    }

    #[inline]
    pub(super) fn of_response<'a>(&'a self, head: &'a Head<'_>) -> Value<'a> {
        let text = match &self.source {
            Source::Status => return Value::Code(head.status.as_u16()),
            Source::StatusClass => return Value::Code(http::status_class(head.status)),
            Source::VersionOfResponse => Some(http::version(head.version)),
            Source::Response(read) => (**read)(head),
            _ => None,
        };
        self.text_or_absent(text)
    }

    #[inline]
    pub(super) fn of_end<'a>(&'a self, code: Option<u8>, error: Option<&'a str>) -> Value<'a> {
        match (&self.source, code) {
            (Source::Code(_), Some(code)) => Value::Code(code.into()),
            (Source::ErrorType, _) => self.text_or_absent(error),
            _ => self.absent_value(),
        }
    }

    pub(super) fn absent_value(&self) -> Value<'_> {
        Value::Text(&self.absent)
    }

    #[inline]
    fn text_or_absent<'a>(&'a self, text: Option<&'a str>) -> Value<'a> {
        Value::Text(text.unwrap_or(&self.absent))
    }

    /// Whether the value is longer than a client may choose one.
    #[inline]
    pub(super) fn is_too_long(&self, value: Value<'_>) -> bool {
        matches!(value, Value::Text(text) if text.len() > self.max_len)
    }

    /// The value as it is shown.
    pub(super) fn shown(&self, value: &KeptValue) -> Box<str> {
        self.source.shown(value)
    }

    /// The value that is shown like this: as calls bring it.
    pub(super) fn value_of(&self, shown: &str) -> KeptValue {
        self.source.value_of(shown)
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

/// Tells the compiler that what `read` returns is borrowed from the message.
fn any<F>(read: F) -> F
where
    F: for<'a> Fn(&'a dyn Any) -> Option<Cow<'a, str>>,
{
    read
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Label")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
