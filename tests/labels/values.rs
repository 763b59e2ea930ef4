//! Where label values come from.

use super::{assert_all, begin, call, get};
use crate::support::take_to_end;
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::Full;
use std::pin::pin;
use tower_openmetrics::MetricsLayer;
use tower_openmetrics::labels::Label;

fn layer(label: Label) -> MetricsLayer {
    MetricsLayer::builder()
        .label(label)
        .build([("a", "1")])
        .unwrap()
}

#[test]
fn an_unknown_method_becomes_other() {
    let layer = layer(Label::method());
    for method in ["GET", "POST", "PURGE", "get", "FROB", "POST"] {
        let request = Request::builder().method(method).uri("/");
        call(&layer, request.body(Full::default()).unwrap());
    }
    assert_all(
        &layer,
        "requests_total",
        &[
            (r#"{a="1",method="GET"}"#, 1),
            (r#"{a="1",method="POST"}"#, 2),
            (r#"{a="1",method="_OTHER"}"#, 3),
        ],
    );
    // An unknown method is not an overflow.
    assert_all(&layer, "label_overflow_total", &[(r#"{a="1"}"#, 0)]);
}

#[test]
fn scheme_and_version_are_read_from_the_request() {
    let layer = MetricsLayer::builder()
        .label(Label::scheme().absent("http"))
        .label(Label::version())
        .build([("", ""); 0])
        .unwrap();
    call(&layer, get("/"));
    let mut request = get("https://shop/");
    *request.version_mut() = Version::HTTP_2;
    call(&layer, request);
    assert_all(
        &layer,
        "requests_total",
        &[
            (r#"{scheme="http",version="1.1"}"#, 1),
            (r#"{scheme="https",version="2"}"#, 1),
        ],
    );
}

#[test]
fn a_route_is_the_matched_template_and_never_the_path() {
    #[derive(Clone)]
    struct Matched(&'static str);
    let layer = layer(Label::route(|head| {
        Some(head.extensions.get::<Matched>()?.0)
    }));
    let mut routed = get("/items/7");
    routed.extensions_mut().insert(Matched("/items/{id}"));
    call(&layer, routed);
    for path in ["/items/7", "/.env", "/none"] {
        call(&layer, get(path));
    }
    assert_all(
        &layer,
        "requests_total",
        &[
            (r#"{a="1",route="/items/{id}"}"#, 1),
            (r#"{a="1",route="none"}"#, 3),
        ],
    );
}

#[test]
fn a_status_is_shown_as_code_or_class() {
    for (label, expected) in [
        (
            Label::status(),
            [
                r#"{a="1",status="204"}"#,
                r#"{a="1",status="299"}"#,
                r#"{a="1",status="700"}"#,
            ],
        ),
        (
            Label::status_class(),
            [
                r#"{a="1",status="2xx"}"#,
                r#"{a="1",status="2xx"}"#,
                r#"{a="1",status="_OTHER"}"#,
            ],
        ),
    ] {
        let layer = layer(label);
        for status in [204, 299, 700] {
            let answer = begin(&layer, get("/"), |_| async move {
                let mut response = Response::new(Full::default());
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                Ok(response)
            });
            take_to_end(pin!(answer.into_body()));
        }
        let mut counted = std::collections::BTreeMap::new();
        for labels in expected {
            *counted.entry(labels).or_insert(0) += 1;
        }
        let counted: Vec<_> = counted.into_iter().collect();
        assert_all(&layer, "requests_total", &counted);
    }
}

/// A client sends a header; a handler sets an extension.
#[test]
fn custom_labels_are_read_from_requests_and_responses() {
    #[derive(Clone)]
    struct Model(&'static str);
    let layer = MetricsLayer::builder()
        .label(Label::from_request("tenant", |head| {
            head.headers.get("x-tenant")?.to_str().ok()
        }))
        .label(Label::from_response("model", |head| {
            Some(head.extensions.get::<Model>()?.0)
        }))
        .build([("z", "1")])
        .unwrap();
    let answer = |model: Option<&'static str>| {
        move |_| async move {
            let mut response = Response::new(Full::from("hello"));
            if let Some(model) = model {
                response.extensions_mut().insert(Model(model));
            }
            Ok(response)
        }
    };
    let of = |tenant: &str| {
        let request = Request::builder()
            .method(Method::GET)
            .header("x-tenant", tenant);
        request.body(Full::default()).unwrap()
    };
    for (request, model) in [
        (of("red"), Some("small")),
        (of("red"), Some("large")),
        (of("say \"hi\"\\"), None),
        (get("/"), Some("small")),
    ] {
        let answer = begin(&layer, request, answer(model));
        take_to_end(pin!(answer.into_body()));
    }
    assert_all(
        &layer,
        "requests_total",
        &[
            (r#"{model="large",tenant="red",z="1"}"#, 1),
            (r#"{model="none",tenant="say \"hi\"\\",z="1"}"#, 1),
            (r#"{model="small",tenant="none",z="1"}"#, 1),
            (r#"{model="small",tenant="red",z="1"}"#, 1),
        ],
    );
}

#[test]
fn a_label_can_have_another_name_and_absent_value() {
    let layer = layer(Label::status().named("code").absent("no answer"));
    call(&layer, get("/"));
    drop(begin(&layer, get("/"), super::serve));
    let never = tower::service_fn(|_: Request<_>| {
        std::future::pending::<Result<Response<Full<bytes::Bytes>>, std::convert::Infallible>>()
    });
    drop(tower::Service::call(
        &mut tower::Layer::layer(&layer, never),
        get("/"),
    ));
    assert_all(
        &layer,
        "cancellations_total",
        &[
            (r#"{a="1",code="200"}"#, 1),
            (r#"{a="1",code="no answer"}"#, 1),
        ],
    );
}
