//! Bearer tokens and basic authentication, for tower-http's `ValidateRequestHeaderLayer`.
//!
//! The layer's own checks `bearer` and `basic` are deprecated. They compare with `==`, so the time of a response tells how
//! much of a guess is right. This check uses the crate `subtle`, and takes the same time for all guesses of one length.

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::fmt;
use std::sync::Arc;
use subtle::{Choice, ConstantTimeEq};
use tower::BoxError;
use tower_http::validate_request::ValidateRequest;

/// The accepted credentials. A client needs one of them.
#[derive(Clone, Default)]
pub(crate) struct Credentials {
    accepted: Arc<Vec<Accepted>>,
}

#[derive(Clone)]
struct Accepted {
    scheme: &'static str,
    /// The text that must follow the scheme.
    secret: String,
    challenge: HeaderValue,
}

// === impl Credentials ===

impl Credentials {
    /// Accepts this token ([RFC 6750]).
    ///
    /// [RFC 6750]: https://www.rfc-editor.org/rfc/rfc6750#section-2.1
    pub(crate) fn bearer(self, token: &str) -> Result<Self, BoxError> {
        // The error doesn't name the token, because it ends up in a log.
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("the bearer token has to be of visible ASCII characters".into());
        }
        let challenge = HeaderValue::from_static("Bearer");
        Ok(self.or("bearer", token.to_owned(), challenge))
    }

    /// Accepts this user and password ([RFC 7617]).
    ///
    /// [RFC 7617]: https://www.rfc-editor.org/rfc/rfc7617#section-2
    pub(crate) fn basic(self, user: &str, password: &str) -> Result<Self, BoxError> {
        if user.is_empty() || user.contains(':') || password.is_empty() {
            return Err("basic authentication needs a user without a colon, and a password".into());
        }
        let secret = BASE64_STANDARD.encode(format!("{user}:{password}"));
        let challenge = HeaderValue::from_static(r#"Basic realm="metrics", charset="UTF-8""#);
        Ok(self.or("basic", secret, challenge))
    }

    /// Whether there are none. Then no client is accepted.
    pub(crate) fn is_empty(&self) -> bool {
        self.accepted.is_empty()
    }

    fn or(mut self, scheme: &'static str, secret: String, challenge: HeaderValue) -> Self {
        Arc::make_mut(&mut self.accepted).push(Accepted {
            scheme,
            secret,
            challenge,
        });
        self
    }

    fn let_in(&self, headers: &HeaderMap) -> bool {
        let Some((scheme, secret)) = authorization(headers) else {
            return false;
        };
        let of_scheme = |one: &&Accepted| scheme.eq_ignore_ascii_case(one.scheme.as_bytes());
        let accepted = self.accepted.iter().filter(of_scheme);
        // Compares all of them, whichever one matches.
        accepted
            .fold(Choice::from(0), |so_far, one| {
                so_far | one.secret.as_bytes().ct_eq(secret)
            })
            .into()
    }

    /// Returns a response that only names the accepted schemes.
    fn refusal(&self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        for Accepted { challenge, .. } in &*self.accepted {
            let headers = response.headers_mut();
            headers.append(WWW_AUTHENTICATE, challenge.clone());
        }
        response
    }
}

impl<B> ValidateRequest<B> for Credentials {
    type ResponseBody = Body;

    fn validate(&mut self, request: &mut Request<B>) -> Result<(), Response<Body>> {
        if self.let_in(request.headers()) {
            Ok(())
        } else {
            Err(self.refusal())
        }
    }
}

impl fmt::Debug for Credentials {
    /// Without the secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schemes = self.accepted.iter().map(|one| one.scheme);
        f.debug_list().entries(schemes).finish()
    }
}

/// Returns the scheme and the text that follows it. Returns `None` if the header is repeated.
fn authorization(headers: &HeaderMap) -> Option<(&[u8], &[u8])> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let value = value.as_bytes();
    let space = value.iter().position(|byte| *byte == b' ')?;
    let (scheme, secret) = value.split_at(space);
    Some((scheme, secret.trim_ascii_start()))
}
