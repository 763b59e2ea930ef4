//! Every builder shows the error types of its classifier at 0 before they occur.

use super::support::Page;
use tower::BoxError;
use tower_openmetrics::classify::{Classify, ErrorType, HttpClient, by_error, expecting};
use tower_openmetrics::message::Own;
use tower_openmetrics::protocol::Grpc;
use tower_openmetrics::{MetricsLayer, MetricsLayerBuilder};

/// A classifier with its own error types.
#[derive(Clone, Copy, Debug)]
struct Printer;

const PAPER: ErrorType = ErrorType::from_static("paper");
const INK: ErrorType = ErrorType::from_static("ink");

impl Classify for Printer {
    fn error_types(&self) -> &'static [ErrorType] {
        &[PAPER, INK]
    }
}

/// Checks that these types are at 0, and that no other type of a client or a printer is shown.
#[track_caller]
fn expect<P>(builder: MetricsLayerBuilder<P>, row: &str, expected: &[&str]) {
    let layer = builder.build([("endpoint", "a")]).unwrap();
    let page = Page::read(layer.exporter());
    let stands_at_zero = |name: &&str| {
        let label = format!("error_type=\"{name}\"");
        let mut all = page.all("errors_total");
        all.any(|(labels, value)| labels.contains(&label) && value == "0")
    };
    assert!(stands_at_zero(&"panic"), "{row}: built in");
    let all = CLIENT.iter().chain(PRINTER).copied();
    let found: Vec<&str> = all.filter(stands_at_zero).collect();
    assert_eq!(found, expected, "{row}");
}

const CLIENT: &[&str] = &["connect", "rejected"];
const PRINTER: &[&str] = &["paper", "ink"];
const NONE: &[&str] = &[];

/// A builder with a classifier, followed by other settings.
macro_rules! expect_each {
    ($row:literal, $builder:expr) => {{
        let unknown = by_error(|_: &BoxError, _| None::<ErrorType>);
        let unexpected = expecting(|_| false);
        expect($builder, concat!($row, ", by default"), NONE);
        expect($builder.classifier(HttpClient), $row, CLIENT);
        expect($builder.classifier(Printer), $row, PRINTER);
        expect(
            $builder.classifier(Printer).classifier(HttpClient),
            $row,
            CLIENT,
        );
        expect($builder.classifier(unknown.or(HttpClient)), $row, CLIENT);
        expect($builder.classifier(unexpected.or(Printer)), $row, PRINTER);
        expect(
            $builder.classifier(unknown.or(unexpected.or(Printer))),
            $row,
            PRINTER,
        );
    }};
}

/// Metrics of gRPC have labels, so nothing is shown before a call or a declaration.
fn declared<P>(builder: MetricsLayerBuilder<P>) -> MetricsLayerBuilder<P> {
    builder.declare([("grpc_service", "shop.Cart"), ("grpc_method", "Add")])
}

#[test]
fn every_builder_shows_the_declared_types() {
    expect_each!("HTTP", MetricsLayer::builder());
    expect_each!("gRPC", declared(MetricsLayer::grpc_builder()));
    expect_each!("gRPC alone", MetricsLayer::protocol_builder(Grpc::new()));
    expect_each!("unary", MetricsLayer::unary_builder());
    expect_each!("streaming", MetricsLayer::streaming_builder());
    expect_each!(
        "of streams",
        MetricsLayer::unary_builder().request_streams(Own)
    );
    expect_each!(
        "both ways",
        MetricsLayer::streaming_builder().request_streams(Own)
    );
}

#[test]
fn a_protocol_with_a_classifier_shows_the_declared_types() {
    expect(MetricsLayer::client_builder(), "client", CLIENT);
    let client = declared(MetricsLayer::grpc_client_builder());
    expect(client, "gRPC's client", CLIENT);
    let client = MetricsLayer::grpc_client_builder().classifier(Printer);
    expect(declared(client), "another one of gRPC's client", PRINTER);
}

/// Later settings keep the declared types.
#[test]
fn later_settings_keep_the_declared_types() {
    let unary = MetricsLayer::unary_builder().classifier(Printer);
    let unary = unary.measure_requests(Own).measure_responses(Own);
    expect(unary, "measures", PRINTER);
    let streaming = MetricsLayer::streaming_builder().classifier(Printer);
    let streaming = streaming.request_streams(Own).measure_items(Own);
    expect(streaming, "measures", PRINTER);
}
