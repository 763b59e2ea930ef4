use super::{Answer, Http, Protocol};
use crate::call::Call;
use crate::classify::{Classify, ErrorType, GrpcCode, Head, HttpStatus};
use crate::grpc::{Messages, Progress, RequestBody, ResponseBody};
use crate::labels::RequestHead;
use crate::labels::grpc::{Kind, is_grpc};
use crate::panic_guard::PanicGuard;
use http::{Request, Response};
use http_body::Body;

/// gRPC and gRPC-Web: requests and responses whose bodies hold messages, and end with a
/// status.
///
/// No codec is involved: the layer goes around any server or client of HTTP bodies, tonic's among
/// them. `C` [classifies](crate::classify) codes and errors; by default that is the table at [`GrpcCode`].
///
/// - The status is taken from the trailers, from the headers of a response that has nothing else, or from
///   the last frame of gRPC-Web. A call is complete only with it: a caller that goes before has cancelled.
///   A response that ends without one has failed, as `publish_final` if it had data and as
///   [`generate`](ErrorType::GENERATE) if not.
/// - A response of another HTTP status than 200, without a status of its own, has
///   [the one that clients make of it](GrpcCode::from_http).
/// - What is not gRPC is measured as [`Http`]: requests of another method than POST, as the preflights of
///   browsers and probes are, or of another content type, unless the response has a `grpc-status`. Of a request
///   without a content type the response's decides, so that a server may speak REST as well. Its path names no service, for
///   where a call begins nothing is known of the response: the labels
///   `grpc_service` and `grpc_method` are absent from all that is recorded of it.
///
/// A layer for a client, made by [`grpc_client`](crate::MetricsLayer::grpc_client), differs in what a request means
/// whose body fails. The caller of a client is still there, and gets an error: `invalid_message`, as of a message that can't be encoded, or
/// `timeout`. A server's client has gone, unless the error [says otherwise](crate::classify#errors-that-are-known): gRPC leaves nothing else to a body.
///
/// [`MetricsLayer::grpc`](crate::MetricsLayer::grpc) gives its metrics the labels
/// [`grpc_service`](crate::labels::Label::grpc_service), [`grpc_method`](crate::labels::Label::grpc_method) and
/// [`grpc_code`](crate::labels::Label::grpc_code), and counts messages;
/// [`protocol_builder`](crate::MetricsLayer::protocol_builder)`(Grpc::new())` begins without either.
///
/// # Around tonic
///
#[cfg_attr(feature = "tonic", doc = "```")]
#[cfg_attr(not(feature = "tonic"), doc = "```ignore")]
/// use tonic::body::Body;
/// use tonic::transport::{Channel, Error, Server};
/// use tower::ServiceBuilder;
/// use tower_openmetrics::MetricsLayer;
///
/// let metrics = MetricsLayer::grpc([("component", "cart")]);
/// let mut server = Server::builder().layer(metrics.clone());
/// // server.add_service(CartServer::new(cart)).serve(address).await?;
///
/// async fn connect() -> Result<(), Error> {
///     let channel = Channel::from_static("http://cart.internal:50051").connect().await?;
///     let metrics = MetricsLayer::grpc_client([("component", "cart_client")]);
///     let channel = ServiceBuilder::new()
///         .layer(metrics.clone().boxed::<Body>())
///         .service(channel);
///     // let cart = CartClient::new(channel);
///     Ok(())
/// }
/// ```
///
/// The channel takes tonic's own body alone, which `boxed` gives it, and so does what is written for that body between the layer and a
/// server's services. It needs the feature `tonic`. Without that a [`map_request`](crate::MetricsLayer::grpc_client) does the same for requests.
///
/// A layer *inside* of what watches deadlines sees calls that are dropped when they pass, and so cancellations.
/// tonic's own server is such a place: it heeds `grpc-timeout` outside of all layers. Its channel does so inside of them, and
/// fails with an error of its own, as it does if it can't connect; no code has come then. With the feature `tonic` these are
/// `timeout` and, on a client's layer, `connect`. What others mean is for a
/// [closure](crate::classify::by_error) to say. `examples/tonic.rs` has all of it.
#[derive(Clone, Copy, Debug)]
pub struct Grpc<C = HttpStatus> {
    http: Http<C>,
    is_client: bool,
}

// What is kept of a request that is gRPC's, or may be; those of [`Http`] are lower.
const GRPC: u32 = 0x10;
const SILENT: u32 = 0x20;

// === impl Grpc ===

impl Grpc {
    /// A server's, with the table at [`GrpcCode`].
    pub fn new() -> Self {
        Self {
            http: Http::default(),
            is_client: false,
        }
    }
}

impl Default for Grpc {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> Grpc<C> {
    /// A client's, if it was one or the classifier is.
    pub(crate) fn classified_by<D: Classify>(self, classifier: D) -> Grpc<D> {
        Grpc {
            is_client: self.is_client || classifier.is_client(),
            http: Http::new(classifier),
        }
    }
}

impl<B, C> Protocol<Request<B>> for Grpc<C>
where
    B: Body,
    B::Error: 'static,
    C: Classify,
{
    type Request = Request<RequestBody<B>>;

    #[inline]
    fn head<'a>(&self, request: &'a Request<B>) -> Option<RequestHead<'a>> {
        Some(RequestHead::of(request))
    }

    #[inline]
    fn open(&self, call: &mut Call, request: Request<B>) -> Self::Request {
        let kind = Kind::of(request.method(), request.headers());
        let messages = match kind {
            // What has no prefix of a message counts as none, so it does no harm to look.
            Kind::Grpc | Kind::Silent => Messages::of(request.headers()),
            Kind::Other => Messages::none(),
        };
        let request = self.http.open(call, request);
        match kind {
            Kind::Grpc => call.set_note(GRPC),
            Kind::Silent => call.set_note(SILENT),
            Kind::Other => {}
        }
        request.map(|body| RequestBody::new(body, messages, self.is_client))
    }
}

impl<B, E, C> Answer<Response<B>, E> for Grpc<C>
where
    B: Body,
    B::Error: 'static,
    E: 'static,
    C: Classify,
{
    type Response = Response<ResponseBody<B, C>>;

    const HEARS_OF_PANICS: bool = true;

    #[inline]
    fn answer(&self, mut call: Call, response: Response<B>) -> Self::Response {
        let code = GrpcCode::from_headers(response.headers());
        let is_grpc = match call.note() {
            GRPC => true,
            SILENT => code.is_some() || is_grpc(response.headers()),
            _ => code.is_some(),
        };
        if !is_grpc {
            let response = Answer::<_, E>::answer(&self.http, call, response);
            return response.map(ResponseBody::http);
        }
        let head = Head::of(&response);
        let mut guard = PanicGuard::new(&mut call);
        guard.response_head(&head);
        if let Some(said_by_handler) = head.extensions.get::<ErrorType>() {
            guard.fault(*said_by_handler);
        }
        let messages = Messages::of(head.headers);
        let mut progress = Progress::new(messages, self.http.classifier().clone());
        let code = code.or_else(|| GrpcCode::from_http(head.status));
        progress.status(&mut guard, code);
        let over = progress.meet(&mut guard, response.body());
        guard.disarm();
        let call = (!over).then_some(call);
        response.map(|body| ResponseBody::grpc(body, call, progress))
    }

    #[cold]
    fn failed(&self, call: Call, error: &E) {
        Answer::<Response<B>, E>::failed(&self.http, call, error);
    }
}
