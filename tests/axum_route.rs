//! The template that axum's router has matched, as a label: what a layer sees where.

mod support;

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, NestedPath};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use http::Request;
use std::pin::pin;
use support::{Page, now, take_to_end};
use tower::util::MapRequestLayer;
use tower::{Layer, Service, ServiceExt};
use tower_openmetrics::labels::Label;
use tower_openmetrics::{Error, MetricsLayer, MetricsRegistry};

fn layer(route: Label) -> MetricsLayer {
    MetricsLayer::builder()
        .label(route)
        .label(Label::status())
        .build([("endpoint", "shop")])
        .unwrap()
}

fn hello() -> MethodRouter {
    get(async || "hello")
}

/// Mounts services in every way that axum has.
fn app() -> Router {
    let deepest = Router::new().route("/{a}/{*rest}", hello());
    let nested = Router::new()
        .route("/", hello())
        .route("/items/{id}", hello().merge(post(async || "made")))
        .nest("/v{version}", deepest);
    let with_fallback = Router::new()
        .route("/known", hello())
        .fallback(async || "unknown");
    Router::new()
        .route("/", hello())
        .nest("/api", nested)
        .nest("/own", with_fallback)
        .merge(Router::new().route("/merged/{id}", hello()))
        .route_service("/service/{*rest}", hello())
        .nest_service("/files", hello())
        .nest_service("/router", Router::new().route("/known/{id}", hello()))
        .fallback(async || (http::StatusCode::NOT_FOUND, "nothing"))
        .method_not_allowed_fallback(async || (http::StatusCode::METHOD_NOT_ALLOWED, "no"))
}

/// Makes one request, and returns the route and the status that it is counted under.
fn counted<S, B>(layer: &MetricsLayer, app: S, method: &str, path: &str) -> (String, String)
where
    S: Service<Request<Body>, Response = Response<B>, Error: std::fmt::Debug>,
    B: http_body::Body<Error: std::fmt::Debug>,
{
    let request = Request::builder().method(method).uri(path);
    let answer = now(app.oneshot(request.body(Body::empty()).unwrap())).unwrap();
    take_to_end(pin!(answer.into_body()));
    let page = Page::read(layer.exporter());
    let mut ended = page.all("requests_total");
    let (labels, count) = ended.next().expect("a call");
    assert_eq!((ended.next(), count), (None, "1"), "{method} {path}");
    let value = |name| {
        let (_, value) = labels.split_once(&format!("{name}=\"")).unwrap();
        value.split_once('"').unwrap().0.to_owned()
    };
    (value("route"), value("status"))
}

/// Makes each request to an app with a layer of its own.
#[track_caller]
fn assert_routes<S, B>(
    route: impl Fn() -> Label,
    with: impl Fn(MetricsLayer) -> S,
    cases: &[(&str, &str, &str, &str)],
) where
    S: Service<Request<Body>, Response = Response<B>, Error: std::fmt::Debug>,
    B: http_body::Body<Error: std::fmt::Debug>,
{
    for (method, path, route_of, status) in cases {
        let layer = layer(route());
        let counted = counted(&layer, with(layer.clone()), method, path);
        let expected = ((*route_of).to_owned(), (*status).to_owned());
        assert_eq!(counted, expected, "{method} {path}");
    }
}

/// What a layer on the outermost router sees, with and without the feature.
const ON_THE_ROUTER: [(&str, &str, &str, &str); 20] = [
    ("GET", "/", "/", "200"),
    ("HEAD", "/", "/", "200"),
    ("GET", "/?q=1", "/", "200"),
    ("GET", "/api", "/api", "200"),
    ("GET", "/api/items/1", "/api/items/{id}", "200"),
    ("POST", "/api/items/2", "/api/items/{id}", "200"),
    ("PUT", "/api/items/3", "/api/items/{id}", "405"),
    ("GET", "/api/v2/x/y/z", "/api/v{version}/{a}/{*rest}", "200"),
    ("GET", "/merged/7", "/merged/{id}", "200"),
    ("GET", "/own/known", "/own/known", "200"),
    ("POST", "/own/known", "/own/known", "405"),
    ("GET", "/own/else", "none", "200"),
    ("GET", "/service/a/b", "/service/{*rest}", "200"),
    ("GET", "/files", "/files", "200"),
    ("GET", "/files/", "/files/", "200"),
    ("GET", "/files/a/b", "none", "200"),
    ("GET", "/router/known/1", "none", "200"),
    ("GET", "/router/unknown", "none", "404"),
    ("GET", "/nowhere", "none", "404"),
    ("GET", "/api/nowhere/%22", "none", "404"),
];

#[test]
fn a_layer_on_the_router_knows_the_template() {
    assert_routes(
        Label::axum_route,
        |layer| app().layer(layer),
        &ON_THE_ROUTER,
    );
}

#[test]
fn a_closure_knows_the_same_templates_without_the_feature() {
    let route = || Label::route(|head| Some(head.extensions.get::<MatchedPath>()?.as_str()));
    assert_routes(route, |layer| app().layer(layer), &ON_THE_ROUTER);
}

#[test]
fn a_layer_on_an_inner_router_knows_the_whole_template() {
    let nested = |layer| {
        let deepest = Router::new().route("/{id}", hello()).layer(layer);
        Router::new().nest("/a", Router::new().nest("/{b}", deepest))
    };
    assert_routes(
        Label::axum_route,
        nested,
        &[
            ("GET", "/a/1/2", "/a/{b}/{id}", "200"),
            ("POST", "/a/1/2", "/a/{b}/{id}", "405"),
        ],
    );
    let with_fallback = |layer| {
        let inner = Router::new().fallback(async || "unknown").layer(layer);
        Router::new().nest("/a", inner)
    };
    assert_routes(
        Label::axum_route,
        with_fallback,
        &[("GET", "/a/x", "/a", "200")],
    );
}

#[test]
fn a_layer_around_a_mounted_service_knows_where_it_is_mounted() {
    let service = |layer: MetricsLayer| {
        let inner = Router::new().nest_service("/files", layer.layer(hello()));
        Router::new().nest("/api", inner)
    };
    assert_routes(
        Label::axum_route,
        service,
        &[
            ("GET", "/api/files/a/b", "/api/files", "200"),
            ("GET", "/api/files", "/api/files", "200"),
            ("PUT", "/api/files/a", "/api/files", "405"),
        ],
    );
    let router = |layer| {
        let inner = Router::new().route("/items/{id}", hello()).layer(layer);
        Router::new().nest_service("/api", inner)
    };
    assert_routes(
        Label::axum_route,
        router,
        &[
            ("GET", "/api/items/1", "/api/items/{id}", "200"),
            ("PUT", "/api/items/1", "/api/items/{id}", "405"),
            ("GET", "/api/items", "/api", "404"),
        ],
    );
}

/// The recipe of the module's documentation.
async fn tell_route(request: Request<Body>, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    if let Some(matched) = matched {
        response.extensions_mut().insert(matched);
    }
    response
}

#[test]
fn a_layer_around_the_router_reads_the_route_from_the_response() {
    let told =
        |layer: MetricsLayer| layer.layer(app().route_layer(middleware::from_fn(tell_route)));
    let route = || {
        Label::from_response("route", |head| {
            Some(head.extensions.get::<MatchedPath>()?.as_str())
        })
    };
    assert_routes(route, told, &ON_THE_ROUTER);
    // Without the recipe it can't know the route.
    let unmatched = ON_THE_ROUTER.map(|(method, path, _, status)| (method, path, "none", status));
    assert_routes(
        Label::axum_route,
        |layer: MetricsLayer| layer.layer(app()),
        &unmatched,
    );
}

/// The program chose the templates, so they have no maximum length.
#[test]
fn a_long_template_does_not_become_other() {
    let long = "a".repeat(200);
    for end in ["x", "y"] {
        let layer = layer(Label::axum_route());
        let route = format!("/{long}/{{id}}/{end}");
        let app = Router::new().route(&route, hello()).layer(layer.clone());
        let (counted, _) = counted(&layer, app, "GET", &route.replace("{id}", "7"));
        assert_eq!(counted, route);
    }
}

/// On axum's main branch, a layer sees the route of a fallback, as the layer here does.
#[test]
fn a_template_that_axum_makes_for_itself_is_none() {
    let private = |layer| {
        let inner = Router::new().route("/{*__private__axum_fallback}", hello());
        let around = Router::new().route_service("/known", hello());
        around.merge(inner).layer(layer)
    };
    let nested = |layer| {
        let inner = Router::new().route("/{*__private__axum_fallback}", hello());
        Router::new().nest("/api", inner.layer(layer))
    };
    let with_routes = |layer| {
        let inner = Router::new().route("/items/{id}", hello()).layer(layer);
        let inner = MapRequestLayer::new(|request: Request<Body>| request).layer(inner);
        Router::new().route_service("/{*__private__axum_fallback}", inner)
    };
    let by_hand = || Label::route(|head| Some(head.extensions.get::<MatchedPath>()?.as_str()));
    for (route, of_nested) in [(Label::axum_route as fn() -> _, "/api"), (by_hand, "none")] {
        let cases = [
            ("GET", "/known", "/known", "200"),
            ("GET", "/else", "none", "200"),
        ];
        assert_routes(route, private, &cases);
        assert_routes(route, nested, &[("GET", "/api/else", of_nested, "200")]);
        let below = ("GET", "/items/7", "/items/{id}", "200");
        assert_routes(route, with_routes, &[below]);
    }
}

/// The recipe of the module's documentation, for mounted services.
#[test]
fn the_response_can_carry_the_route_of_a_mounted_service() {
    async fn tell_mount(nested: NestedPath, request: Request<Body>, next: Next) -> Response {
        let mut response = next.run(request).await;
        response.extensions_mut().insert(nested);
        response
    }
    let told = |layer: MetricsLayer| {
        let files = middleware::from_fn(tell_mount).layer(hello());
        Router::new().nest_service("/files", files).layer(layer)
    };
    let route = || {
        Label::from_response("route", |head| {
            Some(head.extensions.get::<NestedPath>()?.as_str())
        })
    };
    assert_routes(route, told, &[("GET", "/files/a/b", "/files", "200")]);
}

#[test]
fn layers_with_equal_routes_share_series() -> Result<(), Error> {
    let registry = MetricsRegistry::new();
    let layer = || {
        let builder = MetricsLayer::builder().registry(&registry);
        builder.label(Label::axum_route()).build([("a", "1")])
    };
    let app = Router::new()
        .route("/", hello())
        .layer(layer()?)
        .nest_service("/files", layer()?.layer(hello()));
    for path in ["/", "/files/a", "/files/b"] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let Ok(answer) = now(app.clone().oneshot(request));
        take_to_end(pin!(answer.into_body()));
    }
    let page = Page::read(registry.exporter());
    let ended: Vec<_> = page.all("requests_total").collect();
    assert_eq!(
        ended,
        [
            (r#"{a="1",route="/"}"#, "1"),
            (r#"{a="1",route="/files"}"#, "2")
        ]
    );
    Ok(())
}

/// They are shown whole, even if only their last bytes differ.
#[test]
fn long_templates_are_told_apart() {
    let stem = format!("/{}", "segment/".repeat(24));
    for last in ["a", "b"] {
        let template = format!("{stem}{last}/{{id}}");
        assert!(template.len() > 128 + 64);
        let layer = layer(Label::axum_route());
        let app = Router::new()
            .route(&format!("{stem}a/{{id}}"), hello())
            .route(&format!("{stem}b/{{id}}"), hello())
            .layer(layer.clone());
        let found = counted(&layer, app, "GET", &format!("{stem}{last}/1"));
        assert_eq!(found, (template, "200".to_owned()));
    }
}
