//! Reads the head of a gRPC request
//! ([gRPC over HTTP/2](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md)).

use super::{OTHER, RequestHead};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method};

/// Whether a request is gRPC or gRPC-Web.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Grpc,
    /// It has no content type. The content type of the response decides.
    Silent,
    Other,
}

impl Kind {
    #[inline]
    pub(crate) fn of(method: &Method, headers: &HeaderMap) -> Self {
        if *method != Method::POST {
            Self::Other
        } else if is_grpc(headers) {
            Self::Grpc
        } else if headers.contains_key(CONTENT_TYPE) {
            Self::Other
        } else {
            Self::Silent
        }
    }
}

/// Whether the body of a request or response is gRPC or gRPC-Web.
#[inline]
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    has_type(headers, "application/grpc")
}

/// Whether the content type begins with `prefix`, ignoring case (RFC 9110, section 8.3.1).
#[inline]
pub(crate) fn has_type(headers: &HeaderMap, prefix: &str) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.as_bytes().get(..prefix.len()))
        .is_some_and(|value| value.eq_ignore_ascii_case(prefix.as_bytes()))
}

#[inline]
pub(super) fn service<'a>(head: &RequestHead<'a>) -> Option<&'a str> {
    let (service, _) = names(head)?;
    Some(if is_service(service) { service } else { OTHER })
}

#[inline]
pub(super) fn method<'a>(head: &RequestHead<'a>) -> Option<&'a str> {
    let (_, method) = names(head)?;
    Some(if is_method(method) { method } else { OTHER })
}

/// Returns the service and the method, with the slash between them.
#[inline]
pub(super) fn full_method<'a>(head: &RequestHead<'a>) -> Option<&'a str> {
    let (service, method) = names(head)?;
    let path = head.uri.path();
    let start = path.len() - service.len() - "/".len() - method.len();
    let are_names = is_service(service) && is_method(method);
    Some(if are_names { &path[start..] } else { OTHER })
}

/// Returns the service, with its package, and the method that the path names. `None` unless the content type says gRPC,
/// because the path of another request may be anything.
fn names<'a>(head: &RequestHead<'a>) -> Option<(&'a str, &'a str)> {
    if Kind::of(head.method, head.headers) != Kind::Grpc {
        return None;
    }
    // `/package.Service/Method` after any prefix, because services may be mounted anywhere.
    let (before, method) = head.uri.path().rsplit_once('/')?;
    let (_, service) = before.rsplit_once('/')?;
    (!service.is_empty() && !method.is_empty()).then_some((service, method))
}

fn is_service(name: &str) -> bool {
    name.split('.').all(is_method)
}

/// Whether the name is made of the characters of
/// [identifiers](https://protobuf.dev/reference/protobuf/proto3-spec/#identifiers).
fn is_method(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn request(path: &str) -> Request<()> {
        let request = Request::post(path).header(CONTENT_TYPE, "application/grpc");
        request.body(()).unwrap()
    }

    #[test]
    fn paths_name_a_service_and_a_method() {
        let cases = [
            ("/shop.Cart/Add", ["shop.Cart", "Add", "shop.Cart/Add"]),
            (
                "http://a:1/Cart_2/Add_2?b",
                ["Cart_2", "Add_2", "Cart_2/Add_2"],
            ),
            (
                "/behind/shop.Cart/Add",
                ["shop.Cart", "Add", "shop.Cart/Add"],
            ),
            ("/shop%2eCart/Add", ["_OTHER", "Add", "_OTHER"]),
            ("/shop.Cart/a.b", ["shop.Cart", "_OTHER", "_OTHER"]),
            ("/shop.Cart/%41dd", ["shop.Cart", "_OTHER", "_OTHER"]),
        ];
        for (path, expected) in cases {
            let request = request(path);
            let head = RequestHead::of(&request);
            let names = [service(&head), method(&head), full_method(&head)];
            assert_eq!(names, expected.map(Some), "{path}");
        }
        for path in ["/Cart", "/Cart/", "//Add", "/", "*"] {
            let request = request(path);
            let head = RequestHead::of(&request);
            let names = [service(&head), method(&head), full_method(&head)];
            assert_eq!(names, [None; 3], "{path}");
        }
    }

    #[test]
    fn method_and_content_type_tell_grpc() {
        let types = [
            (None, Kind::Silent),
            (Some("application/grpc"), Kind::Grpc),
            (Some("application/grpc+proto"), Kind::Grpc),
            (Some("APPLICATION/grpc-web"), Kind::Grpc),
            (Some("application/json"), Kind::Other),
            (Some("application"), Kind::Other),
            (Some(""), Kind::Other),
        ];
        for (content_type, expected) in types {
            let mut request = Request::post("/shop.Cart/Add").body(()).unwrap();
            if let Some(content_type) = content_type {
                let content_type = content_type.parse().unwrap();
                request.headers_mut().insert(CONTENT_TYPE, content_type);
            }
            let head = RequestHead::of(&request);
            let kind = Kind::of(head.method, head.headers);
            assert_eq!(kind, expected, "{content_type:?}");
            assert_eq!(service(&head).is_some(), expected == Kind::Grpc);

            *request.method_mut() = Method::GET;
            let head = RequestHead::of(&request);
            assert_eq!(Kind::of(head.method, head.headers), Kind::Other);
            assert_eq!(method(&head), None, "not gRPC");
        }
    }
}
