//! The example `exemplars`: what stands on its page is what OpenTelemetry's exporter gets.

#![cfg(test)]

#[allow(dead_code, reason = "its `main` is not used")]
#[path = "../../examples/exemplars.rs"]
mod exemplars;

use opentelemetry_sdk::trace::{InMemorySpanExporter, Sampler, SdkTracerProvider};

#[tokio::test]
async fn a_bucket_shows_the_trace_that_is_exported() {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter.clone())
        .build();
    let page = exemplars::page_after_a_call(&provider).await.unwrap();
    provider.force_flush().unwrap();
    let spans = exporter.get_finished_spans().unwrap();
    let [span] = &spans[..] else {
        panic!("one span, not {spans:?}");
    };
    let context = &span.span_context;
    let (span_id, trace_id) = (context.span_id(), context.trace_id());
    let expected = format!("# {{span_id=\"{span_id}\",trace_id=\"{trace_id}\"}} ");
    assert_eq!(page.matches(&expected).count(), 1, "{expected} in\n{page}");
}

#[tokio::test]
async fn a_trace_that_is_not_sampled_is_not_shown() {
    let provider = SdkTracerProvider::builder()
        .with_sampler(Sampler::AlwaysOff)
        .build();
    let page = exemplars::page_after_a_call(&provider).await.unwrap();
    assert!(page.contains("request_duration_seconds_count{endpoint=\"greeting\"} 1\n"));
    assert!(!page.contains("trace_id"), "{page}");
}
