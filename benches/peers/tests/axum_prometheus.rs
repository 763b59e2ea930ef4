//! The real axum-prometheus beside our layer with its names: what is the same, and what `migration` says of the differences.
//!
//! All in one test, for its recorder is global.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use axum_prometheus::PrometheusMetricLayer;
use http::Request;
use http_body_util::BodyExt;
use std::collections::{BTreeMap, BTreeSet};
use tower::ServiceExt;
use tower_openmetrics::{Format, MetricsLayer};

fn app() -> Router {
    Router::new()
        .route("/", get(async || "hello"))
        .route("/items/{id}", get(async || "item"))
}

fn request(method: &str, path: &str) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    request.body(Body::empty()).unwrap()
}

/// Value by name and labels, which come in the order of their names.
fn samples(page: &str) -> BTreeMap<String, f64> {
    let samples = page
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    samples
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series
                .trim_end_matches('}')
                .split_once('{')
                .unwrap_or((series, ""));
            let labels: BTreeSet<&str> = labels
                .split("\",")
                .map(|label| label.trim_end_matches('"'))
                .collect();
            let labels: Vec<_> = labels.into_iter().collect();
            (
                format!("{name} {}", labels.join(" ")),
                value.parse().unwrap(),
            )
        })
        .collect()
}

#[tokio::test]
async fn what_axum_prometheus_shows_is_there() {
    let (their_layer, handle) = PrometheusMetricLayer::pair();
    let our_layer = MetricsLayer::builder().axum_prometheus().build(()).unwrap();
    let theirs = app().layer(their_layer);
    let ours = app().layer(our_layer.clone());
    let their_samples = || samples(&handle.render());
    let our_samples = || samples(&our_layer.registry().encode(Format::Prometheus).unwrap());

    // Theirs are counted with the head, ours at the end; both are pending until then.
    let total = "axum_http_requests_total endpoint=\"/ method=\"GET status=\"200";
    let pending = "axum_http_requests_pending endpoint=\"/ method=\"GET";
    let their_answer = theirs.clone().oneshot(request("GET", "/")).await.unwrap();
    let our_answer = ours.clone().oneshot(request("GET", "/")).await.unwrap();
    assert_eq!((their_samples()[total], our_samples()[total]), (1.0, 0.0));
    assert_eq!(
        (their_samples()[pending], our_samples()[pending]),
        (1.0, 1.0)
    );
    for answer in [their_answer, our_answer] {
        answer.into_body().collect().await.unwrap();
    }
    assert_eq!((their_samples()[total], our_samples()[total]), (1.0, 1.0));
    assert_eq!(
        (their_samples()[pending], our_samples()[pending]),
        (0.0, 0.0)
    );

    for (method, path) in [("GET", "/"), ("GET", "/items/7"), ("POST", "/items/7")] {
        for app in [&theirs, &ours] {
            let answer = app.clone().oneshot(request(method, path)).await.unwrap();
            answer.into_body().collect().await.unwrap();
        }
    }
    // All of their series, with whole bounds spelt as we do; and what counts calls has the same values.
    let (shown, ours_shown) = (their_samples(), our_samples());
    assert_eq!(shown.len(), 3 * 14 + 3 + 3);
    for (series, value) in shown {
        let series = ["1", "5", "10"].iter().fold(series, |series, bound| {
            series.replace(&format!("le=\"{bound} "), &format!("le=\"{bound}.0 "))
        });
        let our_value = ours_shown.get(&series);
        let our_value = our_value.unwrap_or_else(|| panic!("{series} in {ours_shown:#?}"));
        if !series.contains("_sum") && !series.contains("_bucket") {
            assert_eq!(*our_value, value, "{series}");
        }
    }

    // What clients make up is a label there.
    for app in [&theirs, &ours] {
        let answer = app.clone().oneshot(request("BREW", "/.env")).await.unwrap();
        answer.into_body().collect().await.unwrap();
    }
    let made_up = "axum_http_requests_total endpoint=\"/.env method= status=\"404";
    let unmatched = "axum_http_requests_total endpoint=\"none method=\"_OTHER status=\"404";
    assert_eq!(
        (their_samples()[made_up], our_samples()[unmatched]),
        (1.0, 1.0)
    );
}
