//! What the head of a gRPC request says
//! ([gRPC over HTTP/2](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md)).

use super::{OTHER, RequestHead};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method};

/// Whether it is a call of gRPC's, or of gRPC-Web's. One that doesn't tell its type is taken for one.
#[inline]
pub(crate) fn is_call(head: &RequestHead<'_>) -> bool {
    *head.method == Method::POST
        && (has_type(head.headers, "application/grpc") || !head.headers.contains_key(CONTENT_TYPE))
}

/// Whether the type of the body begins like that, in any case (RFC 9110, section 8.3.1).
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
    Some(name(service, |byte| byte == b'.'))
}

#[inline]
pub(super) fn method<'a>(head: &RequestHead<'a>) -> Option<&'a str> {
    let (_, method) = names(head)?;
    Some(name(method, |_| false))
}

fn names<'a>(head: &RequestHead<'a>) -> Option<(&'a str, &'a str)> {
    let path = head.uri.path();
    is_call(head).then(|| service_and_method(path)).flatten()
}

/// The service, with its package, and the method that a path names: `/package.Service/Method`,
/// with anything before it, for services may be mounted anywhere.
fn service_and_method(path: &str) -> Option<(&str, &str)> {
    let (before, method) = path.rsplit_once('/')?;
    let (_, service) = before.rsplit_once('/')?;
    (!service.is_empty() && !method.is_empty()).then_some((service, method))
}

/// An [identifier](https://protobuf.dev/reference/protobuf/proto3-spec/#identifiers), or several with what is
/// `between` them.
fn name(name: &str, between: impl Fn(u8) -> bool) -> &str {
    let is_name = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || between(byte));
    if is_name { name } else { OTHER }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn request(path: &str) -> Request<()> {
        Request::post(path).body(()).unwrap()
    }

    #[test]
    fn paths_name_a_service_and_a_method() {
        let cases = [
            ("/shop.Cart/Add", Some("shop.Cart"), Some("Add")),
            ("http://a:1/Cart_2/Add_2?b", Some("Cart_2"), Some("Add_2")),
            ("/behind/shop.Cart/Add", Some("shop.Cart"), Some("Add")),
            ("/shop%2eCart/Add", Some("_OTHER"), Some("Add")),
            ("/shop.Cart/a.b", Some("shop.Cart"), Some("_OTHER")),
            ("/shop.Cart/%41dd", Some("shop.Cart"), Some("_OTHER")),
            ("/Cart", None, None),
            ("/Cart/", None, None),
            ("//Add", None, None),
            ("/", None, None),
            ("*", None, None),
        ];
        for (path, expected_service, expected_method) in cases {
            let request = request(path);
            let head = RequestHead::of(&request);
            assert_eq!(service(&head), expected_service, "{path}");
            assert_eq!(method(&head), expected_method, "{path}");
        }
    }

    #[test]
    fn calls_are_told_by_method_and_type() {
        let types = [
            (None, true),
            (Some("application/grpc"), true),
            (Some("application/grpc+proto"), true),
            (Some("APPLICATION/grpc-web"), true),
            (Some("application/json"), false),
            (Some("application"), false),
            (Some(""), false),
        ];
        for (content_type, expected) in types {
            let mut request = request("/shop.Cart/Add");
            if let Some(content_type) = content_type {
                let content_type = content_type.parse().unwrap();
                request.headers_mut().insert(CONTENT_TYPE, content_type);
            }
            let head = RequestHead::of(&request);
            assert_eq!(is_call(&head), expected, "{content_type:?}");
            assert_eq!(service(&head).is_some(), expected);

            *request.method_mut() = Method::GET;
            let head = RequestHead::of(&request);
            assert!(!is_call(&head));
            assert_eq!(method(&head), None, "not gRPC");
        }
    }
}
