//! What [`MetricsDashboard`] answers. What its page does is for a browser to tell: see `tests/e2e/check_dashboard.py`.

use axum::Router;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use sha2::{Digest, Sha256};
use tower::ServiceExt;
use tower_openmetrics::{MetricsDashboard, MetricsLayer};

/// As much as the page may weigh.
const MOST: usize = 60_000;

async fn call(dashboard: MetricsDashboard, method: Method) -> Response<Full<Bytes>> {
    let mut request = Request::new(());
    *request.method_mut() = method;
    let Ok(response) = dashboard.oneshot(request).await;
    response
}

async fn text(response: Response<Full<Bytes>>) -> String {
    let Ok(body) = response.into_body().collect().await;
    String::from_utf8(body.to_bytes().to_vec()).unwrap()
}

async fn page() -> String {
    text(call(MetricsDashboard::new(), Method::GET).await).await
}

/// What is between two tags.
fn between<'a>(page: &'a str, begin: &str, end: &str) -> &'a str {
    let (_, rest) = page.split_once(begin).expect(begin);
    rest.split_once(end).expect(end).0
}

#[tokio::test]
async fn the_page_is_html_that_nothing_else_can_get_into() {
    let response = call(MetricsDashboard::new(), Method::GET).await;
    assert_eq!(response.status(), StatusCode::OK);
    let headers = response.headers().clone();
    assert_eq!(headers[CONTENT_TYPE], "text/html; charset=utf-8");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["referrer-policy"], "no-referrer");
    assert_eq!(headers["cache-control"], "no-cache");
    let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(!policy.contains('*'), "{policy}");
    for part in [
        "default-src 'none'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ] {
        assert!(
            policy.split("; ").any(|own| own == part),
            "{part}: {policy}"
        );
    }
    let text = text(response).await;
    assert_eq!(headers[CONTENT_LENGTH], text.len().to_string());
    assert!(text.starts_with("<!doctype html>"), "{text}");
}

#[tokio::test]
async fn the_policy_has_the_hashes_of_the_script_and_the_style() {
    let response = call(MetricsDashboard::new(), Method::GET).await;
    let policy = response.headers()[CONTENT_SECURITY_POLICY].clone();
    let policy = policy.to_str().unwrap();
    let page = text(response).await;
    for (directive, begin, end) in [
        ("script-src", "<script type=\"module\">", "</script>"),
        ("style-src", "<style>", "</style>"),
    ] {
        let hash = BASE64_STANDARD.encode(Sha256::digest(between(&page, begin, end)));
        let expected = format!("{directive} 'sha256-{hash}';");
        assert!(
            policy.contains(&expected),
            "`POLICY` in src/dashboard/page.rs has to have {expected}"
        );
        assert_eq!(page.matches(begin).count(), 1, "one {begin}");
    }
}

#[tokio::test]
async fn the_page_is_small() {
    let page = page().await;
    assert!(page.len() <= MOST, "{} bytes", page.len());
}

#[tokio::test]
async fn nothing_is_left_of_the_template() {
    let page = page().await;
    for hole in ["{style}", "{script}", "{metrics}"] {
        assert!(!page.contains(hole), "{hole}");
    }
}

/// Neither the page nor its script names another host, loads anything, or makes markup of text.
#[tokio::test]
async fn nothing_comes_from_elsewhere() {
    let page = page().await;
    let allowed = page
        .replace("http://www.w3.org/2000/svg", "")
        .replace("new URL(PATH", "")
        .to_ascii_lowercase();
    for part in [
        "http:",
        "https:",
        "ws:",
        "wss:",
        "url(",
        "@import",
        "<link rel=\"stylesheet",
        "src=",
        "import(",
        "innerhtml",
        "outerhtml",
        "insertadjacenthtml",
        "document.write",
        "eval(",
        "new function",
        "onerror",
        "onclick",
        "style=\"",
    ] {
        assert!(!allowed.contains(part), "{part}");
    }
    // The one request that it makes.
    assert_eq!(allowed.matches("fetch(").count(), 1);
}

#[tokio::test]
async fn head_is_get_without_the_page() {
    let get = call(MetricsDashboard::new(), Method::GET).await;
    let head = call(MetricsDashboard::new(), Method::HEAD).await;
    assert_eq!(head.status(), StatusCode::OK);
    assert_eq!(head.headers(), get.headers());
    assert_eq!(text(head).await, "");
}

#[tokio::test]
async fn other_methods_are_refused() {
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let response = call(MetricsDashboard::new(), method).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[ALLOW], "GET, HEAD");
        let length = response.headers()[CONTENT_LENGTH].clone();
        let text = text(response).await;
        assert_eq!(length, text.len().to_string());
        assert!(text.contains("GET"), "{text}");
    }
}

#[tokio::test]
async fn the_path_of_the_exporter_is_text_in_the_page() {
    let hostile = "/a?b=\"><img src=x onerror=alert(1)>&c={script}{style}";
    let dashboard = MetricsDashboard::new().metrics_path(hostile);
    let page = text(call(dashboard, Method::GET).await).await;
    let meta = "<meta name=\"metrics\" content=\"/a?b=&quot;&gt;&lt;img src=x onerror=alert(1)&gt;&amp;c={script}{style}\">";
    assert!(page.contains(meta), "{}", &page[..600]);
    let default = self::page().await;
    assert!(default.contains("<meta name=\"metrics\" content=\"metrics\">"));
    let expected = default.replace("<meta name=\"metrics\" content=\"metrics\">", meta);
    assert_eq!(page, expected);
}

#[tokio::test]
async fn it_is_at_home_at_any_path() {
    let metrics = MetricsLayer::new([("service", "shop")]);
    let app: Router = Router::new()
        .route_service("/ops/metrics", metrics.exporter())
        .route_service("/ops/dashboard", MetricsDashboard::new())
        .nest_service("/nested", MetricsDashboard::new())
        .route_service("/slash/", MetricsDashboard::new());
    for path in ["/ops/dashboard", "/nested", "/nested/", "/slash/"] {
        let request = Request::get(path).body(axum::body::Body::empty()).unwrap();
        let Ok(response) = app.clone().oneshot(request).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, page().await, "{path}");
    }
}
