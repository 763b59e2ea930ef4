use super::failed::failed;
use super::{Answer, Protocol};
use crate::body::{Due, Length, Progress, RequestBody, ResponseBody, owed};
use crate::call::Call;
use crate::classify::{Classify, ErrorType, Head, HttpStatus};
use crate::labels::RequestHead;
use crate::panic_guard::PanicGuard;
use crate::upgrade::UpgradedCall;
use http::{Extensions, Request, Response};
use http_body::Body;

/// The protocol of HTTP services, for HTTP/1 and HTTP/2.
///
/// `C` [classifies](crate::classify) responses and errors.
#[derive(Clone, Copy, Debug)]
pub struct Http<C = HttpStatus> {
    classifier: C,
    is_client: bool,
    /// What the call's request says about the body of its response.
    asked: Due,
}

// === impl Http ===

impl<C> Http<C> {
    /// Returns a server's protocol, unless the classifier is a client's.
    pub(crate) fn new(classifier: C) -> Self
    where
        C: Classify,
    {
        let is_client = classifier.is_client();
        Self {
            classifier,
            is_client,
            asked: Due::Body,
        }
    }

    /// Replaces the classifier. A client's protocol stays a client's.
    pub(crate) fn classified_by<D: Classify>(self, classifier: D) -> Http<D> {
        let http = Http::new(classifier);
        Http {
            is_client: self.is_client || http.is_client,
            ..http
        }
    }

    pub(super) fn classifier(&self) -> &C {
        &self.classifier
    }

    /// Opens a call whose request consists of `content`.
    #[inline]
    pub(super) fn open_with<B: Body, T>(
        &mut self,
        call: &mut Call,
        request: Request<B>,
        content: T,
    ) -> Request<RequestBody<B, T>> {
        // Split first: a borrow of the whole request would cause another copy. (23 instructions, 4 ns a call.)
        let (parts, body) = request.into_parts();
        self.asked = Due::asked(&parts.method);
        let is_client = self.is_client;
        let told = (!body.is_end_stream()).then(|| {
            let owed = owed(&parts, &body, is_client);
            (call.handle(), owed)
        });
        Request::from_parts(parts, RequestBody::new(body, told, is_client, content))
    }

    /// Answers a call. `progress` may say more of the response than its length.
    #[inline]
    pub(super) fn answer_with<B: Body, P>(
        &self,
        mut call: Call,
        response: Response<B>,
        progress: impl FnOnce(Length) -> P,
    ) -> Response<ResponseBody<B, C, P>>
    where
        C: Classify,
    {
        let (mut parts, body) = response.into_parts();
        let due = self.asked.answered(parts.status);
        let head = Head::of_parts(&parts);
        let mut guard = PanicGuard::new(&mut call);
        guard.response_head(&head);
        let fault = match head.extensions.get::<ErrorType>() {
            Some(set_by_handler) => Some((*set_by_handler).into()),
            None => self.classifier.head(&head),
        };
        if let Some(fault) = fault {
            guard.fault(fault);
        }
        let classifier = self.classifier.clone();
        let mut length = Length::begin(&mut guard, head.headers, &body, due);
        let is_over = due == Due::Upgrade || length.is_over(&mut guard, &classifier, &body);
        let is_upgraded = matches!(due, Due::Upgrade | Due::Tunnel);
        guard.disarm();
        let call = match is_upgraded {
            true => upgraded(call, is_over, &mut parts.extensions, self.is_client),
            false => (!is_over).then_some(call),
        };
        Response::from_parts(
            parts,
            ResponseBody::new(body, call, progress(length), classifier),
        )
    }
}

impl Default for Http {
    /// Classifies by [`HttpStatus`]. Use a builder for other classifiers.
    fn default() -> Self {
        Self::new(HttpStatus)
    }
}

impl<B, C> Protocol<Request<B>> for Http<C>
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
    fn open(&mut self, call: &mut Call, request: Request<B>) -> Self::Request {
        self.open_with(call, request, ())
    }
}

impl<B, E, C> Answer<Response<B>, E> for Http<C>
where
    B: Body,
    B::Error: 'static,
    E: 'static,
    C: Classify,
{
    type Response = Response<ResponseBody<B, C>>;

    const REPORTS_PANICS: bool = true;

    #[inline]
    fn answer(&self, call: Call, response: Response<B>) -> Self::Response {
        self.answer_with(call, response, |length| length)
    }

    #[cold]
    fn failed(&self, call: Call, error: &E) {
        failed(call, &self.classifier, error);
    }
}

/// Gives the call to the [`UpgradedCall`] in the response, or returns it if there is none.
///
/// A server's handler inserts one if it follows the connection. For a client the layer inserts it,
/// because the program can only take a guard once it has the response.
#[cold]
fn upgraded(
    mut call: Call,
    is_over: bool,
    extensions: &mut Extensions,
    is_client: bool,
) -> Option<Call> {
    call.upgraded();
    if is_client {
        extensions.get_or_insert_default::<UpgradedCall>();
    }
    match extensions.get::<UpgradedCall>() {
        Some(upgraded) => {
            upgraded.take_over(call);
            None
        }
        None => (!is_over).then_some(call),
    }
}
