//! Labels whose values HTTP defines.

use super::OTHER;
use crate::classify::Head;
use http::header::CONTENT_TYPE;
use http::{Extensions, HeaderMap, Method, Request, StatusCode, Uri, Version};

/// The head of an HTTP request, from which request labels are read.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target, as the service gets it.
    pub uri: &'a Uri,
    /// The version of HTTP.
    pub version: Version,
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// The extensions, with what outer layers and routers have left.
    pub extensions: &'a Extensions,
}

/// Marks a response that stays open by intent, in its extensions. See [`is_long_lived`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LongLived;

impl<'a> RequestHead<'a> {
    /// Returns the head of `request`.
    #[inline]
    pub fn of<B>(request: &'a Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            version: request.version(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }
}

/// Whether a response stays open by intent: an event stream (`text/event-stream`), an upgrade (101), or a
/// response with [`LongLived`] in its extensions.
///
/// For [`stream_duration_seconds`](crate::MetricsLayerBuilder::stream_duration_seconds). The time of an upgraded connection is
/// known only if a guard [follows](crate::upgrade) it.
pub fn is_long_lived(head: &Head<'_>) -> bool {
    let is_event_stream = || {
        let value = head.headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let media_type = value.split(';').next()?.trim();
        Some(media_type.eq_ignore_ascii_case("text/event-stream"))
    };
    head.status == StatusCode::SWITCHING_PROTOCOLS
        || head.extensions.get::<LongLived>().is_some()
        || is_event_stream().unwrap_or(false)
}

/// The methods that OpenTelemetry's conventions for HTTP know: those of RFC 9110, section 9, PATCH of RFC 5789, and QUERY.
/// The last one stands for all others.
pub(super) const METHODS: [&str; 11] = [
    "GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE", "QUERY", OTHER,
];

/// Returns the index of the method in [`METHODS`].
#[inline]
pub(super) fn method(method: &Method) -> u16 {
    match *method {
        Method::GET => 0,
        Method::POST => 1,
        Method::HEAD => 2,
        Method::PUT => 3,
        Method::DELETE => 4,
        Method::PATCH => 5,
        Method::OPTIONS => 6,
        Method::CONNECT => 7,
        Method::TRACE => 8,
        Method::QUERY => 9,
        _ => 10,
    }
}

/// OpenTelemetry's `network.protocol.version`.
pub(super) fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_11 => "1.1",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => OTHER,
    }
}

pub(super) fn scheme(uri: &Uri) -> Option<&'static str> {
    const KNOWN: [&str; 4] = ["http", "https", "ws", "wss"];
    let scheme = uri.scheme_str()?;
    let known = KNOWN
        .iter()
        .find(|known| scheme.eq_ignore_ascii_case(known));
    Some(known.copied().unwrap_or(OTHER))
}

/// The classes of status codes. The last one stands for codes that have none.
pub(super) const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", OTHER];

/// Returns the index of the status' class in [`CLASSES`].
#[inline]
pub(super) fn status_class(status: StatusCode) -> u16 {
    // No status is below 100.
    (status.as_u16() / 100 - 1).min(5)
}

/// Returns `template` without the parts that axum's router adds for itself. On its main branch it adds the path to a
/// fallback, which is a service or a router with its own templates.
pub(super) fn public_route(template: &str) -> Option<&str> {
    let public = match template.strip_prefix("/{*__private__axum_fallback}") {
        Some("") => return None,
        Some(below) => below,
        None => template,
    };
    (!public.contains("{*__private__axum")).then_some(public)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_known_or_other() {
        for name in [
            "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY",
        ] {
            assert_eq!(METHODS[usize::from(method(&name.parse().unwrap()))], name);
        }
        for name in ["get", "PROPFIND", "query", "G3T"] {
            assert_eq!(
                METHODS[usize::from(method(&name.parse().unwrap()))],
                "_OTHER"
            );
        }
    }

    #[test]
    fn schemes_are_known_other_or_absent() {
        for (uri, expected) in [
            ("https://a/", Some("https")),
            ("HTTP://a/", Some("http")),
            ("ftp://a/", Some("_OTHER")),
            ("/a", None),
            ("a:443", None),
            ("*", None),
        ] {
            assert_eq!(scheme(&uri.parse().unwrap()), expected, "{uri}");
        }
    }

    #[test]
    fn a_status_beyond_5xx_has_no_class() {
        for (status, expected) in [
            (101, "1xx"),
            (204, "2xx"),
            (399, "3xx"),
            (599, "5xx"),
            (600, "_OTHER"),
            (999, "_OTHER"),
        ] {
            let class = status_class(StatusCode::from_u16(status).unwrap());
            assert_eq!(CLASSES[usize::from(class)], expected);
        }
    }

    #[test]
    fn routes_that_axum_makes_for_itself_are_hidden() {
        for private in [
            "/{*__private__axum_fallback}",
            "/api/{*__private__axum_fallback}",
            "/api/{*__private__axum_nest_tail_param}",
        ] {
            assert_eq!(public_route(private), None);
        }
        let below = public_route("/{*__private__axum_fallback}/items/{id}");
        assert_eq!(below, Some("/items/{id}"));
        for public in ["", "/", "/api/{*rest}", "/{id}", "/__private__axum"] {
            assert_eq!(public_route(public), Some(public));
        }
    }
}
