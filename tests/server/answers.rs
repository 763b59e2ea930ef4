//! Responses of the status server.

use crate::client::{Answer, Client};
use crate::{patient, start, start_empty};
use prometheus_client::metrics::counter::Counter;
use serde_json::{Value, json};
use tower_openmetrics::MetricsRegistry;
use tower_openmetrics::server::HealthStatus;

#[tokio::test]
async fn metrics_responds_with_the_exporters_page() {
    let registry = MetricsRegistry::new();
    let sold = registry.register("sold", "Apples sold", Counter::<u64>::default());
    sold.unwrap().inc_by(3);
    let server = start(patient(), &registry).await;
    let mut client = Client::connect(server.local_addr()).await;

    let answer = client.get("/metrics?collect=all").await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("\nsold_total 3\n"), "{answer:?}");
    assert!(answer.header("content-type").unwrap().contains("version="));

    let openmetrics =
        "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text\r\n\r\n";
    let answer = client.ask(openmetrics).await;
    assert!(answer.text().ends_with("# EOF\n"), "{answer:?}");
}

#[tokio::test]
async fn live_is_200_regardless_of_the_health() {
    let server = start_empty(patient()).await;
    let mut client = Client::connect(server.local_addr()).await;
    for status in [HealthStatus::NotReady, HealthStatus::Ready] {
        server.health().set("work", status);
        let answer = client.get("/live").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let json = answer.json();
        assert_eq!(json["status"], "live");
        assert!(json["uptime"].as_f64().unwrap() >= 0.0);
    }
}

#[tokio::test]
async fn health_is_ready_if_every_endpoint_is() {
    let server = patient();
    let health = server.health();
    let server = start_empty(server).await;
    let mut client = Client::connect(server.local_addr()).await;
    let mut expect = async |code: u16, status: &str, endpoints: Value| {
        let answer = client.get("/health").await;
        assert_eq!(answer.status, code);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let mut json = answer.json();
        assert!(json["uptime"].take().as_f64().unwrap() >= 0.0);
        assert_eq!(
            json,
            json!({"status": status, "uptime": null, "endpoints": endpoints})
        );
    };

    expect(503, "notready", json!({})).await;
    health.set("a", HealthStatus::Ready);
    expect(200, "ready", json!({"a": "ready"})).await;
    server
        .health()
        .set("b \"\\\n\u{1}ü🦀", HealthStatus::NotReady);
    let both = json!({"a": "ready", "b \"\\\n\u{1}ü🦀": "notready"});
    expect(503, "notready", both).await;
    health.set("a", HealthStatus::NotReady);
    assert!(health.remove("b \"\\\n\u{1}ü🦀").is_some());
    expect(503, "notready", json!({"a": "notready"})).await;
    health.set("a", HealthStatus::Ready);
    expect(200, "ready", json!({"a": "ready"})).await;
    health.remove("a");
    expect(503, "notready", json!({})).await;
}

#[tokio::test]
async fn health_has_the_starting_status_without_endpoints() {
    let server = start_empty(patient().starting_health_status(HealthStatus::Ready)).await;
    let mut client = Client::connect(server.local_addr()).await;
    let answer = client.get("/health").await;
    assert_eq!(
        (answer.status, &answer.json()["status"]),
        (200, &json!("ready"))
    );
}

#[tokio::test]
async fn another_path_is_a_404() {
    let server = start_empty(patient()).await;
    let mut client = Client::connect(server.local_addr()).await;
    for path in [
        "/",
        "/metrics/",
        "/Health",
        "/healthz",
        "//live",
        "/%6Cive",
        "*",
    ] {
        let method = if path == "*" { "OPTIONS" } else { "GET" };
        let answer = client.request(method, path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.text().contains("/metrics"), "{answer:?}");
    }
}

#[tokio::test]
async fn the_paths_of_health_checks_are_settable() {
    let server = start_empty(patient().health_path("/ready/now").live_path("/health")).await;
    let mut client = Client::connect(server.local_addr()).await;
    assert_eq!(client.get("/ready/now").await.status, 503);
    assert_eq!(client.get("/health").await.json()["status"], "live");
    assert_eq!(client.request("POST", "/ready/now").await.status, 405);
    let answer = client.get("/live").await;
    assert_eq!(answer.status, 404);
    assert!(
        answer.text().contains("/ready/now and /health\n"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn another_method_is_a_405_with_allow() {
    let server = start_empty(patient()).await;
    let mut client = Client::connect(server.local_addr()).await;
    for path in ["/metrics", "/health", "/live"] {
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"] {
            let answer = client.request(method, path).await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.header("allow"), Some("GET, HEAD"));
        }
    }
}

#[cfg(feature = "dashboard")]
#[tokio::test]
async fn the_dashboard_is_beside_the_metrics() {
    let server = start_empty(patient()).await;
    let mut client = Client::connect(server.local_addr()).await;
    for path in ["/dashboard", "/dashboard/"] {
        let answer = client.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        let kind = answer.header("content-type").unwrap();
        assert_eq!(kind, "text/html; charset=utf-8");
        assert!(answer.header("content-security-policy").is_some());
        assert!(answer.text().ends_with("</html>\n"), "{path}");
        let head = client.request("HEAD", path).await;
        let length = |answer: &Answer| answer.header("content-length").unwrap().to_owned();
        assert_eq!((head.status, length(&head)), (200, length(&answer)));
        let post = client.request("POST", path).await;
        assert_eq!(
            (post.status, post.header("allow")),
            (405, Some("GET, HEAD"))
        );
    }
    let answer = client.get("/dashboard/more").await;
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("/dashboard"), "{answer:?}");
}

#[tokio::test]
async fn head_responds_like_get_without_the_body() {
    let server = start_empty(patient()).await;
    let mut client = Client::connect(server.local_addr()).await;
    for (path, status) in [
        ("/metrics", 200),
        ("/health", 503),
        ("/live", 200),
        ("/none", 404),
    ] {
        // A body would corrupt the next response on this connection.
        let head = client.request("HEAD", path).await;
        let get = client.get(path).await;
        assert_eq!((head.status, get.status), (status, status), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"));
        // The uptime may have one more digit.
        let length = |answer: &Answer| -> usize {
            answer.header("content-length").unwrap().parse().unwrap()
        };
        assert!(
            length(&head).abs_diff(length(&get)) <= 1,
            "{head:?} {get:?}"
        );
    }
}

#[tokio::test]
async fn garbage_does_not_disturb_other_clients() {
    let server = start_empty(patient()).await;
    let too_long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1 << 20));
    let too_many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(10_000));
    for bad in ["\0\0\r\n\r\n", "hello\r\n\r\n", &too_long, &too_many] {
        let mut client = Client::connect(server.local_addr()).await;
        // The server may close the connection before everything is sent.
        let _ = client.send(bad).await;
        client.closed().await;
    }
    let mut client = Client::connect(server.local_addr()).await;
    assert_eq!(client.get("/live").await.status, 200);
}
