use super::{Answer, Protocol};
use crate::body::{self, Due, RequestBody, ResponseBody};
use crate::call::Call;
use crate::classify::{Classify, ErrorType, Head, HttpStatus, Phase};
use crate::labels::RequestHead;
use crate::panic_guard::PanicGuard;
use crate::upgrade::UpgradedCall;
use http::header::CONTENT_LENGTH;
use http::{Extensions, HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body;

/// HTTP, 1 and 2: requests and responses with bodies.
///
/// `C` [classifies](crate::classify) answers and errors.
#[derive(Clone, Copy, Debug)]
pub struct Http<C = HttpStatus> {
    classifier: C,
}

// What is kept of the request, in the call's note.
const OTHER: u32 = 0;
const HEAD: u32 = 1;
const CONNECT: u32 = 2;

// === impl Http ===

impl<C> Http<C> {
    pub(crate) fn new(classifier: C) -> Self {
        Self { classifier }
    }

    pub(super) fn classifier(&self) -> &C {
        &self.classifier
    }
}

impl Default for Http {
    /// By [`HttpStatus`]. A builder takes other classifiers, to show their error types.
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
    fn open(&self, call: &mut Call, request: Request<B>) -> Self::Request {
        call.set_note(match *request.method() {
            Method::HEAD => HEAD,
            Method::CONNECT => CONNECT,
            _ => OTHER,
        });
        let told = (!request.body().is_end_stream()).then(|| {
            let owed = body::owed(request.body(), content_length(request.headers()));
            (call.handle(), owed)
        });
        request.map(|body| RequestBody::new(body, told))
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

    const HEARS_OF_PANICS: bool = true;

    #[inline]
    fn answer(&self, mut call: Call, mut response: Response<B>) -> Self::Response {
        let due = due(call.note(), response.status());
        let head = Head::of(&response);
        let mut guard = PanicGuard::new(&mut call);
        guard.response_head(&head);
        let fault = match head.extensions.get::<ErrorType>() {
            Some(said_by_handler) => Some((*said_by_handler).into()),
            None => self.classifier.head(&head),
        };
        if let Some(fault) = fault {
            guard.fault(fault);
        }
        let content_length = content_length(head.headers);
        let (promised, over) = body::meet(&mut guard, response.body(), due, content_length);
        let classifier = self.classifier.clone();
        let is_upgraded = matches!(due, Due::Upgrade | Due::Tunnel);
        let is_client = is_upgraded && classifier.is_client();
        guard.disarm();
        let call = match is_upgraded {
            true => upgraded(call, over, response.extensions_mut(), is_client),
            false => (!over).then_some(call),
        };
        response.map(|body| ResponseBody::new(body, call, promised, classifier))
    }

    #[cold]
    fn failed(&self, mut call: Call, error: &E) {
        let mut guard = PanicGuard::new(&mut call);
        guard.fault(self.classifier.error(error, Phase::Generate));
        guard.disarm();
    }
}

/// The connection becomes something else: whoever follows that takes the call over.
///
/// A server's handler says so in the response. A client's program can only say so when it has that.
#[cold]
fn upgraded(
    mut call: Call,
    over: bool,
    extensions: &mut Extensions,
    is_client: bool,
) -> Option<Call> {
    call.upgraded();
    if is_client {
        let follower: &mut UpgradedCall = extensions.get_or_insert_default();
        follower.take_over(call);
        return None;
    }
    match extensions.get::<UpgradedCall>() {
        Some(follower) => {
            follower.take_over(call);
            None
        }
        None => (!over).then_some(call),
    }
}

/// RFC 9110, sections 6.4.1, 9.3.6 and 15.4.5: what has no content by its method or status.
#[inline]
fn due(request: u32, status: StatusCode) -> Due {
    match (request, status) {
        (_, StatusCode::SWITCHING_PROTOCOLS) => Due::Upgrade,
        (CONNECT, status) if status.is_success() => Due::Tunnel,
        (_, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) | (HEAD, _) => Due::Nothing,
        _ => Due::Body,
    }
}

/// The length that the headers promise, if they do so legibly.
#[inline]
fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
