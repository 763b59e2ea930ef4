//! A page as text, without a scrape.

mod support;

use self::support::page_of;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::counter::Counter;
use std::cell::RefCell;
use std::fmt;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use tower_openmetrics::{Clock, Format, MetricsLayer, MetricsRegistry};

fn layer() -> MetricsLayer {
    // A manual clock stops the uptime, too.
    let builder = MetricsLayer::builder().clock(Clock::manual());
    let layer = builder.build([("endpoint", "a")]).unwrap();
    let rows = layer.register("rows_read", "Rows read", Counter::<u64>::default());
    rows.unwrap().inc_by(3);
    layer
}

#[test]
fn encode_returns_the_page_of_an_exporter() {
    for (format, accept) in [
        (Format::OpenMetrics, "application/openmetrics-text"),
        (Format::Prometheus, "text/plain"),
    ] {
        let layer = layer();
        let text = layer.registry().encode(format).unwrap();
        assert_eq!(text, page_of(layer.exporter(), accept));
        assert!(text.contains("rows_read_total{endpoint=\"a\"} 3\n"));
    }
}

#[test]
fn a_format_has_the_media_type_of_an_exporter() {
    use futures_util::FutureExt;
    use tower::ServiceExt;

    for format in [Format::OpenMetrics, Format::Prometheus] {
        let scrape = http::Request::get("/").header("accept", format.content_type());
        let scrape = scrape.body(()).unwrap();
        let answer = layer().exporter().oneshot(scrape).now_or_never();
        let Ok(answer) = answer.expect("no runtime, so nothing to wait for");
        assert_eq!(answer.headers()["content-type"], format.content_type());
    }
}

/// A collector that calls a function.
struct FromFn<F>(F);

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FromFn")
    }
}

impl<F: Fn() -> fmt::Result + Send + Sync + 'static> Collector for FromFn<F> {
    fn encode(&self, _: DescriptorEncoder<'_>) -> fmt::Result {
        (self.0)()
    }
}

#[test]
fn an_error_names_the_metric_that_cant_be_shown() {
    let registry = MetricsRegistry::new();
    let is_broken = Arc::new(Mutex::new(false));
    let broken = is_broken.clone();
    let collector = FromFn(move || match *broken.lock().unwrap() {
        true => Err(fmt::Error),
        false => Ok(()),
    });
    registry.register_collector(collector).unwrap();
    let before = registry.encode(Format::OpenMetrics);
    assert!(before.unwrap().ends_with("# EOF\n"));
    *is_broken.lock().unwrap() = true;
    let error = registry.encode(Format::OpenMetrics).unwrap_err();
    assert!(error.to_string().contains("FromFn"), "{error}");
}

#[test]
fn a_collector_that_encodes_its_own_page_gets_an_error() {
    let registry = MetricsRegistry::new();
    let told = Arc::new(Mutex::new(String::new()));
    let (inner, tell) = (registry.clone(), told.clone());
    let collector = FromFn(move || {
        if let Err(error) = inner.encode(Format::Prometheus) {
            *tell.lock().unwrap() = error.to_string();
        }
        Ok(())
    });
    registry.register_collector(collector).unwrap();
    registry.encode(Format::OpenMetrics).unwrap();
    let told = told.lock().unwrap();
    assert!(told.contains("may not scrape the registry"), "{told}");
}

/// A program may write its last numbers when a thread ends, where thread-locals may have been dropped.
#[test]
fn a_page_can_be_encoded_while_a_thread_ends() {
    struct Last(MetricsRegistry, Sender<String>);

    impl Drop for Last {
        fn drop(&mut self) {
            let page = self.0.encode(Format::Prometheus).unwrap();
            self.1.send(page).unwrap();
        }
    }

    thread_local! {
        static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
    }

    let (sender, pages) = channel();
    let layer = layer();
    let registry = layer.registry().clone();
    let ends = move || {
        // Dropped last, as it is registered first.
        LAST.set(Some(Last(registry.clone(), sender)));
        registry.encode(Format::Prometheus).unwrap();
    };
    thread::spawn(ends).join().unwrap();
    assert!(
        pages
            .recv()
            .unwrap()
            .contains("rows_read_total{endpoint=\"a\"} 3\n")
    );
}
