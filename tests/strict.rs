//! Metrics that strict parsers would refuse are refused at registration or left out of the page.

mod support;

use self::support::page_of;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::CounterWithExemplar;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use tower_openmetrics::{Clock, Error, MetricsLayer, MetricsRegistry};

const OPEN_METRICS: &str = "application/openmetrics-text";
const TEXT: &str = "text/plain";

type Labels = Vec<(String, String)>;

fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Labels {
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    pairs.to_vec()
}

fn registry() -> MetricsRegistry {
    MetricsRegistry::with_clock(Clock::manual())
}

/// Returns the lines of families whose names start with `name`.
fn about(registry: &MetricsRegistry, accept: &str, name: &str) -> Vec<String> {
    let page = page_of(registry.exporter(), accept);
    let lines = page.lines().filter(|line| {
        let words = line.trim_start_matches("# HELP ");
        words.trim_start_matches("# TYPE ").starts_with(name)
    });
    lines.map(str::to_owned).collect()
}

#[test]
fn metrics_that_parsers_refuse_are_refused_with_the_reason() {
    type Registering = fn(&MetricsLayer) -> Result<(), Error>;
    let rows: [(Registering, &[&str]); 7] = [
        (
            |layer| {
                layer
                    .register("h", "", Histogram::new([2.0, 1.0]))
                    .map(drop)
            },
            &["`h`", "sorted"],
        ),
        (
            |layer| {
                layer
                    .register("h", "", Histogram::new([1.0, 1.0]))
                    .map(drop)
            },
            &["`h_bucket`", "twice"],
        ),
        (
            |layer| {
                let family =
                    Family::<Labels, Histogram>::new_with_constructor(|| Histogram::new([1.0]));
                drop(family.get_or_create(&labels([("le", "x")])));
                layer.register("h", "", family).map(drop)
            },
            &["`h_bucket`", "`le`"],
        ),
        (
            |layer| layer.register_info("i", "", Info::new(labels([("endpoint", "b")]))),
            &["`i_info`", "`endpoint`", "twice"],
        ),
        (
            |layer| layer.register_info("i", "", Info::new(labels([("a-b", "1"), ("a_b", "")]))),
            &["`a-b`", "`a_b`"],
        ),
        (
            |layer| layer.register_info("i", "", Info::new(labels([("__a", "1")]))),
            &["\"__a\""],
        ),
        (
            |layer| {
                let mut theirs = Registry::default();
                theirs.register("a-b", "", Gauge::<i64>::default());
                theirs.register("a_b", "", Gauge::<i64>::default());
                layer.registry().include(Arc::new(theirs))
            },
            &["`a-b`", "`a_b`"],
        ),
    ];
    for (register, named) in rows {
        let registry = registry();
        let layer = MetricsLayer::builder().registry(&registry);
        let layer = layer.build([("endpoint", "a")]).unwrap();
        let before = page_of(registry.exporter(), OPEN_METRICS);
        let error = register(&layer).unwrap_err().to_string();
        for value in named {
            assert!(error.contains(value), "{value}: {error}");
        }
        assert_eq!(page_of(registry.exporter(), OPEN_METRICS), before);
    }
}

/// An empty label equals no label, and a series may be registered with different parts of its labels.
#[test]
fn a_series_that_is_already_shown_is_refused() {
    type Registering = fn(&MetricsRegistry) -> Result<(), Error>;
    let rows: [(&str, Registering); 2] = [
        ("", |registry| {
            let counter = Counter::<u64>::default();
            registry.register("jobs", "Jobs", counter).map(drop)
        }),
        ("a", |registry| {
            let family = Family::<Labels, Counter>::default();
            family.get_or_create(&labels([("endpoint", "a")])).inc();
            registry.register("jobs", "Jobs", family).map(drop)
        }),
    ];
    for (endpoint, register) in rows {
        let registry = registry();
        let layer = MetricsLayer::builder().registry(&registry);
        let layer = layer.build([("endpoint", endpoint)]).unwrap();
        let counter = Counter::<u64>::default();
        layer.register("jobs", "Jobs", counter).unwrap();
        let error = register(&registry).unwrap_err().to_string();
        assert!(error.contains("`jobs_total` appears twice"), "{error}");
        assert!(!about(&registry, OPEN_METRICS, "jobs").is_empty());
    }
}

#[test]
fn an_invalid_exemplar_is_left_out() {
    let long = "x".repeat(128);
    for (exemplar, shown) in [
        (labels([("trace_id", "7")]), r#" # {trace_id="7"} 1.0"#),
        (labels([("trace_id", &long)]), ""),
        (labels([("trace_id", "\"")]), ""),
        (labels([("trace-id", "7")]), ""),
    ] {
        let registry = registry();
        let counter = CounterWithExemplar::<Labels>::default();
        let counter = registry.register("jobs", "Jobs", counter).unwrap();
        counter.inc_by(1, Some(exemplar), None);
        let [_, _, sample] = &about(&registry, OPEN_METRICS, "jobs")[..] else {
            panic!("one sample");
        };
        assert_eq!(*sample, format!("jobs_total 1{shown}"));
    }
}

#[test]
fn openmetrics_shows_no_sum_of_negative_observations() {
    let registry = registry();
    let histogram = registry.register("delta", "Delta", Histogram::new([1.0]));
    histogram.unwrap().observe(-2.5);
    let open_metrics = [
        "# HELP delta Delta",
        "# TYPE delta histogram",
        r#"delta_bucket{le="1.0"} 1"#,
        r#"delta_bucket{le="+Inf"} 1"#,
    ];
    assert_eq!(about(&registry, OPEN_METRICS, "delta"), open_metrics);
    let text = about(&registry, TEXT, "delta");
    assert_eq!(text[2..4], ["delta_sum -2.5", "delta_count 1"]);
}

#[test]
fn included_families_keep_their_types() {
    let registry = registry();
    let theirs = "# HELP a Asked\n# TYPE a summary\na{quantile=\"0.5\"} 1\na_sum 2\na_count 3\n\
                  # HELP b Built\n# TYPE b stateset\nb{b=\"on\"} 1\nb{b=\"off\"} 0\n";
    registry
        .include_with(move |page| std::fmt::Write::write_str(page, theirs))
        .unwrap();
    let summary = about(&registry, TEXT, "a");
    assert_eq!(summary[1], "# TYPE a summary");
    assert_eq!(summary, about(&registry, OPEN_METRICS, "a"));
    assert_eq!(about(&registry, TEXT, "b")[1], "# TYPE b gauge");
    assert_eq!(about(&registry, OPEN_METRICS, "b")[1], "# TYPE b stateset");
}

#[test]
fn metadata_within_a_help_text_is_not_parsed() {
    let registry = registry();
    let mut theirs = Registry::default();
    let help = "Many lines:\n# TYPE jobs counter";
    theirs.register("theirs", help, Gauge::<i64>::default());
    registry.include(Arc::new(theirs)).unwrap();
    registry
        .register("jobs", "Jobs", Counter::<u64>::default())
        .unwrap();
    let help = about(&registry, OPEN_METRICS, "theirs")[0].clone();
    assert_eq!(help, "# HELP theirs Many lines:\\n# TYPE jobs counter.");
}
