//! README's first program shows README's lines.

use axum::body::Body;
use axum::extract::{Path, Request};
use axum::{Router, routing::get};
use http_body_util::BodyExt;
use tower::ServiceExt;
use tower_openmetrics::MetricsLayer;

const README: &str = include_str!("../README.md");

/// The fenced block below a marker.
fn block(marker: &str) -> &'static str {
    let (_, below) = README.split_once(marker).expect("README has the marker");
    below
        .split("```")
        .nth(1)
        .expect("a fenced block is below it")
}

/// README's, but for the listener. That one compiles as a doc test.
fn app() -> Router {
    let metrics = MetricsLayer::new([("service", "shop")]);
    Router::new()
        .route(
            "/items/{id}",
            get(async |Path(id): Path<u64>| format!("item {id}\n")),
        )
        .layer(metrics.clone())
        .route_service("/metrics", metrics.exporter())
}

async fn answer(app: &Router, path: &str) -> String {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap();
    String::from_utf8(body.to_bytes().into()).unwrap()
}

#[tokio::test]
async fn the_first_program_shows_the_lines_below_it() {
    let program = block("<!-- program:axum -->");
    for line in [
        "MetricsLayer::new([(\"service\", \"shop\")])",
        "\"/items/{id}\"",
    ] {
        assert!(program.contains(line), "not README's program: {line}");
    }
    let app = app();
    assert_eq!(answer(&app, "/items/7").await, "item 7\n");
    let page = answer(&app, "/metrics").await;
    let mut lines = page.lines();
    let shown = block("<!-- page:axum -->").lines().skip(1);
    let mut count = 0;
    for line in shown {
        assert!(
            lines.any(|on_page| on_page == line),
            "{line}\nis not on\n{page}"
        );
        count += 1;
    }
    assert!(count > 5, "README shows {count} lines");
}
