//! The value of each label.

use super::{Answer, all, begin, get, hello, status};
use crate::support::{now, take_to_end, text_of};
use bytes::Bytes;
use http::{Method, Request, Response, Version};
use http_body_util::Full;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use tower::{BoxError, Layer, Service, service_fn};
use tower_openmetrics::MetricsLayer;
use tower_openmetrics::classify::{Classify, HttpClient, HttpStatus, ServerErrorsOnly};
use tower_openmetrics::labels::Label;
use tower_openmetrics::protocol::Http;

type Layered<C> = MetricsLayer<Http<C>>;

fn server() -> Layered<ServerErrorsOnly> {
    let builder = MetricsLayer::builder().open_telemetry();
    builder.build([("", ""); 0]).unwrap()
}

fn client() -> Layered<HttpClient> {
    let builder = MetricsLayer::client_builder().open_telemetry();
    builder.build([("", ""); 0]).unwrap()
}

fn end<C: Classify>(answer: Answer<C>) {
    take_to_end(pin!(answer.into_body()));
}

/// Returns the value of a label. All calls so far must have the same label set.
#[track_caller]
fn value<P>(layer: &MetricsLayer<P>, side: &str, label: &str) -> String {
    let all = all(
        layer,
        &format!("http_{side}_request_duration_seconds_count"),
    );
    let [(labels, _)] = &all[..] else {
        panic!("expected one label set: {all:?}");
    };
    let key = format!("{label}=\"");
    let (_, rest) = labels.split_once(&key).expect("the label");
    rest.split_once('"').unwrap().0.to_owned()
}

#[test]
fn a_servers_labels_describe_the_request() {
    let request = |method: &str, uri: &str, version| {
        let request = Request::builder().method(method).uri(uri).version(version);
        request.body(Full::<Bytes>::default()).unwrap()
    };
    for (given, label, expected) in [
        (("GET", "/", Version::HTTP_11), "http_request_method", "GET"),
        (
            ("FROB", "/", Version::HTTP_11),
            "http_request_method",
            "_OTHER",
        ),
        (
            ("QUERY", "/", Version::HTTP_11),
            "http_request_method",
            "QUERY",
        ),
        (("GET", "/", Version::HTTP_11), "url_scheme", "http"),
        (
            ("GET", "https://a/", Version::HTTP_2),
            "url_scheme",
            "https",
        ),
        (
            ("GET", "/", Version::HTTP_11),
            "network_protocol_version",
            "1.1",
        ),
        (
            ("GET", "/", Version::HTTP_2),
            "network_protocol_version",
            "2",
        ),
    ] {
        let layer = server();
        let (method, uri, version) = given;
        end(begin(&layer, request(method, uri, version), hello));
        assert_eq!(value(&layer, "server", label), expected, "{given:?}");
    }
}

/// The response may have another version than the request. A call without a response has no version.
#[test]
fn a_clients_labels_describe_the_response() {
    let in_version = |version| {
        move |_| {
            let mut response = Response::new(Full::default());
            *response.version_mut() = version;
            response
        }
    };
    for (version, expected) in [(Version::HTTP_11, "1.1"), (Version::HTTP_2, "2")] {
        let layer = client();
        end(begin(&layer, get("https://shop/"), in_version(version)));
        assert_eq!(
            value(&layer, "client", "network_protocol_version"),
            expected
        );
        assert_eq!(value(&layer, "client", "url_scheme"), "https");
        assert_eq!(value(&layer, "client", "http_request_method"), "GET");
    }
    let layer = client();
    end(begin(&layer, get("/"), hello));
    assert_eq!(value(&layer, "client", "url_scheme"), "");
    let layer = client();
    fails(&layer);
    assert_eq!(value(&layer, "client", "network_protocol_version"), "");
}

fn fails<C: Classify>(layer: &Layered<C>) {
    let service = service_fn(async |_| Err::<Response<Full<Bytes>>, BoxError>("no".into()));
    now(layer.layer(service).call(get("/"))).expect_err("it fails");
}

#[test]
fn the_conventions_decide_which_statuses_are_failures() {
    // By the conventions' span status, 4xx is an error for clients only.
    for (code, of_server, of_client) in [
        (200, "", ""),
        (302, "", ""),
        (400, "", "deserialization"),
        (404, "", "rejected"),
        (408, "", "timeout"),
        (429, "", "overloaded"),
        (500, "generate", "generate"),
        (503, "overloaded", "overloaded"),
    ] {
        let (server, client) = (server(), client());
        end(begin(&server, get("/"), status(code)));
        end(begin(&client, get("/"), status(code)));
        assert_eq!(value(&server, "server", "error_type"), of_server, "{code}");
        assert_eq!(value(&client, "client", "error_type"), of_client, "{code}");
        let code = code.to_string();
        assert_eq!(value(&server, "server", "http_response_status_code"), code);
        assert_eq!(value(&client, "client", "http_response_status_code"), code);
    }
}

#[test]
fn a_call_without_a_response_has_no_status() {
    let failed = server();
    fails(&failed);
    let abandoned = server();
    let service =
        service_fn(async |_| std::future::pending::<Result<Response<Full<Bytes>>, ()>>().await);
    drop(abandoned.layer(service).call(get("/")));
    let panicked = server();
    let panic = catch_unwind(AssertUnwindSafe(|| {
        begin(&panicked, get("/"), |_| panic!("scripted"))
    }));
    assert_eq!(text_of(&*panic.expect_err("a panic")), Some("scripted"));
    for (layer, error_type) in [
        (failed, "generate"),
        (abandoned, "cancelled"),
        (panicked, "panic"),
    ] {
        assert_eq!(value(&layer, "server", "error_type"), error_type);
        assert_eq!(value(&layer, "server", "http_response_status_code"), "");
    }
}

/// The response is not read to its end.
#[test]
fn a_cancelled_call_has_an_error_type_and_its_status() {
    let layer = server();
    drop(begin(&layer, get("/"), hello));
    assert_eq!(value(&layer, "server", "error_type"), "cancelled");
    assert_eq!(value(&layer, "server", "http_response_status_code"), "200");
}

#[test]
fn a_classifier_can_be_set_after_the_preset() {
    let builder = MetricsLayer::builder()
        .open_telemetry()
        .classifier(HttpStatus);
    let layer = builder.build([("", ""); 0]).unwrap();
    end(begin(&layer, get("/"), status(405)));
    assert_eq!(value(&layer, "server", "error_type"), "invalid_message");
}

#[test]
fn a_route_has_the_name_of_the_conventions() {
    #[derive(Clone)]
    struct Matched(&'static str);
    let from_request = Label::route(|head| Some(head.extensions.get::<Matched>()?.0));
    let from_response =
        Label::from_response("route", |head| Some(head.extensions.get::<Matched>()?.0));
    let with_matched = |_| {
        let mut response = Response::new(Full::default());
        response.extensions_mut().insert(Matched("/{id}"));
        response
    };
    for label in [from_request, from_response] {
        let builder = MetricsLayer::builder().label(label).open_telemetry();
        let layer = builder.build([("", ""); 0]).unwrap();
        let mut request = get("/7");
        request.extensions_mut().insert(Matched("/{id}"));
        end(begin(&layer, request, with_matched));
        assert_eq!(value(&layer, "server", "http_route"), "/{id}");
        let layer = {
            let label = Label::route(|_| None);
            let builder = MetricsLayer::builder().open_telemetry().label(label);
            builder.build([("", ""); 0]).unwrap()
        };
        end(begin(&layer, get("/7"), hello));
        assert_eq!(value(&layer, "server", "http_route"), "");
    }
    let builder = MetricsLayer::client_builder().open_telemetry();
    let layer = builder.label(Label::route(|_| Some("/{id}")));
    let layer = layer.build([("", ""); 0]).unwrap();
    end(begin(&layer, get("http://a/7"), hello));
    assert_eq!(value(&layer, "client", "url_template"), "/{id}");
    // The conventions have the template on a client's gauge, and not on a server's.
    let labels = r#"{http_request_method="GET",url_scheme="http",url_template="/{id}"}"#;
    let expected = [(labels.to_owned(), "0".to_owned())];
    assert_eq!(all(&layer, "http_client_active_requests"), expected);
}

#[test]
fn a_given_label_replaces_the_conventions_label() {
    let layer = MetricsLayer::builder()
        .open_telemetry()
        .label(Label::scheme().absent("https"))
        .label(Label::status().absent("0"))
        .label(Label::version().on_duration(false))
        .label(Label::method().named("verb"))
        .label(Label::from_request("tenant", |_| Some("t")).on_begin(false))
        .build([("", ""); 0])
        .unwrap();
    fails(&layer);
    let labels = r#"error_type="generate",http_request_method="GET",http_response_status_code="0",tenant="t",url_scheme="https",verb="GET""#;
    let one = |labels: &str, value: &str| vec![(format!("{{{labels}}}"), value.to_owned())];
    assert_eq!(
        all(&layer, "http_server_request_duration_seconds_count"),
        one(labels, "1")
    );
    assert_eq!(
        all(&layer, "http_server_active_requests"),
        one(
            r#"http_request_method="GET",url_scheme="https",verb="GET""#,
            "0"
        )
    );
}

/// Even if it is what this crate shows by default.
#[test]
fn the_given_value_of_a_missing_label_stays() {
    let builder = MetricsLayer::builder().open_telemetry();
    let builder = builder.label(Label::status().absent("none"));
    let layer = builder.build([("", ""); 0]).unwrap();
    fails(&layer);
    assert_eq!(value(&layer, "server", "http_response_status_code"), "none");
}

/// For example, to show methods that HTTP doesn't define.
#[test]
fn a_custom_label_can_replace_the_conventions_label() {
    let method = Label::from_request("http_request_method", |head| Some(head.method.as_str()));
    let builder = MetricsLayer::builder().open_telemetry().label(method);
    let layer = builder.build([("", ""); 0]).unwrap();
    let mut request = get("/");
    *request.method_mut() = "PURGE".parse().unwrap();
    end(begin(&layer, request, hello));
    assert_eq!(value(&layer, "server", "http_request_method"), "PURGE");
}

/// A server's carry only method and scheme, and are exact while calls run.
#[test]
fn active_requests_have_begun_and_not_ended() {
    let layer = MetricsLayer::builder()
        .open_telemetry()
        .label(Label::route(|head| Some(head.uri.path())))
        .build([("", ""); 0])
        .unwrap();
    let one = begin(&layer, get("http://a/1"), hello);
    let two = begin(&layer, get("http://a/2"), hello);
    let mut post = get("https://a/3");
    *post.method_mut() = Method::POST;
    let three = begin(&layer, post, hello);
    let expect = |get: &str, post: &str| {
        let labels = [
            r#"{http_request_method="GET",url_scheme="http"}"#,
            r#"{http_request_method="POST",url_scheme="https"}"#,
        ];
        let [of_get, of_post] = labels.map(str::to_owned);
        let expected = [(of_get, get.to_owned()), (of_post, post.to_owned())];
        assert_eq!(all(&layer, "http_server_active_requests"), expected);
    };
    expect("2", "1");
    end(one);
    drop(three);
    expect("1", "0");
    drop(two);
    expect("0", "0");
}
