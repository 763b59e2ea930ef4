//! Labels of all metrics of a registry, and metrics that are unregistered one by one.

mod support;

use self::support::{Page, page_of};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::sync::Arc;
use tower_openmetrics::labels::Label;
use tower_openmetrics::{Clock, Error, Format, MetricsLayer, MetricsLayerBuilder, MetricsRegistry};

fn registry() -> MetricsRegistry {
    let builder = MetricsRegistry::builder().clock(Clock::manual());
    builder
        .build([("zone", "eu"), ("service", "shop")])
        .unwrap()
}

fn on(registry: &MetricsRegistry) -> MetricsLayerBuilder {
    MetricsLayer::builder().registry(registry)
}

#[derive(Debug)]
struct Disk;

impl Collector for Disk {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let gauge = ConstGauge::new(7);
        let family = encoder.encode_descriptor("disk", "Disk", None, gauge.metric_type())?;
        gauge.encode(family)
    }
}

// === labels ===

#[test]
fn every_metric_of_a_registry_has_its_labels() -> Result<(), Error> {
    let registry = registry();
    let layer = on(&registry).build([("endpoint", "a")])?;
    layer.register("rows", "Rows", Counter::<u64>::default())?;
    registry.register("jobs", "Jobs", Gauge::<i64>::default())?;
    registry.register_collector(Disk)?;
    layer.register_collector(Disk)?;
    let exporter = registry.exporter().self_metrics()?;
    let page = Page::parse(&page_of(exporter, "application/openmetrics-text"));
    for (series, _) in page.samples() {
        assert!(series.contains(r#"service="shop""#), "{series}");
        assert!(series.contains(r#"zone="eu""#), "{series}");
    }
    for series in [
        r#"uptime_seconds{service="shop",zone="eu"}"#,
        r#"requests_total{endpoint="a",service="shop",zone="eu"}"#,
        r#"rows_total{endpoint="a",service="shop",zone="eu"}"#,
        r#"jobs{service="shop",zone="eu"}"#,
        r#"disk{service="shop",zone="eu"}"#,
        r#"disk{endpoint="a",service="shop",zone="eu"}"#,
        r#"metrics_exporter_scrapes_in_flight{service="shop",zone="eu"}"#,
    ] {
        assert!(page.samples().any(|(one, _)| one == series), "{series}");
    }
    Ok(())
}

/// They keep their own labels, and don't get the registry's.
#[test]
fn included_families_are_shown_unchanged() -> Result<(), Error> {
    let registry = registry();
    let mut theirs = Registry::default();
    theirs.register("books", "Books", Gauge::<i64>::default());
    registry.include(Arc::new(theirs))?;
    let page = registry.encode(Format::OpenMetrics)?;
    assert!(page.contains("\nbooks 0\n"), "{page}");
    Ok(())
}

#[test]
fn a_registry_of_prometheus_client_shows_the_labels_too() -> Result<(), Error> {
    let registry = registry();
    drop(on(&registry).build([("endpoint", "a")])?);
    let mut theirs = Registry::default();
    registry.register_in(&mut theirs)?;
    let mut page = String::new();
    prometheus_client::encoding::text::encode(&mut page, &theirs).unwrap();
    for line in [
        r#"uptime_seconds{service="shop",zone="eu"} 0.0"#,
        r#"requests_total{endpoint="a",service="shop",zone="eu"} 0"#,
    ] {
        assert!(page.lines().any(|one| one == line), "{line}\n{page}");
    }
    Ok(())
}

/// Neither as a constant label nor as a request label.
#[test]
fn a_label_of_the_registry_cant_be_given_again() {
    let registry = registry();
    let constant = on(&registry).build([("zone", "us")]).map(drop);
    let request = on(&registry).label(Label::method().named("zone")).build(());
    for error in [constant, request.map(drop)] {
        let error = error.unwrap_err().to_string();
        assert!(error.contains("`zone`"), "{error}");
    }
}

#[test]
fn the_labels_of_a_registry_are_checked() {
    for labels in [
        [("le", ""), ("a", "")],
        [("a\n", ""), ("a", "")],
        [("a", "1"), ("a", "2")],
    ] {
        let error = MetricsRegistry::builder().build(labels).unwrap_err();
        assert!(error.to_string().contains("label"), "{error}");
    }
}

/// Without the registry's labels.
#[test]
fn an_endpoint_is_removed_by_its_own_labels() -> Result<(), Error> {
    let registry = registry();
    let layer = on(&registry).build([("endpoint", "a")])?;
    let plain = on(&registry).build(())?;
    registry.register("jobs", "Jobs", Gauge::<i64>::default())?;
    assert!(registry.remove([("endpoint", "a")])?);
    assert!(!layer.remove());
    // Metrics of the registry don't belong to the layer.
    assert!(plain.remove());
    let page = registry.encode(Format::OpenMetrics)?;
    assert!(
        page.contains("jobs{") && !page.contains("requests_total"),
        "{page}"
    );
    assert!(registry.remove(())?);
    assert!(!registry.encode(Format::OpenMetrics)?.contains("jobs"));
    Ok(())
}

// === one metric ===

#[test]
fn an_unregistered_metric_frees_its_name() -> Result<(), Error> {
    for registry in [MetricsRegistry::new(), registry()] {
        let layer = on(&registry).build([("endpoint", "a")])?;
        let other = on(&registry).build([("endpoint", "b")])?;
        let jobs = || Gauge::<i64>::default();
        registry.register("jobs", "Jobs", jobs())?;
        layer.register("jobs", "Jobs", jobs())?;
        other.register("jobs", "Jobs", jobs())?;
        other.register("books", "Books", jobs())?;
        let shown = || {
            let page = registry.encode(Format::OpenMetrics).unwrap();
            page.lines().filter(|line| line.starts_with("jobs")).count()
        };
        assert_eq!(shown(), 3);
        assert!(layer.unregister("jobs"));
        assert!(!layer.unregister("jobs"));
        assert_eq!(shown(), 2);
        assert!(registry.unregister("jobs"));
        assert_eq!(shown(), 1);
        assert!(other.unregister("jobs"));
        assert_eq!(shown(), 0);
        // It may have another type, because the family is gone.
        registry.register("jobs", "Jobs done", Counter::<u64>::default())?;
        assert_eq!(shown(), 1);
        assert!(registry.encode(Format::OpenMetrics)?.contains("\nbooks{"));
    }
    Ok(())
}

#[test]
fn a_metric_is_unregistered_where_it_was_registered() -> Result<(), Error> {
    let registry = MetricsRegistry::new();
    for name in ["read", "read_bytes"] {
        let read = Counter::<u64>::default();
        registry.register_with_unit("read", "Read", Unit::Bytes, read)?;
        assert!(registry.unregister(name), "{name}");
    }
    registry.register("read", "Read", Counter::<u64>::default())?;
    for name in ["rea", "read_", "", "uptime_seconds", "requests"] {
        assert!(!registry.unregister(name), "{name}");
    }
    assert!(registry.unregister("read"));
    Ok(())
}

#[test]
fn a_removed_layer_unregisters_nothing() -> Result<(), Error> {
    let registry = MetricsRegistry::new();
    let first = on(&registry).build([("endpoint", "a")])?;
    assert!(first.remove());
    let second = on(&registry).build([("endpoint", "a")])?;
    second.register("jobs", "Jobs", Gauge::<i64>::default())?;
    assert!(!first.unregister("jobs"));
    assert!(second.unregister("jobs"));
    Ok(())
}
