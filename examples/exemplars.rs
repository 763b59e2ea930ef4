//! Exemplars lead from a bucket to a trace: they have the ids of `tracing` spans, as OpenTelemetry exports them.
//!
//! ```text
//! $ cargo run -p traced --example exemplars
//! …
//! request_duration_seconds_bucket{endpoint="greeting",le="0.005"} 1 # {span_id="…",trace_id="…"} 0.000062 …
//! ```
//!
//! The layer that opens the span is outside of the metrics, so that the call begins in the span. This example doesn't
//! export spans; yours go where the provider's exporter sends them.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::Request;
use http_body_util::BodyExt;
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tower::{BoxError, ServiceBuilder, ServiceExt};
use tower_http::trace::TraceLayer;
use tower_openmetrics::labels::RequestHead;
use tower_openmetrics::{Format, MetricsLayer, TraceContext};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::SubscriberExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let provider = SdkTracerProvider::builder().build();
    println!("{}", page_after_a_call(&provider).await?);
    Ok(())
}

/// Returns the trace of the current span, if it is sampled. Other spans are never exported.
fn current_trace(_: &RequestHead<'_>) -> Option<TraceContext> {
    let context = Span::current().context();
    let span = context.span();
    let span = span.span_context();
    let ids = || {
        let trace_id = u128::from_be_bytes(span.trace_id().to_bytes());
        TraceContext::new(trace_id, u64::from_be_bytes(span.span_id().to_bytes()))
    };
    (span.is_valid() && span.is_sampled()).then(ids)
}

/// Serves a call whose span goes to `provider`, and returns the page.
pub(crate) async fn page_after_a_call(provider: &SdkTracerProvider) -> Result<String, BoxError> {
    let tracer = provider.tracer("greeting");
    let spans = tracing_opentelemetry::layer().with_tracer(tracer);
    let subscriber = tracing_subscriber::registry().with(spans);
    // In a server: `tracing::subscriber::set_global_default(subscriber)`.
    let _guard = tracing::subscriber::set_default(subscriber);

    let metrics = MetricsLayer::builder()
        .exemplars(current_trace)
        .build([("endpoint", "greeting")])?;
    let traced = TraceLayer::new_for_http().make_span_with(|request: &Request<Body>| {
        tracing::info_span!("request", path = request.uri().path())
    });
    let app = Router::new()
        .route("/", get(async || "hello\n"))
        .layer(ServiceBuilder::new().layer(traced).layer(metrics.clone()));

    let response = app.oneshot(Request::get("/").body(Body::empty())?).await?;
    response.into_body().collect().await?;

    Ok(metrics.registry().encode(Format::OpenMetrics)?)
}
