//! Pages in Prometheus' protobuf format.

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, VARY};
use http::{Method, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use prometheus_client::metrics::counter::Counter;
use std::io::Read;
use std::time::Duration;
use tower::ServiceExt;
use tower_openmetrics::exporter::Body;
use tower_openmetrics::{Clock, MetricsExporter, MetricsRegistry};

const PROTOBUF: &str = "application/vnd.google.protobuf; \
     proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// What Prometheus 2.42 sends with native histograms.
const PROMETHEUS: &str = "application/vnd.google.protobuf;\
     proto=io.prometheus.client.MetricFamily;encoding=delimited,\
     application/openmetrics-text;version=1.0.0;q=0.8,\
     application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

/// Returns a registry that is 1.5 seconds old, with a counter at 3.
fn registry() -> MetricsRegistry {
    let clock = Clock::manual();
    let registry = MetricsRegistry::with_clock(clock);
    let baked = registry.register("baked", "So \"many\"\\\n", Counter::<u64>::default());
    baked.unwrap().inc_by(3);
    clock.advance(Duration::from_millis(1_500));
    registry
}

fn baked() -> Vec<u8> {
    let family: &[&[u8]] = &[
        &[13 + 13 + 2 + 19],
        b"\x0a\x0bbaked_total",
        b"\x12\x0bSo \"many\"\\\n",
        b"\x18\x00",                                 // a counter
        b"\x22\x11\x1a\x0f\x09\0\0\0\0\0\0\x08\x40", // 3.0 is 1.5 times two to the 1
        b"\x1a\x04\x08\x00\x10\x00",                 // since 0 seconds and 0 nanoseconds
    ];
    family.concat()
}

fn uptime() -> Vec<u8> {
    let family: &[&[u8]] = &[
        &[16 + 37 + 2 + 13 + 9],
        b"\x0a\x0euptime_seconds",
        b"\x12\x23Time since the registry was created",
        b"\x18\x01",                                 // a gauge
        b"\x22\x0b\x12\x09\x09\0\0\0\0\0\0\xf8\x3f", // 1.5 times two to the 0
        b"\x2a\x07seconds",
    ];
    family.concat()
}

async fn call(exporter: MetricsExporter, request: http::request::Builder) -> Response<Body> {
    let Ok(response) = exporter.oneshot(request.body(()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[VARY], "Accept, Accept-Encoding");
    response
}

fn get(query: &str) -> http::request::Builder {
    Request::get(format!("/metrics{query}")).header(ACCEPT, PROMETHEUS)
}

async fn content(response: Response<Body>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

#[tokio::test]
async fn a_page_byte_for_byte() {
    let response = call(registry().exporter(), get("")).await;
    assert_eq!(response.headers()[CONTENT_TYPE], PROTOBUF);
    let length = response.headers()[CONTENT_LENGTH].clone();
    let page = content(response).await;
    assert_eq!(page, [baked(), uptime()].concat());
    assert_eq!(length, page.len().to_string());
}

#[tokio::test]
async fn escaping_is_repeated() {
    for (asked, answered) in [
        ("allow-utf-8", "; escaping=allow-utf-8"),
        ("underscores", "; escaping=underscores"),
        ("dots", "; escaping=dots"),
        ("values", "; escaping=values"),
    ] {
        let accept = format!("{PROTOBUF}; escaping={asked}");
        let request = Request::get("/metrics").header(ACCEPT, accept);
        let response = call(registry().exporter(), request).await;
        let expected = format!("{PROTOBUF}{answered}");
        assert_eq!(response.headers()[CONTENT_TYPE], expected);
        // Dots escape underscores too.
        if asked != "dots" {
            assert_eq!(content(response).await, [baked(), uptime()].concat());
        }
    }
}

#[tokio::test]
async fn head_promises_what_get_sends() {
    let exporter = registry().exporter();
    let get = call(exporter.clone(), get("")).await;
    let head = call(exporter, self::get("").method(Method::HEAD)).await;
    assert_eq!(head.headers(), get.headers());
    assert!(head.body().is_end_stream());
}

#[tokio::test]
async fn families_are_selected_by_name() {
    for (query, expected) in [
        ("?name[]=baked_total", baked()),
        ("?name[]=baked", baked()),
        ("?name[]=uptime_seconds&name[]=none", uptime()),
        // A page without families is empty.
        ("?name[]=none", Vec::new()),
    ] {
        let response = call(registry().exporter(), get(query)).await;
        assert_eq!(response.headers()[CONTENT_TYPE], PROTOBUF);
        let length = response.headers()[CONTENT_LENGTH].clone();
        assert_eq!(length, expected.len().to_string(), "{query}");
        assert_eq!(content(response).await, expected, "{query}");
    }
}

#[tokio::test]
async fn clients_that_do_not_name_protobuf_get_text() {
    for accept in ["*/*", "application/*", "application/vnd.google.protobuf"] {
        let request = Request::get("/metrics").header(ACCEPT, accept);
        let response = call(registry().exporter(), request).await;
        let expected = "text/plain; version=0.0.4; charset=utf-8";
        assert_eq!(response.headers()[CONTENT_TYPE], expected, "{accept}");
    }
}

#[tokio::test]
async fn scrapes_of_different_formats_do_not_share_a_page() {
    let exporter = registry().exporter();
    let text = call(exporter.clone(), Request::get("/metrics"));
    let protobuf = call(exporter, get(""));
    let (text, protobuf) = tokio::join!(text, protobuf);
    assert!(content(text).await.starts_with(b"# HELP baked_total"));
    assert_eq!(content(protobuf).await, [baked(), uptime()].concat());
}

#[tokio::test]
async fn protobuf_pages_are_compressed() {
    let registry = registry();
    for number in 0..50 {
        let name = format!("counted_{number}");
        let counter = registry.register(name, "Of many", Counter::<u64>::default());
        drop(counter.unwrap());
    }
    let plain = content(call(registry.exporter(), get("")).await).await;
    let request = get("").header(ACCEPT_ENCODING, "gzip");
    let response = call(registry.exporter(), request).await;
    assert_eq!(response.headers()["content-encoding"], "gzip");
    assert_eq!(response.headers()[CONTENT_TYPE], PROTOBUF);
    let compressed = content(response).await;
    let mut unpacked = Vec::new();
    let mut decoder = flate2::read::MultiGzDecoder::new(&compressed[..]);
    decoder.read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain);
}
