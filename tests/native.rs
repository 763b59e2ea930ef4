//! Native histograms on pages in text formats, which can't show native buckets.

mod support;

use self::support::{now, page_of, take_to_end};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;
use tower::{Layer, Service, service_fn};
use tower_openmetrics::{Clock, MetricsLayer, MetricsLayerBuilder};

fn builder(clock: Clock) -> MetricsLayerBuilder {
    MetricsLayer::builder().clock(clock).native_histograms(true)
}

/// Returns the page after calls of 0.5 and 2 seconds.
fn page(builder: MetricsLayerBuilder, clock: Clock, accept: &str) -> String {
    let layer = builder.build([("a", "1")]).unwrap();
    for millis in [500, 2_000] {
        let mut service = layer.layer(service_fn(async |_: Request<_>| {
            clock.advance(Duration::from_millis(millis));
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }));
        let Ok(answer) = now(service.call(Request::new(Full::<Bytes>::default())));
        take_to_end(pin!(answer.into_body()));
    }
    page_of(layer.exporter(), accept)
}

#[test]
fn without_classic_buckets_there_is_only_the_bucket_of_infinity() {
    let clock = Clock::manual();
    for (accept, unit) in [
        ("text/plain", ""),
        (
            "application/openmetrics-text",
            "# UNIT request_duration_seconds seconds\n",
        ),
    ] {
        let page = page(builder(clock).classic_histograms(false), clock, accept);
        let expected = format!(
            "# TYPE request_duration_seconds histogram\n\
             {unit}request_duration_seconds_bucket{{a=\"1\",le=\"+Inf\"}} 2\n\
             request_duration_seconds_sum{{a=\"1\"}} 2.5\n\
             request_duration_seconds_count{{a=\"1\"}} 2\n\
             # HELP requests"
        );
        assert!(page.contains(&expected), "{page}");
        // The rest of the page is unchanged.
        assert!(page.contains("\nrequests_total{a=\"1\"} 2\n"), "{page}");
        assert!(page.contains("\nuptime_seconds "), "{page}");
    }
}

#[test]
fn with_classic_buckets_the_text_page_does_not_change() {
    let clock = Clock::manual();
    for accept in ["text/plain", "application/openmetrics-text"] {
        // The two pages differ in `uptime_seconds`, which comes last.
        let page = |native| {
            let page = page(
                builder(clock).buckets([1.0]).native_histograms(native),
                clock,
                accept,
            );
            page.split("# HELP uptime").next().unwrap().to_owned()
        };
        assert!(page(true).contains("_bucket{a=\"1\",le=\"1.0\"} 1\n"));
        assert_eq!(page(true), page(false));
    }
}
