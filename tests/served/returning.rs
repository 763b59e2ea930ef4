//! Calls under labels that leave and return.
//!
//! `GET /calls/{name}` is counted under the label `name`, and fails with `?error_type`. A label without calls leaves after two
//! seconds. `GET /remove` takes the whole endpoint off the page, and `GET /build` brings it back. `/metrics` shows created
//! timestamps.

mod server;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{Router, get};
use std::convert::Infallible;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_openmetrics::labels::Label;
use tower_openmetrics::{Error, ErrorType, MetricsLayer, MetricsRegistry};

/// An error type that the layer is not told of before.
const NEW: ErrorType = ErrorType::from_static("new");

/// An endpoint that can be removed and built again.
struct Endpoint {
    registry: MetricsRegistry,
    layer: Mutex<MetricsLayer>,
}

// === impl Endpoint ===

impl Endpoint {
    fn layer(&self) -> MutexGuard<'_, MetricsLayer> {
        self.layer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn build(registry: &MetricsRegistry) -> Result<MetricsLayer, Error> {
    let name = Label::from_request("name", |head| head.uri.path().strip_prefix("/calls/"));
    MetricsLayer::builder()
        .registry(registry)
        .label(name)
        .series_idle_timeout(Duration::from_secs(2))
        .build([("endpoint", "returning")])
}

async fn call(State(endpoint): State<Arc<Endpoint>>, request: Request) -> Response {
    let layer = endpoint.layer().clone();
    let answered = layer.layer(service_fn(answer));
    let Ok(response) = answered.oneshot(request).await;
    response.map(Body::new)
}

async fn answer<B>(request: http::Request<B>) -> Result<Response, Infallible> {
    let mut response = Response::default();
    if request.uri().query() == Some("error_type") {
        response.extensions_mut().insert(NEW);
    }
    Ok(response)
}

async fn remove(State(endpoint): State<Arc<Endpoint>>) -> String {
    endpoint.layer().remove().to_string()
}

async fn rebuild(State(endpoint): State<Arc<Endpoint>>) -> String {
    match build(&endpoint.registry) {
        Ok(layer) => {
            *endpoint.layer() = layer;
            "built".to_owned()
        }
        Err(error) => error.to_string(),
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let registry = MetricsRegistry::new();
    let endpoint = Arc::new(Endpoint {
        registry: registry.clone(),
        layer: Mutex::new(build(&registry)?),
    });
    let page = registry.exporter().created_timestamps(true);
    let app = Router::new()
        .route("/calls/{name}", get(call))
        .route("/remove", get(remove))
        .route("/build", get(rebuild))
        .route_service("/metrics", page)
        .with_state(endpoint);
    Ok(server::run("returning", &registry, app).await)
}
