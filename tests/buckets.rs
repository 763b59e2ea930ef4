//! Each histogram can have buckets of its own.

mod support;

use self::support::Page;
use tower_openmetrics::labels::is_long_lived;
use tower_openmetrics::{Error, MetricsLayer, MetricsLayerBuilder};

/// Returns the bounds of a histogram, without `+Inf`.
fn bounds<P>(layer: &MetricsLayer<P>, name: &str) -> Vec<f64> {
    let page = Page::read(layer.exporter());
    let bounds = page.buckets(name).into_iter().map(|(bound, _)| bound);
    bounds.filter(|bound| bound.is_finite()).collect()
}

fn all_histograms() -> MetricsLayerBuilder {
    MetricsLayer::builder()
        .response_head_seconds(true)
        .first_byte_seconds(true)
        .stream_duration_seconds(is_long_lived)
}

#[test]
fn times_default_to_the_buckets_of_the_duration() -> Result<(), Error> {
    let same = all_histograms().buckets([1.0]).build(())?;
    let own = all_histograms()
        .buckets([1.0])
        .response_head_buckets([2.0])
        .first_byte_buckets([3.0, 4.0])
        .stream_buckets([5.0])
        .build(())?;
    for (name, expected_same, expected_own) in [
        ("request_duration_seconds", vec![1.0], vec![1.0]),
        ("response_head_seconds", vec![1.0], vec![2.0]),
        ("first_byte_seconds", vec![1.0], vec![3.0, 4.0]),
    ] {
        assert_eq!(bounds(&same, name), expected_same, "{name}");
        assert_eq!(bounds(&own, name), expected_own, "{name}");
    }
    assert_eq!(bounds(&own, "stream_duration_seconds"), [5.0]);
    assert_eq!(bounds(&same, "stream_duration_seconds")[..2], [1.0, 5.0]);
    Ok(())
}

#[test]
fn sizes_of_requests_and_responses_have_their_own_buckets() -> Result<(), Error> {
    use tower::{Layer, ServiceExt};

    let layer = MetricsLayer::builder()
        .open_telemetry()
        .body_size_buckets([1])
        .response_body_size_buckets([2, 3])
        .build(())?;
    let service = layer.layer(tower::service_fn(async |_: http::Request<_>| {
        Ok::<_, std::convert::Infallible>(http::Response::new(String::new()))
    }));
    drop(support::now(
        service.oneshot(http::Request::new(String::new())),
    ));
    assert_eq!(bounds(&layer, "http_server_request_body_size_bytes"), [1.0]);
    assert_eq!(
        bounds(&layer, "http_server_response_body_size_bytes"),
        [2.0, 3.0]
    );
    Ok(())
}

#[test]
fn buckets_without_effect_are_refused() {
    let builder = MetricsLayer::builder;
    let refused = [
        (
            "response_head_buckets",
            builder().response_head_buckets([1.0]),
        ),
        ("first_byte_buckets", builder().first_byte_buckets([1.0])),
        ("stream_buckets", builder().stream_buckets([1.0])),
        ("first_item_buckets", builder().first_item_buckets([1.0])),
        ("item_gap_buckets", builder().item_gap_buckets([1.0])),
        (
            "time_per_item_buckets",
            builder().time_per_item_buckets([1.0]),
        ),
        ("ready_wait_buckets", builder().ready_wait_buckets([1.0])),
        ("queue_wait_buckets", builder().queue_wait_buckets([1.0])),
        (
            "handler_poll_buckets",
            builder().handler_poll_buckets([1.0]),
        ),
        (
            "request_body_size_buckets",
            builder().request_body_size_buckets([1]),
        ),
        (
            "response_body_size_buckets",
            builder().response_body_size_buckets([1]),
        ),
        (
            "buckets",
            builder().buckets([1.0]).classic_histograms(false),
        ),
        (
            "first_byte_buckets",
            all_histograms()
                .first_byte_buckets([1.0])
                .classic_histograms(false),
        ),
        (
            "stream_buckets",
            all_histograms()
                .stream_buckets([1.0])
                .classic_histograms(false),
        ),
    ];
    for (setting, builder) in refused {
        let error = builder.build(()).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("`{setting}` would do nothing")),
            "{error}"
        );
    }
}

#[test]
fn buckets_that_later_settings_replace_are_refused() {
    let builder = || MetricsLayer::builder().open_telemetry();
    for (setting, builder) in [
        (
            "body_size_buckets",
            builder()
                .body_size_buckets([1])
                .request_body_size_buckets([2])
                .response_body_size_buckets([3]),
        ),
        (
            "request_body_size_buckets",
            builder()
                .request_body_size_buckets([2])
                .body_size_buckets([1]),
        ),
    ] {
        let error = builder.build(()).unwrap_err().to_string();
        let expected = format!("`{setting}` would do nothing");
        assert!(error.starts_with(&expected), "{error}");
    }
}

#[test]
fn an_error_names_the_setting_and_the_bound() {
    for (setting, builder) in [
        ("buckets", all_histograms().buckets([2.0, 1.0])),
        (
            "response_head_buckets",
            all_histograms().response_head_buckets([2.0, 1.0]),
        ),
        (
            "first_byte_buckets",
            all_histograms().first_byte_buckets([2.0, 1.0]),
        ),
        (
            "stream_buckets",
            all_histograms().stream_buckets([2.0, 1.0]),
        ),
    ] {
        let error = builder.build(()).unwrap_err().to_string();
        assert!(error.contains(&format!("`{setting}`")), "{error}");
        assert!(error.contains("1 comes after 2"), "{error}");
    }
}
