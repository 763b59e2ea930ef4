//! Pages without the families that can't be shown.

use crate::clients::{Answer, Client, over_each_client};
use http::{Request, StatusCode};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use tower_openmetrics::{Clock, MetricsExporter, MetricsLayer, MetricsRegistry};

/// The behaviour of [`Fragile`].
const WORKS: u8 = 0;
const FAILS: u8 = 1;
const PANICS: u8 = 2;
/// Also shows families that clash with an automatic and with a custom metric.
const CLASHES: u8 = 3;

#[derive(Debug)]
struct Fragile(Arc<AtomicU8>);

impl Collector for Fragile {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let does = self.0.load(Ordering::Relaxed);
        let names: &[&str] = match does {
            CLASHES => &["fragile", "requests", "jobs_total"],
            _ => &["fragile"],
        };
        for name in names {
            let gauge = encoder.encode_descriptor(name, "Breaks", None, MetricType::Gauge)?;
            ConstGauge::new(1).encode(gauge)?;
        }
        match does {
            FAILS => Err(fmt::Error),
            PANICS => panic!("a collector of the test"),
            _ => Ok(()),
        }
    }
}

type Labels = Vec<(&'static str, &'static str)>;

/// A registry with a collector that fails on request, and other metrics.
struct Registered {
    registry: MetricsRegistry,
    fragile: Arc<AtomicU8>,
    twice: Family<Labels, Counter>,
}

impl Registered {
    fn new() -> Self {
        let registry = MetricsRegistry::with_clock(Clock::manual());
        let layer = MetricsLayer::builder().registry(&registry);
        drop(layer.build([("endpoint", "a")]).unwrap());
        let fragile = Arc::new(AtomicU8::new(WORKS));
        registry
            .register_collector(Fragile(fragile.clone()))
            .unwrap();
        registry.include_with(|_| Ok(())).unwrap();
        let twice = Family::default();
        let twice = registry
            .register("twice", "Clashing labels", twice)
            .unwrap();
        let jobs = Counter::<u64>::default();
        registry.register("jobs", "Jobs", jobs).unwrap();
        registry
            .register("depth", "Depth", Gauge::<i64>::default())
            .unwrap();
        Self {
            registry,
            fragile,
            twice,
        }
    }

    /// Returns an exporter that continues on errors, and the errors that it reports.
    fn continuing(&self) -> (MetricsExporter, Arc<Mutex<Vec<String>>>) {
        let said = Arc::new(Mutex::new(Vec::new()));
        let says = said.clone();
        let exporter = self
            .registry
            .exporter()
            .continue_on_error(move |error| says.lock().unwrap().push(error.to_string()));
        (exporter, said)
    }
}

async fn scrape(client: &mut Client) -> Answer {
    let request = Request::get("/metrics").header("accept", "application/openmetrics-text");
    client.ask(request.body(()).unwrap()).await
}

/// Checks that the page has everything except these families.
#[track_caller]
fn assert_lacks(answer: &Answer, missing: &[&str]) {
    assert_eq!(answer.status, StatusCode::OK);
    let page = answer.text();
    assert!(page.ends_with("\n# EOF\n"), "{page}");
    for family in ["fragile", "jobs", "depth", "requests", "uptime_seconds"] {
        let line = format!("# TYPE {family} ");
        let times = page.matches(&line).count();
        assert_eq!(times, usize::from(!missing.contains(&family)), "{page}");
    }
    for never in ["# TYPE jobs_total ", "# TYPE requests gauge", "twice"] {
        assert!(!page.contains(never), "{never}: {page}");
    }
}

async fn check(connect: impl AsyncFn(MetricsExporter) -> Client) {
    let there = Registered::new();
    let (exporter, said) = there.continuing();
    let mut strict = connect(there.registry.exporter()).await;
    let mut client = connect(exporter).await;
    let take = || std::mem::take(&mut *said.lock().unwrap());
    assert_lacks(&scrape(&mut client).await, &[]);

    for (does, cause) in [(FAILS, "can't be encoded"), (PANICS, "panicked")] {
        there.fragile.store(does, Ordering::Relaxed);
        let refused = scrape(&mut strict).await;
        assert_eq!(refused.status, StatusCode::INTERNAL_SERVER_ERROR);
        for _ in 0..2 {
            assert_lacks(&scrape(&mut client).await, &["fragile"]);
            let said = take();
            let [said] = &said[..] else {
                panic!("one error, not {said:?}");
            };
            for named in ["Fragile", cause] {
                assert!(said.contains(named), "{said}");
                assert!(refused.text().contains(named), "{}", refused.text());
            }
        }
        there.fragile.store(WORKS, Ordering::Relaxed);
        assert_lacks(&scrape(&mut client).await, &[]);
        assert_eq!(scrape(&mut strict).await.status, StatusCode::OK);
    }

    there.fragile.store(CLASHES, Ordering::Relaxed);
    assert_lacks(&scrape(&mut client).await, &[]);
    let clashes = take();
    assert_eq!(clashes.len(), 2, "{clashes:?}");
    for name in ["`requests`", "`jobs_total`"] {
        assert!(
            clashes.iter().any(|clash| clash.contains(name)),
            "{clashes:?}"
        );
    }
    there.fragile.store(WORKS, Ordering::Relaxed);

    let twice = vec![("label", "1"), ("label", "2")];
    there.twice.get_or_create(&twice).inc();
    assert_lacks(&scrape(&mut client).await, &[]);
    let broken = take();
    assert!(
        broken.len() == 1 && broken[0].contains("`twice_total`"),
        "{broken:?}"
    );
    let refused = scrape(&mut strict).await;
    assert_eq!(refused.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(
        refused.text().contains("`twice_total`"),
        "{}",
        refused.text()
    );
}

over_each_client!(check);

#[tokio::test]
async fn a_family_that_is_left_out_takes_no_name() {
    let registry = MetricsRegistry::new();
    let is_shown = Arc::new(AtomicBool::new(false));
    for text in [
        "# TYPE jobs counter\njobs_total -1\n# EOF\n",
        "# TYPE jobs_total gauge\njobs_total 2\n# EOF\n",
    ] {
        let is_shown = is_shown.clone();
        let encode = move |page: &mut String| match is_shown.load(Ordering::Relaxed) {
            true => page.write_str(text),
            false => Ok(()),
        };
        registry.include_with(encode).unwrap();
    }
    is_shown.store(true, Ordering::Relaxed);
    let mut client = Client::Service(registry.exporter().continue_on_error(|_| {}));
    let answer = scrape(&mut client).await;
    assert!(
        answer.text().contains("\njobs_total 2\n"),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn an_error_handler_may_panic() {
    let there = Registered::new();
    let exporter = there.registry.exporter();
    let exporter = exporter.continue_on_error(|error| panic!("{error}"));
    let mut client = Client::Service(exporter);
    there.fragile.store(FAILS, Ordering::Relaxed);
    let answer = scrape(&mut client).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    there.fragile.store(WORKS, Ordering::Relaxed);
    assert_lacks(&scrape(&mut client).await, &[]);
}
