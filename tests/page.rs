//! The content of a page: registered metrics beside automatic ones, layers that are added and removed,
//! and metrics of other registries.

use http::Request;
use http_body_util::BodyExt;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::sync::{Arc, Mutex};
use tower::{Layer, ServiceExt, service_fn};
use tower_openmetrics::{MetricsExporter, MetricsLayer, MetricsRegistry};

/// Returns the status and the page in OpenMetrics.
async fn scrape(exporter: MetricsExporter) -> (u16, String) {
    let request = Request::get("/metrics").header("accept", "application/openmetrics-text");
    let response = exporter.oneshot(request.body(()).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let page = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(page.to_vec()).unwrap())
}

async fn page(registry: &MetricsRegistry) -> String {
    let (status, page) = scrape(registry.exporter()).await;
    assert_eq!(status, 200, "{page}");
    page
}

/// Returns the lines of families whose names start with `name`.
fn about(page: &str, name: &str) -> Vec<String> {
    let of = |line: &str| {
        let words = line
            .trim_start_matches("# HELP ")
            .trim_start_matches("# TYPE ");
        words.trim_start_matches("# UNIT ").starts_with(name)
    };
    page.lines()
        .filter(|line| of(line))
        .map(str::to_owned)
        .collect()
}

fn endpoint(registry: &MetricsRegistry, name: &str) -> MetricsLayer {
    let builder = MetricsLayer::builder().registry(registry);
    builder.build([("endpoint", name)]).unwrap()
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Shelf {
    shelf: String,
}

fn shelf(name: &str) -> Shelf {
    Shelf { shelf: name.into() }
}

#[tokio::test]
async fn registered_metrics_of_all_types_have_the_layers_labels() {
    let registry = MetricsRegistry::new();
    let layer = endpoint(&registry, "a");
    let counter = layer.register("jobs", "Jobs", Counter::<u64>::default());
    counter.unwrap().inc_by(2);
    let gauge = layer.register("depth", "Depth", Gauge::<i64>::default());
    gauge.unwrap().set(-3);
    let info = Info::new(vec![("version", "1")]);
    layer.register_info("build", "Build", info).unwrap();
    let histogram = layer.register_with_unit("wait", "Wait", Unit::Seconds, Histogram::new([1e-5]));
    histogram.unwrap().observe(0.5);
    let family = layer.register("books", "Books", Family::<Shelf, Counter>::default());
    let family = family.unwrap();
    for name in ["c", "a", "b"] {
        family.get_or_create(&shelf(name)).inc();
    }

    let page = page(&registry).await;
    let expected: [(&str, &[&str]); 5] = [
        (
            "jobs",
            &[
                "# HELP jobs Jobs",
                "# TYPE jobs counter",
                r#"jobs_total{endpoint="a"} 2"#,
            ],
        ),
        (
            "depth",
            &[
                "# HELP depth Depth",
                "# TYPE depth gauge",
                r#"depth{endpoint="a"} -3"#,
            ],
        ),
        (
            "build",
            &[
                "# HELP build Build",
                "# TYPE build info",
                r#"build_info{endpoint="a",version="1"} 1"#,
            ],
        ),
        (
            "wait",
            &[
                "# HELP wait_seconds Wait",
                "# TYPE wait_seconds histogram",
                "# UNIT wait_seconds seconds",
                r#"wait_seconds_sum{endpoint="a"} 0.5"#,
                r#"wait_seconds_count{endpoint="a"} 1"#,
                r#"wait_seconds_bucket{endpoint="a",le="1e-05"} 0"#,
                r#"wait_seconds_bucket{endpoint="a",le="+Inf"} 1"#,
            ],
        ),
        (
            "books",
            &[
                "# HELP books Books",
                "# TYPE books counter",
                r#"books_total{endpoint="a",shelf="a"} 1"#,
                r#"books_total{endpoint="a",shelf="b"} 1"#,
                r#"books_total{endpoint="a",shelf="c"} 1"#,
            ],
        ),
    ];
    for (name, lines) in expected {
        assert_eq!(about(&page, name), lines);
    }
}

/// A collector with one counter, whose name can change.
#[derive(Debug)]
struct Counting(Arc<Mutex<&'static str>>);

impl Collector for Counting {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let name = *self.0.lock().unwrap();
        let counter = ConstCounter::new(7u64);
        let metric_type = counter.metric_type();
        counter.encode(encoder.encode_descriptor(name, "Counted\nelsewhere", None, metric_type)?)
    }
}

fn counting(name: &'static str) -> (Counting, Arc<Mutex<&'static str>>) {
    let name = Arc::new(Mutex::new(name));
    (Counting(name.clone()), name)
}

#[tokio::test]
async fn collectors_have_the_layers_labels_and_share_a_family() {
    let registry = MetricsRegistry::new();
    for name in ["b", "a"] {
        let layer = endpoint(&registry, name);
        layer.register_collector(counting("seen").0).unwrap();
    }
    registry.register_collector(counting("seen").0).unwrap();
    assert_eq!(
        about(&page(&registry).await, "seen"),
        [
            r"# HELP seen Counted\nelsewhere",
            "# TYPE seen counter",
            "seen_total 7",
            r#"seen_total{endpoint="a"} 7"#,
            r#"seen_total{endpoint="b"} 7"#,
        ]
    );
}

#[tokio::test]
async fn a_collector_that_clashes_is_refused_or_fails_the_scrape() {
    let registry = MetricsRegistry::new();
    let layer = endpoint(&registry, "a");
    let refused = layer
        .register_collector(counting("requests").0)
        .unwrap_err();
    assert!(refused.to_string().contains("`requests`"), "{refused}");

    let (collector, name) = counting("fine");
    layer.register_collector(collector).unwrap();
    let again = layer.register_collector(counting("fine").0).unwrap_err();
    assert!(again.to_string().contains("`fine_total`"), "{again}");

    *name.lock().unwrap() = "errors";
    let (status, text) = scrape(registry.exporter()).await;
    assert_eq!(status, 500);
    assert!(text.contains("`errors`"), "{text}");
    *name.lock().unwrap() = "fine";
    assert_eq!(scrape(registry.exporter()).await.0, 200);
}

#[tokio::test]
async fn a_panicking_collector_fails_only_its_scrape() {
    let registry = MetricsRegistry::new();
    let (collector, name) = counting("fine");
    registry.register_collector(collector).unwrap();
    // Poisons the mutex, so that the collector panics until the poison is cleared.
    let poisoned = name.clone();
    let _ = std::thread::spawn(move || {
        let _name = poisoned.lock().unwrap();
        panic!("on purpose");
    })
    .join();
    assert_eq!(scrape(registry.exporter()).await.0, 500);
    name.clear_poison();
    assert_eq!(scrape(registry.exporter()).await.0, 200);
}

#[tokio::test]
async fn removing_a_layer_removes_its_metrics_and_collectors() {
    let registry = MetricsRegistry::new();
    let (a, b) = (endpoint(&registry, "a"), endpoint(&registry, "b"));
    for layer in [&a, &b] {
        let jobs = layer.register("jobs", "Jobs", Counter::<u64>::default());
        jobs.unwrap().inc();
    }
    a.register_collector(counting("seen").0).unwrap();
    let answer = service_fn(async |()| Ok::<_, ()>(()));
    let unary = MetricsLayer::unary_builder().registry(&registry);
    let c = unary.build([("endpoint", "c")]).unwrap();
    let service = c.layer(answer);
    service.clone().oneshot(()).await.unwrap();
    let held = service.clone().oneshot(());

    assert!(a.remove());
    assert!(c.remove());
    assert!(!a.remove(), "it is already removed");
    assert!(!registry.remove([("endpoint", "x")]).unwrap());
    assert!(registry.remove([("le", "x")]).is_err());
    let page_without = page(&registry).await;
    assert!(!page_without.contains("endpoint=\"a\""), "{page_without}");
    assert!(!page_without.contains("endpoint=\"c\""), "{page_without}");
    assert!(!page_without.contains("seen"), "{page_without}");
    assert!(page_without.contains("jobs_total{endpoint=\"b\"} 1"));
    let late = a.register("late", "Late", Counter::<u64>::default());
    assert!(late.unwrap_err().to_string().contains("removed"));

    // Calls in flight still count, but on a recorder that is no longer shown.
    let unary = MetricsLayer::unary_builder().registry(&registry);
    let _c = unary.build([("endpoint", "c")]).unwrap();
    held.await.unwrap();
    service.oneshot(()).await.unwrap();
    let anew = about(&page(&registry).await, "requests_total{endpoint=\"c\"}");
    assert_eq!(anew, [r#"requests_total{endpoint="c"} 0"#]);
}

#[tokio::test]
async fn a_layer_that_is_built_again_starts_from_zero() {
    let registry = MetricsRegistry::new();
    for round in 0..1_000 {
        let unary = MetricsLayer::unary_builder().registry(&registry);
        let layer = unary.build([("endpoint", "a")]).unwrap();
        let service = layer.layer(service_fn(async |()| Ok::<_, ()>(())));
        service.oneshot(()).await.unwrap();
        let requests = about(&page(&registry).await, "requests_total");
        assert_eq!(requests, [r#"requests_total{endpoint="a"} 1"#], "{round}");
        assert!(layer.remove());
    }
}

#[tokio::test]
async fn a_prometheus_client_registry_is_included_in_the_page() {
    let theirs = Arc::new(Mutex::new(Registry::with_prefix("app")));
    let jobs = Counter::<u64>::default();
    theirs
        .lock()
        .unwrap()
        .register("jobs", "Their jobs", jobs.clone());
    let registry = MetricsRegistry::new();
    let _layer = endpoint(&registry, "a");
    let locked = theirs.clone();
    registry
        .include_with(move |out| text::encode_registry(out, &locked.lock().unwrap()))
        .unwrap();
    jobs.inc_by(3);
    theirs
        .lock()
        .unwrap()
        .register("late", "Late", Gauge::<i64>::default());
    let page = page(&registry).await;
    assert_eq!(
        about(&page, "app"),
        [
            "# HELP app_jobs Their jobs.",
            "# TYPE app_jobs counter",
            "app_jobs_total 3",
            "# HELP app_late Late.",
            "# TYPE app_late gauge",
            "app_late 0",
        ]
    );
    assert!(page.contains(r#"requests_total{endpoint="a"} 0"#));

    let mut clashing = Registry::default();
    clashing.register("uptime_seconds", "Theirs", Gauge::<i64>::default());
    let refused = registry.include(Arc::new(clashing)).unwrap_err();
    assert!(
        refused.to_string().contains("`uptime_seconds`"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_registry_is_a_collector_for_prometheus_client() {
    let registry = MetricsRegistry::new();
    let layer = MetricsLayer::unary_builder().registry(&registry);
    let layer = layer.buckets([0.5]).build([("endpoint", "a")]).unwrap();
    let service = layer.layer(service_fn(async |n: u32| Err::<(), _>(n)));
    service.oneshot(7).await.unwrap_err();
    let mut theirs = Registry::with_prefix("app");
    theirs.register_collector(Box::new(registry));
    let mut page = String::new();
    text::encode(&mut page, &theirs).unwrap();

    assert_eq!(
        about(&page, "app_request_bytes"),
        [
            "# HELP app_request_bytes Bytes of requests that the service has read",
            "# TYPE app_request_bytes counter",
            "# UNIT app_request_bytes bytes",
            r#"app_request_bytes_total{endpoint="a"} 4"#,
        ]
    );
    for line in [
        r#"app_concurrent_requests{endpoint="a"} 0"#,
        r#"app_errors_total{endpoint="a",error_type="generate"} 1"#,
        r#"app_errors_total{endpoint="a",error_type="panic"} 0"#,
        r#"app_request_duration_seconds_bucket{le="0.5",endpoint="a"} 1"#,
        r#"app_request_duration_seconds_bucket{le="+Inf",endpoint="a"} 1"#,
        r#"app_request_duration_seconds_count{endpoint="a"} 1"#,
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
    assert!(page.contains("\napp_uptime_seconds "), "{page}");
}

/// Returns the page that an app serves under `/metrics`.
async fn scrape_app(app: &axum::Router) -> String {
    let request = Request::get("/metrics").header("accept", "application/openmetrics-text");
    let request = request.body(axum::body::Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let page = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(page.to_vec()).unwrap()
}

/// An app that has metrics and a page without the layer.
struct App {
    metrics: Arc<Registry>,
    jobs: Counter,
    routes: axum::Router,
}

fn app(also: Option<MetricsRegistry>) -> App {
    let mut metrics = Registry::with_prefix("app");
    let jobs = Counter::default();
    metrics.register("jobs", "Jobs", jobs.clone());
    if let Some(ours) = also {
        metrics.register_collector(Box::new(ours));
    }
    let metrics = Arc::new(metrics);
    let shown = metrics.clone();
    let own_page = axum::routing::get(async move || {
        let mut page = String::new();
        text::encode(&mut page, &shown).map(|()| page).unwrap()
    });
    let routes = axum::Router::new().route("/metrics", own_page);
    App {
        metrics,
        jobs,
        routes,
    }
}

#[tokio::test]
async fn the_layers_metrics_are_added_to_the_page_of_an_app() {
    let layer = MetricsLayer::new([("endpoint", "a")]);
    let app = app(Some(layer.registry().clone()));
    app.jobs.inc();
    let item = axum::routing::get(async || "item").layer(layer);
    let routes = app.routes.route("/item", item);

    let request = Request::get("/item")
        .body(axum::body::Body::empty())
        .unwrap();
    let response = routes.clone().oneshot(request).await.unwrap();
    response.into_body().collect().await.unwrap();
    let page = scrape_app(&routes).await;
    for line in [
        "app_jobs_total 1",
        r#"app_requests_total{endpoint="a"} 1"#,
        r#"app_response_bytes_total{endpoint="a"} 4"#,
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
}

#[tokio::test]
async fn the_metrics_of_an_app_are_added_to_the_exporters_page() {
    let app = app(None);
    let layer = MetricsLayer::new([("endpoint", "a")]);
    layer.registry().include(app.metrics.clone()).unwrap();
    app.jobs.inc();
    let routes = axum::Router::new()
        .route("/item", axum::routing::get(async || "item"))
        .layer(layer.clone())
        .route_service("/metrics", layer.exporter());
    let page = scrape_app(&routes).await;
    assert_eq!(
        about(&page, "app_jobs"),
        [
            "# HELP app_jobs Jobs.",
            "# TYPE app_jobs counter",
            "app_jobs_total 1"
        ]
    );
    assert!(page.contains(r#"requests_total{endpoint="a"} 0"#), "{page}");
    // The app's own page is unchanged.
    assert!(scrape_app(&app.routes).await.contains("app_jobs_total 1"));
}

/// Returns a prometheus-client registry with one gauge.
fn theirs(name: &str) -> Arc<Registry> {
    let mut theirs = Registry::default();
    theirs.register(name, "Theirs", Gauge::<i64>::default());
    Arc::new(theirs)
}

#[tokio::test]
async fn names_that_clash_with_an_included_family_are_refused_in_either_order() {
    for (name, shown) in [("requests_total", "requests_total"), ("errors", "errors")] {
        let registry = MetricsRegistry::new();
        let _layer = endpoint(&registry, "a");
        let late = registry.include(theirs(name)).unwrap_err().to_string();
        assert!(late.contains(&format!("`{shown}`")), "{late}");

        let registry = MetricsRegistry::new();
        registry.include(theirs(name)).unwrap();
        let builder = MetricsLayer::builder().registry(&registry);
        let late = builder.build([("endpoint", "a")]).unwrap_err().to_string();
        assert!(late.contains(&format!("`{shown}`")), "{late}");
        page(&registry).await;
    }

    let registry = MetricsRegistry::new();
    registry.include(theirs("x_total")).unwrap();
    let late = registry.register("x", "Ours", Counter::<u64>::default());
    let late = late.unwrap_err().to_string();
    assert!(late.contains("`x_total`"), "{late}");
    page(&registry).await;
}

#[tokio::test]
async fn removing_a_layer_keeps_the_metrics_of_others() {
    let registry = MetricsRegistry::new();
    let build = |prefix: &str, labels: &[(&str, &str)]| {
        let builder = MetricsLayer::builder().registry(&registry).prefix(prefix);
        builder.build(labels.iter().copied()).unwrap()
    };
    let (x, y) = (
        build("x", &[("endpoint", "a")]),
        build("y", &[("endpoint", "a")]),
    );
    let jobs = x.register("jobs", "Jobs", Counter::<u64>::default());
    jobs.unwrap();
    assert!(x.remove());
    let left = page(&registry).await;
    assert!(!left.contains("x_requests_total"), "{left}");
    assert!(left.contains("y_requests_total"), "{left}");
    assert!(left.contains(r#"jobs_total{endpoint="a"}"#), "{left}");
    assert!(y.remove());
    assert!(!page(&registry).await.contains("jobs"));

    let old = build("x", &[("endpoint", "a")]);
    assert!(old.remove());
    let _new = build("x", &[("endpoint", "a")]);
    assert!(!old.remove(), "another layer has its labels now");
    assert!(page(&registry).await.contains("x_requests_total"));

    let unlabelled = build("", &[]);
    registry
        .register("own", "The registry's own", Gauge::<i64>::default())
        .unwrap();
    assert!(unlabelled.remove());
    let left = page(&registry).await;
    assert!(left.contains("own 0"), "{left}");
    assert!(!left.contains("\nrequests_total"), "{left}");
}
