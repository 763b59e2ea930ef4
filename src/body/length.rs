//! What the head of a message says about the length of its body, and what the body makes of it.

use super::progress::Progress;
use crate::call::Call;
use crate::classify::{Classify, ErrorType, Phase};
use bytes::Buf;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, Version};
use http_body::Body;

/// The progress of an HTTP response: its bytes, and how many it promises.
#[derive(Clone, Copy, Debug, Default)]
pub struct Length {
    taken: u64,
    promised: Option<u64>,
}

/// What a request, or a response, says about the body of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// There is a body, and its length counts.
    Body,
    /// There is no body, whatever the headers say. Servers don't send one that is there.
    Nothing,
    /// The connection is upgraded to another protocol, which this crate doesn't see.
    Upgrade,
    /// The connection may become a tunnel. A caller that asked for one may also read the body as the tunnel.
    Tunnel,
}

// === impl Length ===

impl Length {
    /// Begins a response. Its `Content-Length` wins over the body's own size hint, because the caller sees the header.
    #[inline]
    pub(crate) fn begin<B: Body>(call: &mut Call, headers: &HeaderMap, body: &B, due: Due) -> Self {
        let promised = match due {
            Due::Body => content_length(headers).or_else(|| body.size_hint().exact()),
            Due::Nothing | Due::Tunnel | Due::Upgrade => {
                call.owes_nothing();
                None
            }
        };
        let length = Self { taken: 0, promised };
        length.weigh(call);
        length
    }

    /// Compares the taken bytes with the promised length.
    ///
    /// Reaching the length doesn't end the call, because an error may follow. It makes the call complete on drop, because
    /// the caller may stop here, as hyper does over HTTP/1. Exceeding the length is a failure.
    #[inline]
    fn weigh(self, call: &mut Call) {
        match self.promised {
            Some(promised) if self.taken == promised => call.owes_nothing(),
            Some(promised) if self.taken > promised => call.fault(ErrorType::PUBLISH_FINAL),
            _ => {}
        }
    }
}

impl Progress for Length {
    #[inline]
    fn data(&mut self, call: &mut Call, _: &impl Classify, data: &impl Buf) -> u64 {
        self.taken += data.remaining() as u64;
        self.weigh(call);
        0
    }

    #[inline]
    fn end(&mut self, call: &mut Call, _: &impl Classify) {
        if self.promised.is_some_and(|promised| self.taken != promised) {
            call.fault(ErrorType::PUBLISH_FINAL);
        }
        call.owes_nothing();
    }

    fn phase(&self) -> Phase {
        match self.promised {
            _ if self.taken == 0 => Phase::ResponseStream,
            Some(promised) if self.taken >= promised => Phase::PublishFinal,
            _ => Phase::PublishResponse,
        }
    }
}

// === impl Due ===

impl Due {
    /// What the method of a request says (RFC 9110, sections 9.3.2 and 9.3.6).
    #[inline]
    pub(crate) fn asked(method: &Method) -> Self {
        match *method {
            Method::HEAD => Self::Nothing,
            Method::CONNECT => Self::Tunnel,
            _ => Self::Body,
        }
    }

    /// What the response to such a request says (RFC 9110, sections 6.4.1, 9.3.6 and 15.4.5).
    #[inline]
    pub(crate) fn answered(self, status: StatusCode) -> Self {
        match (self, status) {
            (_, StatusCode::SWITCHING_PROTOCOLS) => Self::Upgrade,
            (Self::Tunnel, status) if status.is_success() => Self::Tunnel,
            (_, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) => Self::Nothing,
            (Self::Nothing, _) => Self::Nothing,
            _ => Self::Body,
        }
    }
}

/// Returns how many bytes a request body owes. If it ends earlier without an error, the client went away.
///
/// This is the `Content-Length` over HTTP/2 and later, because HTTP/2 reports no error for some resets. It is 0 over HTTP/1,
/// which reports an error for every body that breaks off. A shorter body there comes from a middleware that replaced it. It is
/// also 0 for a client, whose own connection refuses a body that is too short.
///
/// A middleware may replace the body over HTTP/2 too, while the header still describes the original. The body's own exact size
/// hint therefore lowers the value. It never raises it: a body that reaches its `Content-Length`, or has none, is whole.
///
/// For responses the header wins, because the response must keep that promise: see [`Length::begin`].
#[inline]
pub(crate) fn owed<B: Body>(head: &Parts, body: &B, is_client: bool) -> u64 {
    if is_client || head.version <= Version::HTTP_11 {
        return 0;
    }
    let Some(length) = content_length(&head.headers) else {
        return 0;
    };
    let own = body.size_hint().exact();
    own.map_or(length, |own| own.min(length))
}

/// Returns the `Content-Length`, if it is present and valid.
#[inline]
fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
