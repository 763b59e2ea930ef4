use super::failed::failed;
use super::{Answer, Http, Protocol};
use crate::body::Progress;
use crate::call::Call;
use crate::classify::{Classify, ErrorType, GrpcCode, Head, HttpStatus};
use crate::grpc::{Messages, RequestBody, ResponseBody, Status, StatusOrLength};
use crate::labels::RequestHead;
use crate::labels::grpc::{Kind, is_grpc};
use crate::panic_guard::PanicGuard;
use http::{Request, Response};
use http_body::Body;

/// The protocol of gRPC and gRPC-Web services.
///
/// It works with any server or client that uses HTTP bodies, such as tonic's, and needs no codec. `C`
/// [classifies](crate::classify) codes and errors. By default, the table at [`GrpcCode`] does.
///
/// - The status comes from the trailers, from the headers of a response without a body, or from the last
///   frame of gRPC-Web. The call is complete once it has arrived. If the caller leaves earlier, the call is cancelled.
///   A response that ends without a status has failed: as `publish_final` after data, else as
///   [`generate`](ErrorType::GENERATE).
/// - A response without a status whose HTTP status is not 200 gets
///   [the status that clients derive from it](GrpcCode::from_http).
/// - Other traffic is measured as [`Http`]: requests whose method is not POST, such as preflights and probes,
///   and requests of another content type, unless the response has a `grpc-status`. For a request without a
///   content type, that of the response decides, so that a server may offer REST as well. Such a call never has the labels
///   `grpc_service` and `grpc_method`, because its protocol is unknown when it begins.
///
/// A client's layer, made by [`grpc_client`](crate::MetricsLayer::grpc_client), treats a failing request body differently. The
/// caller is still there and gets an error, so the call fails: as `timeout`, or as `invalid_message`, such as for a message that
/// can't be encoded. At a server, the call is cancelled unless the error [is known](crate::classify#errors-that-are-known).
///
/// [`MetricsLayer::grpc`](crate::MetricsLayer::grpc) adds the labels
/// [`grpc_service`](crate::labels::Label::grpc_service), [`grpc_method`](crate::labels::Label::grpc_method) and
/// [`grpc_code`](crate::labels::Label::grpc_code), and counts messages.
/// [`protocol_builder`](crate::MetricsLayer::protocol_builder)`(Grpc::new())` does neither.
///
/// # With tonic
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
/// tonic's channel only takes tonic's own body, and so do many layers for its server. `boxed` converts to that body with the feature
/// `tonic`. Without the feature, use [`map_request`](crate::MetricsLayer::grpc_client) to convert requests.
///
/// A layer *inside* of the one that enforces deadlines sees dropped calls, which count as cancelled. tonic's server is such
/// a case: it enforces `grpc-timeout` outside of all layers. tonic's channel enforces it inside of them. It then fails
/// with its own error and without a code, as it does if it can't connect. With the feature `tonic` these errors are
/// `timeout` and, on a client's layer, `connect`. Use a [closure](crate::classify::by_error) to classify other errors.
/// `examples/tonic.rs` shows all of this.
#[derive(Clone, Copy, Debug)]
pub struct Grpc<C = HttpStatus> {
    http: Http<C>,
    /// What the call asks for.
    kind: Kind,
}

// === impl Grpc ===

impl Grpc {
    /// Returns a server's protocol, with the table at [`GrpcCode`].
    pub fn new() -> Self {
        Self {
            http: Http::default(),
            kind: Kind::Other,
        }
    }
}

impl Default for Grpc {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> Grpc<C> {
    /// Replaces the classifier. A client's protocol stays a client's.
    pub(crate) fn classified_by<D: Classify>(self, classifier: D) -> Grpc<D> {
        Grpc {
            http: self.http.classified_by(classifier),
            kind: self.kind,
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
        self.http.head(request)
    }

    #[inline]
    fn open(&mut self, call: &mut Call, request: Request<B>) -> Self::Request {
        self.kind = Kind::of(request.method(), request.headers());
        let messages = match self.kind {
            // The counter finds no messages in a body that is not gRPC.
            Kind::Grpc | Kind::Silent => Messages::of(request.headers()),
            Kind::Other => Messages::none(),
        };
        self.http.open_with(call, request, messages)
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

    const REPORTS_PANICS: bool = true;

    #[inline]
    fn answer(&self, mut call: Call, response: Response<B>) -> Self::Response {
        let code = GrpcCode::from_headers(response.headers());
        let is_grpc = match self.kind {
            Kind::Grpc => true,
            Kind::Silent => code.is_some() || is_grpc(response.headers()),
            Kind::Other => code.is_some(),
        };
        if !is_grpc {
            return self
                .http
                .answer_with(call, response, StatusOrLength::Length);
        }
        let head = Head::of(&response);
        let mut guard = PanicGuard::new(&mut call);
        guard.response_head(&head);
        if let Some(set_by_handler) = head.extensions.get::<ErrorType>() {
            guard.fault(*set_by_handler);
        }
        let classifier = self.http.classifier().clone();
        let mut status = Status::new(Messages::of(head.headers));
        let code = code.or_else(|| GrpcCode::from_http(head.status));
        status.set(&mut guard, &classifier, code);
        let is_over = status.is_over(&mut guard, &classifier, response.body());
        guard.disarm();
        let call = (!is_over).then_some(call);
        response
            .map(|body| ResponseBody::new(body, call, StatusOrLength::Status(status), classifier))
    }

    #[cold]
    fn failed(&self, call: Call, error: &E) {
        failed(call, self.http.classifier(), error);
    }
}
