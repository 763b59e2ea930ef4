//! Settings accept every form of their values.

mod support;

use self::support::{Page, page_of};
use std::collections::{BTreeMap, HashMap};
use tower_openmetrics::labels::ConstantLabels;
use tower_openmetrics::{Error, MetricsLayer, MetricsRegistry};

/// Returns the name and labels of the counter of calls.
fn requests_total<P>(layer: &MetricsLayer<P>) -> String {
    let page = Page::read(layer.exporter());
    let mut samples = page.samples().map(|(series, _)| series);
    let requests = samples.find(|series| series.contains("requests_total"));
    requests.expect("a counter").to_owned()
}

#[test]
fn labels_are_optional() -> Result<(), Error> {
    for series in [
        requests_total(&MetricsLayer::new(())),
        requests_total(&MetricsLayer::client(())),
        requests_total(&MetricsLayer::unary(())),
        requests_total(&MetricsLayer::streaming(())),
        requests_total(&MetricsLayer::builder().build(())?),
        requests_total(&MetricsLayer::client_builder().build(())?),
        requests_total(&MetricsLayer::unary_builder().build(())?),
        requests_total(&MetricsLayer::streaming_builder().build(())?),
    ] {
        assert_eq!(series, "requests_total");
    }
    // All series of these layers have request labels.
    let _ = MetricsLayer::grpc(());
    let _ = MetricsLayer::grpc_builder().build(())?;
    let _ = MetricsLayer::grpc_client(());
    let _ = MetricsLayer::grpc_client_builder().build(())?;

    let registry = MetricsRegistry::new();
    let _ = MetricsLayer::builder().registry(&registry).build(())?;
    assert!(registry.remove(())?);
    assert!(!registry.remove(())?);
    Ok(())
}

#[test]
fn labels_come_in_any_collection() {
    fn built<L, M>(labels: L)
    where
        L: ConstantLabels<M>,
    {
        let series = requests_total(&MetricsLayer::new(labels));
        assert_eq!(series, r#"requests_total{endpoint="a"}"#);
    }

    /// Passes labels on, as a user's function might.
    fn forwarded<L, K, V>(labels: L)
    where
        L: IntoIterator<Item = (K, V)>,
        K: Into<String>,
        V: Into<String>,
    {
        built(labels);
    }

    let pair = || ("endpoint".to_owned(), "a".to_owned());
    built([("endpoint", "a")]);
    built([("endpoint", "a".to_owned())]);
    built([pair()]);
    built(vec![pair()]);
    built(Some(("endpoint", "a")));
    built(HashMap::from([("endpoint", "a")]));
    built(BTreeMap::from([pair()]));
    built(std::iter::once(pair()));
    forwarded([("endpoint", "a")]);
    assert_eq!(
        requests_total(&MetricsLayer::new([("", ""); 0])),
        "requests_total"
    );
}

#[test]
fn one_underscore_separates_a_prefix() -> Result<(), Error> {
    for (prefix, name) in [
        ("", "requests_total"),
        ("my", "my_requests_total"),
        ("my_", "my_requests_total"),
        ("my__", "my_requests_total"),
        ("my_app_", "my_app_requests_total"),
        ("_my", "_my_requests_total"),
    ] {
        let layer = MetricsLayer::builder().prefix(prefix).build(())?;
        assert_eq!(requests_total(&layer), name, "{prefix:?}");
    }

    let layer = MetricsLayer::builder().open_telemetry().prefix("my_");
    let page = page_of(layer.build(())?.exporter(), "text/plain");
    let family = "# TYPE my_http_server_request_duration_seconds histogram\n";
    assert!(page.contains(family), "{page}");

    // Both spellings make the same layer.
    let registry = MetricsRegistry::new();
    for prefix in ["my", "my_"] {
        let layer = MetricsLayer::builder().registry(&registry).prefix(prefix);
        let _ = layer.build([("endpoint", "a")])?;
    }
    let page = Page::read(registry.exporter());
    assert_eq!(page.all("my_requests_total").count(), 1);

    let error = MetricsLayer::builder().prefix("__").build(()).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("\"__\"") && error.contains("prefix"),
        "{error}"
    );
    Ok(())
}
