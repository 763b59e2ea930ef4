use super::{Answer, Protocol};
use crate::call::Call;
use crate::handle::CallHandle;
use crate::labels::RequestHead;
use std::any::Any;

/// A protocol that also gives the service a handle to its call. Made by
/// [`MetricsLayer::pass_handle`](crate::MetricsLayer::pass_handle).
///
/// `F` stores the handle in the request: in the extensions of an HTTP request, or in a field. With the
/// handle, the service can report a failure after it has returned a status or an `Ok`:
///
/// ```
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
/// use tower_openmetrics::{CallHandle, ErrorType, MetricsLayer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layer = MetricsLayer::new([("endpoint", "a")]).pass_handle(
///     |request: &mut Request<String>, call: CallHandle| {
///         request.extensions_mut().insert(call);
///     },
/// );
///
/// let service = ServiceBuilder::new().layer(layer).service(service_fn(async |request: Request<_>| {
///     if let Some(call) = request.extensions().get::<CallHandle>() {
///         call.fault(ErrorType::DESERIALIZATION);
///     }
///     Ok::<_, std::convert::Infallible>(Response::new(String::from("sorry")))
/// }));
/// service.oneshot(Request::new(String::from("?"))).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct PassHandle<P, F> {
    protocol: P,
    pass: F,
}

impl<P, F> PassHandle<P, F> {
    pub(crate) fn new(protocol: P, pass: F) -> Self {
        Self { protocol, pass }
    }
}

impl<Req, P, F> Protocol<Req> for PassHandle<P, F>
where
    P: Protocol<Req>,
    F: Fn(&mut Req, CallHandle) + Clone,
{
    type Request = P::Request;

    #[inline]
    fn head<'a>(&self, request: &'a Req) -> Option<RequestHead<'a>> {
        self.protocol.head(request)
    }

    #[inline]
    fn message<'a>(&self, request: &'a Req) -> Option<&'a dyn Any> {
        self.protocol.message(request)
    }

    fn open(&mut self, call: &mut Call, mut request: Req) -> P::Request {
        (self.pass)(&mut request, call.handle());
        self.protocol.open(call, request)
    }
}

impl<Res, E, P, F> Answer<Res, E> for PassHandle<P, F>
where
    P: Answer<Res, E>,
{
    type Response = P::Response;

    const REPORTS_PANICS: bool = P::REPORTS_PANICS;

    fn answer(&self, call: Call, response: Res) -> P::Response {
        self.protocol.answer(call, response)
    }

    fn failed(&self, call: Call, error: &E) {
        self.protocol.failed(call, error);
    }
}
