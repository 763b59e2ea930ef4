//! Whole pages.

use super::{begin, hello, status};
use crate::support::{SECOND, page_of, take_to_end};
use http::Request;
use http_body_util::Full;
use std::pin::pin;
use tower_openmetrics::labels::Label;
use tower_openmetrics::{Clock, MetricsLayer};

const SERVER: &str = r#"# HELP http_server_active_requests Calls in flight
# TYPE http_server_active_requests gauge
http_server_active_requests{http_request_method="GET",service="a",url_scheme="http"} 0
http_server_active_requests{http_request_method="POST",service="a",url_scheme="http"} 1
# HELP http_server_label_overflow Calls beyond the cardinality limit, recorded under _OTHER
# TYPE http_server_label_overflow counter
http_server_label_overflow_total{service="a"} 0
# HELP http_server_request_body_size_bytes Bytes that the service has read of a call's request by its end
# TYPE http_server_request_body_size_bytes histogram
# UNIT http_server_request_body_size_bytes bytes
http_server_request_body_size_bytes_bucket{error_type="",http_request_method="POST",http_response_status_code="200",http_route="/items",le="0.0",network_protocol_version="1.1",service="a",url_scheme="http"} 0
http_server_request_body_size_bytes_bucket{error_type="",http_request_method="POST",http_response_status_code="200",http_route="/items",le="1.048576e+06",network_protocol_version="1.1",service="a",url_scheme="http"} 1
http_server_request_body_size_bytes_bucket{error_type="",http_request_method="POST",http_response_status_code="200",http_route="/items",le="+Inf",network_protocol_version="1.1",service="a",url_scheme="http"} 1
http_server_request_body_size_bytes_sum{error_type="",http_request_method="POST",http_response_status_code="200",http_route="/items",network_protocol_version="1.1",service="a",url_scheme="http"} 3
http_server_request_body_size_bytes_count{error_type="",http_request_method="POST",http_response_status_code="200",http_route="/items",network_protocol_version="1.1",service="a",url_scheme="http"} 1
http_server_request_body_size_bytes_bucket{error_type="generate",http_request_method="GET",http_response_status_code="500",http_route="/items",le="0.0",network_protocol_version="1.1",service="a",url_scheme="http"} 1
http_server_request_body_size_bytes_bucket{error_type="generate",http_request_method="GET",http_response_status_code="500",http_route="/items",le="1.048576e+06",network_protocol_version="1.1",service="a",url_scheme="http"} 1
http_server_request_body_size_bytes_bucket{error_type="generate",http_request_method="GET",http_response_status_code="500",http_route="/items",le="+Inf",network_protocol_version="1.1",service="a",url_scheme="http"} 1
http_server_request_body_size_bytes_sum{error_type="generate",http_request_method="GET",http_response_status_code="500",http_route="/items",network_protocol_version="1.1",service="a",url_scheme="http"} 0
http_server_request_body_size_bytes_count{error_type="generate",http_request_method="GET",http_response_status_code="500",http_route="/items",network_protocol_version="1.1",service="a",url_scheme="http"} 1
# HELP http_server_request_duration_seconds Time from the beginning of a call to the end of its response
# TYPE http_server_request_duration_seconds histogram
# UNIT http_server_request_duration_seconds seconds
http_server_request_duration_seconds_bucket{error_type="",http_request_method="POST",http_response_status_code="200",http_route="/items",le="0.5",network_protocol_version="1.1",service="a",url_scheme="http"} 0
http_server_request_duration_seconds_bucket{error_type="",http_request_method="POST",http_response_status_code="200",http_route="/items",le="+Inf",network_protocol_version="1.1",service="a",url_scheme="http"} 1
http_server_request_duration_seconds_sum{error_type="",http_request_method="POST",http_response_status_code="200",http_route="/items",network_protocol_version="1.1",service="a",url_scheme="http"} 1.0
http_server_request_duration_seconds_count{error_type="",http_request_method="POST",http_response_status_code="200",http_route="/items",network_protocol_version="1.1",service="a",url_scheme="http"} 1
http_server_request_duration_seconds_bucket{error_type="generate",http_request_method="GET",http_response_status_code="500",http_route="/items",le="0.5",network_protocol_version="1.1",service="a",url_scheme="http"} 1
http_server_request_duration_seconds_bucket{error_type="generate",http_request_method="GET",http_response_status_code="500",http_route="/items",le="+Inf",network_protocol_version="1.1",service="a",url_scheme="http"} 1
http_server_request_duration_seconds_sum{error_type="generate",http_request_method="GET",http_response_status_code="500",http_route="/items",network_protocol_version="1.1",service="a",url_scheme="http"} 0.0
http_server_request_duration_seconds_count{error_type="generate",http_request_method="GET",http_response_status_code="500",http_route="/items",network_protocol_version="1.1",service="a",url_scheme="http"} 1
# HELP http_server_response_body_size_bytes Bytes that the caller has taken of a call's response by its end
# TYPE http_server_response_body_size_bytes histogram
# UNIT http_server_response_body_size_bytes bytes
http_server_response_body_size_bytes_bucket{error_type="",http_request_method="POST",http_response_status_code="200",http_route="/items",le="0.0",network_protocol_version="1.1",service="a",url_scheme="http"} 0
http_server_response_body_size_bytes_bucket{error_type="",http_request_method="POST",http_response_status_code="200",http_route="/items",le="1.048576e+06",network_protocol_version="1.1",service="a",url_scheme="http"} 1
http_server_response_body_size_bytes_bucket{error_type="",http_request_method="POST",http_response_status_code="200",http_route="/items",le="+Inf",network_protocol_version="1.1",service="a",url_scheme="http"} 1
http_server_response_body_size_bytes_sum{error_type="",http_request_method="POST",http_response_status_code="200",http_route="/items",network_protocol_version="1.1",service="a",url_scheme="http"} 5
http_server_response_body_size_bytes_count{error_type="",http_request_method="POST",http_response_status_code="200",http_route="/items",network_protocol_version="1.1",service="a",url_scheme="http"} 1
http_server_response_body_size_bytes_bucket{error_type="generate",http_request_method="GET",http_response_status_code="500",http_route="/items",le="0.0",network_protocol_version="1.1",service="a",url_scheme="http"} 1
http_server_response_body_size_bytes_bucket{error_type="generate",http_request_method="GET",http_response_status_code="500",http_route="/items",le="1.048576e+06",network_protocol_version="1.1",service="a",url_scheme="http"} 1
http_server_response_body_size_bytes_bucket{error_type="generate",http_request_method="GET",http_response_status_code="500",http_route="/items",le="+Inf",network_protocol_version="1.1",service="a",url_scheme="http"} 1
http_server_response_body_size_bytes_sum{error_type="generate",http_request_method="GET",http_response_status_code="500",http_route="/items",network_protocol_version="1.1",service="a",url_scheme="http"} 0
http_server_response_body_size_bytes_count{error_type="generate",http_request_method="GET",http_response_status_code="500",http_route="/items",network_protocol_version="1.1",service="a",url_scheme="http"} 1
# HELP uptime_seconds Time since the registry was created
# TYPE uptime_seconds gauge
# UNIT uptime_seconds seconds
uptime_seconds 1.0
# EOF
"#;

/// One call has read three bytes and written five, in a second. One failed at once, and one is open.
#[test]
fn a_servers_page_in_both_formats() {
    let clock = Clock::manual();
    let layer = MetricsLayer::builder()
        .clock(clock)
        .open_telemetry()
        .buckets([0.5])
        .body_size_buckets([0, 1_048_576])
        .label(Label::route(|_| Some("/items")))
        .build([("service", "a")])
        .unwrap();
    let post = || Request::post("/items").body(Full::<bytes::Bytes>::from("abc"));
    let answer = begin(&layer, post().unwrap(), |request| {
        take_to_end(pin!(request.into_body()));
        hello(Request::new(()))
    });
    clock.advance(SECOND);
    take_to_end(pin!(answer.into_body()));
    let failed = begin(&layer, super::get("/items"), status(500));
    take_to_end(pin!(failed.into_body()));
    let open = begin(&layer, post().unwrap(), hello);

    assert_eq!(
        page_of(layer.exporter(), "application/openmetrics-text"),
        SERVER
    );
    let without_what_it_has_not: Vec<_> = SERVER
        .lines()
        .filter(|line| !line.starts_with("# UNIT") && *line != "# EOF")
        .map(|line| match line.starts_with("# ") {
            true => line.replace(
                "http_server_label_overflow ",
                "http_server_label_overflow_total ",
            ),
            false => line.to_owned(),
        })
        .collect();
    let page = page_of(layer.exporter(), "text/plain");
    assert_eq!(page.lines().collect::<Vec<_>>(), without_what_it_has_not);
    drop(open);
}

/// The bounds that the conventions advise, always written in the same way.
#[test]
fn the_buckets_are_those_of_the_conventions() {
    let layer = MetricsLayer::builder()
        .open_telemetry()
        .build([("", ""); 0])
        .unwrap();
    drop(begin(&layer, super::get("/"), hello));
    let page = page_of(layer.exporter(), "application/openmetrics-text");
    let bounds = |name: &str| -> Vec<String> {
        let bucket = format!("{name}_bucket{{");
        let lines = page.lines().filter(|line| line.starts_with(&bucket));
        let bounds = lines.map(|line| line.split("le=\"").nth(1)?.split('"').next());
        bounds.map(|bound| bound.unwrap().to_owned()).collect()
    };
    assert_eq!(
        bounds("http_server_request_duration_seconds"),
        [
            "0.005", "0.01", "0.025", "0.05", "0.075", "0.1", "0.25", "0.5", "0.75", "1.0", "2.5",
            "5.0", "7.5", "10.0", "+Inf"
        ]
    );
    let sizes = [
        "0.0",
        "64.0",
        "256.0",
        "1024.0",
        "4096.0",
        "16384.0",
        "65536.0",
        "262144.0",
        "1.048576e+06",
        "4.194304e+06",
        "1.6777216e+07",
        "+Inf",
    ];
    assert_eq!(bounds("http_server_request_body_size_bytes"), sizes);
    assert_eq!(bounds("http_server_response_body_size_bytes"), sizes);
}
