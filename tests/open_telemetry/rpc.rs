//! The presets for RPC.

use super::all;
use crate::support::Step::{self, Bytes as Message, Field};
use crate::support::{Page, Script, now, page_of, take_frames};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use std::pin::pin;
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_openmetrics::classify::{Classify, GrpcCode, HttpClient, ServerErrorsOnly};
use tower_openmetrics::labels::Label;
use tower_openmetrics::protocol::Grpc;
use tower_openmetrics::{Clock, MetricsLayer, MetricsLayerBuilder};

const SERVER: &str = "rpc_server_call_duration_seconds";
const CLIENT: &str = "rpc_client_call_duration_seconds";

fn server() -> MetricsLayerBuilder<Grpc<ServerErrorsOnly>> {
    MetricsLayer::grpc_builder().open_telemetry()
}

fn client() -> MetricsLayerBuilder<Grpc<HttpClient>> {
    MetricsLayer::grpc_client_builder().open_telemetry()
}

/// A call whose response has these steps. At most three frames are taken.
fn call<C, const N: usize>(
    layer: &MetricsLayer<Grpc<C>>,
    clock: Clock,
    path: &str,
    steps: [Step; N],
) where
    C: Classify,
{
    let mut body = Some(Script::new(clock, steps));
    let service = service_fn(|_| {
        let response = Response::builder().header("content-type", "application/grpc");
        std::future::ready(Ok::<_, BoxError>(
            response.body(body.take().unwrap()).unwrap(),
        ))
    });
    let request = Request::post(path).header("content-type", "application/grpc");
    let request = request.body(Full::<Bytes>::default()).unwrap();
    let response = now(layer.layer(service).oneshot(request)).unwrap();
    take_frames(pin!(response.into_body()), 3);
}

fn end_with<C: Classify>(layer: &MetricsLayer<Grpc<C>>, path: &str, code: GrpcCode) {
    let code = (code as u8).to_string().leak();
    call(layer, Clock::manual(), path, [Field("grpc-status", code)]);
}

/// Returns the labels of all calls.
fn labels<P>(layer: &MetricsLayer<P>, name: &str) -> Vec<String> {
    let all = all(layer, &format!("{name}_count"));
    all.into_iter().map(|(labels, _)| labels).collect()
}

const PAGE: &str = r#"# HELP rpc_server_active_requests Calls in flight
# TYPE rpc_server_active_requests gauge
rpc_server_active_requests{rpc_method="shop.Cart/Add",rpc_system_name="grpc",service="a"} 0
# HELP rpc_server_call_duration_seconds Time from the beginning of a call to the end of its response
# TYPE rpc_server_call_duration_seconds histogram
# UNIT rpc_server_call_duration_seconds seconds
rpc_server_call_duration_seconds_bucket{error_type="",le="1.0",rpc_method="shop.Cart/Add",rpc_status_code="OK",rpc_system_name="grpc",service="a"} 0
rpc_server_call_duration_seconds_bucket{error_type="",le="+Inf",rpc_method="shop.Cart/Add",rpc_status_code="OK",rpc_system_name="grpc",service="a"} 1
rpc_server_call_duration_seconds_sum{error_type="",rpc_method="shop.Cart/Add",rpc_status_code="OK",rpc_system_name="grpc",service="a"} 2.0
rpc_server_call_duration_seconds_count{error_type="",rpc_method="shop.Cart/Add",rpc_status_code="OK",rpc_system_name="grpc",service="a"} 1
# HELP rpc_server_label_overflow Calls beyond the cardinality limit, recorded under _OTHER
# TYPE rpc_server_label_overflow counter
rpc_server_label_overflow_total{rpc_system_name="grpc",service="a"} 0
# HELP rpc_server_request_bytes Bytes of requests that the service has read
# TYPE rpc_server_request_bytes counter
# UNIT rpc_server_request_bytes bytes
rpc_server_request_bytes_total{rpc_method="shop.Cart/Add",rpc_system_name="grpc",service="a"} 0
# HELP rpc_server_request_messages Messages of requests that the service has read
# TYPE rpc_server_request_messages counter
rpc_server_request_messages_total{rpc_method="shop.Cart/Add",rpc_system_name="grpc",service="a"} 0
# HELP rpc_server_response_bytes Bytes of responses that the caller has taken
# TYPE rpc_server_response_bytes counter
# UNIT rpc_server_response_bytes bytes
rpc_server_response_bytes_total{rpc_method="shop.Cart/Add",rpc_system_name="grpc",service="a"} 7
# HELP rpc_server_response_messages Messages of responses that the caller has taken
# TYPE rpc_server_response_messages counter
rpc_server_response_messages_total{rpc_method="shop.Cart/Add",rpc_system_name="grpc",service="a"} 1
# HELP uptime_seconds Time since the registry was created
# TYPE uptime_seconds gauge
# UNIT uptime_seconds seconds
uptime_seconds 2.0
# EOF
"#;

/// One message of two bytes and its prefix of five, in the first second, and the status in the second one.
#[test]
fn a_servers_page() {
    let clock = Clock::manual();
    let builder = server().clock(clock).buckets([1.0]);
    let layer = builder.build([("service", "a")]).unwrap();
    let message = Message(b"\0\0\0\0\x02ab".to_vec());
    let steps = [message, Field("grpc-status", "0")];
    call(&layer, clock, "/behind/shop.Cart/Add", steps);
    assert_eq!(
        page_of(layer.exporter(), "application/openmetrics-text"),
        PAGE
    );
}

/// On clients all codes but `OK` have an error type, on servers those that the conventions list, and cancellations.
#[test]
fn codes_are_errors_by_the_conventions() {
    const OF_SERVERS: [GrpcCode; 6] = [
        GrpcCode::Unknown,
        GrpcCode::DeadlineExceeded,
        GrpcCode::Unimplemented,
        GrpcCode::Internal,
        GrpcCode::Unavailable,
        GrpcCode::DataLoss,
    ];
    for code in GrpcCode::ALL {
        let error_type = match code {
            GrpcCode::Ok => "",
            GrpcCode::Cancelled => "cancelled",
            GrpcCode::InvalidArgument => "deserialization",
            GrpcCode::OutOfRange | GrpcCode::Unimplemented => "invalid_message",
            GrpcCode::DeadlineExceeded => "timeout",
            GrpcCode::ResourceExhausted | GrpcCode::Unavailable => "overloaded",
            _ => "generate",
        };
        let expected = |error_type| {
            format!(
                r#"{{error_type="{error_type}",rpc_method="shop.Cart/Add",rpc_status_code="{code}",rpc_system_name="grpc"}}"#
            )
        };
        let layer = client().build(()).unwrap();
        end_with(&layer, "/shop.Cart/Add", code);
        assert_eq!(labels(&layer, CLIENT), [expected(error_type)]);

        let layer = server().build(()).unwrap();
        end_with(&layer, "/shop.Cart/Add", code);
        let is_error = code == GrpcCode::Cancelled || OF_SERVERS.contains(&code);
        let error_type = if is_error { error_type } else { "" };
        assert_eq!(labels(&layer, SERVER), [expected(error_type)]);
    }
}

/// The caller of one call leaves after three messages. The other call is no gRPC.
#[test]
fn what_is_unknown_is_empty() {
    let layer = server().build(()).unwrap();
    let message = || Message(b"\0\0\0\0\0".to_vec());
    let steps = [message(), message(), message(), message()];
    call(&layer, Clock::manual(), "/shop.Cart/Watch", steps);
    let service = service_fn(async |_| Err::<Response<Full<Bytes>>, BoxError>("lost".into()));
    let request = Request::get("/health").body(Full::<Bytes>::default());
    now(layer.layer(service).oneshot(request.unwrap())).unwrap_err();
    assert_eq!(
        labels(&layer, SERVER),
        [
            r#"{error_type="cancelled",rpc_method="shop.Cart/Watch",rpc_status_code="",rpc_system_name="grpc"}"#,
            r#"{error_type="generate",rpc_method="",rpc_status_code="",rpc_system_name="grpc"}"#,
        ]
    );
}

/// The system may be given as a constant label, or differ from call to call.
#[test]
fn labels_of_ones_own_replace_those_of_the_preset() {
    let system = Label::from_request("rpc_system_name", |_| Some("connectrpc"));
    let by_request = server().label(system);
    let constant = [("rpc_system_name", "connectrpc")];
    for layer in [by_request.build(()), server().build(constant)] {
        let layer = layer.unwrap();
        end_with(&layer, "/shop.Cart/Add", GrpcCode::Ok);
        assert_eq!(
            labels(&layer, SERVER),
            [
                r#"{error_type="",rpc_method="shop.Cart/Add",rpc_status_code="OK",rpc_system_name="connectrpc"}"#
            ]
        );
    }
    let layer = server().label(Label::from_request("rpc_method", |_| Some("all")));
    let layer = layer.build(()).unwrap();
    end_with(&layer, "/shop.Cart/Add", GrpcCode::Ok);
    assert_eq!(
        labels(&layer, SERVER),
        [r#"{error_type="",rpc_method="all",rpc_status_code="OK",rpc_system_name="grpc"}"#]
    );
}

/// By the conventions, a method that the server doesn't have is `_OTHER`.
#[test]
fn methods_that_are_not_declared_are_other() {
    let layer = server()
        .label(Label::rpc_method().only_declared(true).absent(""))
        .declare([("rpc_method", "shop.Cart/Add")])
        .build(())
        .unwrap();
    let declared =
        r#"{error_type="",rpc_method="shop.Cart/Add",rpc_status_code="OK",rpc_system_name="grpc"}"#;
    assert_eq!(labels(&layer, SERVER), [declared]);
    end_with(&layer, "/shop.Cart/Steal", GrpcCode::Unimplemented);
    assert_eq!(
        labels(&layer, SERVER),
        [
            declared,
            r#"{error_type="invalid_message",rpc_method="_OTHER",rpc_status_code="UNIMPLEMENTED",rpc_system_name="grpc"}"#,
        ]
    );
}

/// As those of `grpc_method` do.
#[test]
fn made_up_methods_make_room_for_real_ones() {
    let layer = server().cardinality_limit(10).build(()).unwrap();
    for number in 0..100 {
        let path = format!("/made.Up/Method{number}");
        end_with(&layer, &path, GrpcCode::Unimplemented);
    }
    end_with(&layer, "/shop.Cart/Add", GrpcCode::Ok);
    let real =
        r#"{error_type="",rpc_method="shop.Cart/Add",rpc_status_code="OK",rpc_system_name="grpc"}"#;
    let labels = labels(&layer, SERVER);
    assert!(labels.iter().any(|label| label == real), "{labels:?}");
    let page = Page::read(layer.exporter());
    assert_eq!(page.one("rpc_server_label_overflow_total"), "0");
}

#[test]
fn the_buckets_are_those_of_the_conventions() {
    let layer = client().build(()).unwrap();
    end_with(&layer, "/shop.Cart/Add", GrpcCode::Ok);
    let buckets = Page::read(layer.exporter()).buckets(CLIENT).into_iter();
    let bounds: Vec<f64> = buckets.map(|(bound, _)| bound).collect();
    assert_eq!(
        bounds,
        [
            0.005,
            0.01,
            0.025,
            0.05,
            0.075,
            0.1,
            0.25,
            0.5,
            0.75,
            1.0,
            2.5,
            5.0,
            7.5,
            10.0,
            f64::INFINITY
        ]
    );
}

/// They are of no use to a metric that isn't there.
#[test]
fn error_types_are_refused() {
    let error = server().error_types([tower_openmetrics::ErrorType::from_static("quota")]);
    let error = error.build(()).unwrap_err().to_string();
    assert!(error.contains("`error_types` would do nothing"), "{error}");
}
