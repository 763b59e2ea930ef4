//! Registering many metrics, and registering at any moment: in encoders, closures and drops, and during a scrape or another
//! registration.

mod support;

use self::support::{Page, now, page_of};
use allocation_counter::{AllocationInfo, measure};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread;
use std::time::Duration;
use tokio_test::block_on;
use tower::ServiceExt;
use tower_openmetrics::labels::Label;
use tower_openmetrics::{
    Error, MetricsExporter, MetricsLayer, MetricsLayerBuilder, MetricsRegistry,
};

/// Longer than any step takes.
const LONG: Duration = Duration::from_secs(60);

const OPEN_METRICS: &str = "application/openmetrics-text";

fn on(registry: &MetricsRegistry) -> MetricsLayerBuilder {
    MetricsLayer::builder().registry(registry)
}

fn endpoint(registry: &MetricsRegistry, endpoint: usize) -> MetricsLayer {
    let labels = [("endpoint", endpoint.to_string())];
    on(registry).build(labels).unwrap()
}

fn scrape(exporter: MetricsExporter) -> (StatusCode, String) {
    let response = block_on(exporter.oneshot(Request::new(()))).unwrap();
    let status = response.status();
    let body = block_on(response.into_body().collect()).unwrap();
    (status, String::from_utf8(body.to_bytes().into()).unwrap())
}

#[track_caller]
fn assert_whole(registry: &MetricsRegistry) {
    let (status, text) = scrape(registry.exporter());
    assert_eq!(status, StatusCode::OK, "{text}");
}

// === many metrics ===

/// A gauge that counts how often it was encoded.
#[derive(Clone, Debug, Default)]
struct Counted(Arc<AtomicUsize>);

impl EncodeMetric for Counted {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        self.0.fetch_add(1, Ordering::Relaxed);
        encoder.encode_gauge(&1u64)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

impl Collector for Counted {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = encoder.encode_descriptor("read", "Read", None, MetricType::Gauge)?;
        EncodeMetric::encode(self, encoder)
    }
}

#[test]
fn a_registration_encodes_no_other_metric() {
    const LAYERS: usize = 500;

    let registry = MetricsRegistry::new();
    let (metric, collector) = (Counted::default(), Counted::default());
    let bystander = Counted::default();
    registry
        .register("seen", "Seen", bystander.clone())
        .unwrap();
    registry.register_collector(bystander.clone()).unwrap();
    for number in 0..LAYERS {
        let layer = endpoint(&registry, number);
        layer.register("jobs", "Jobs", metric.clone()).unwrap();
        layer.register_collector(collector.clone()).unwrap();
    }
    let encoded = || [&metric, &collector, &bystander].map(|of| of.0.load(Ordering::Relaxed));
    assert_eq!(encoded(), [LAYERS, LAYERS, 2]);
    assert_whole(&registry);
    assert_eq!(encoded(), [2 * LAYERS, 2 * LAYERS, 4]);
}

/// The number of registrations that [`assert_constant`] makes.
const ALL: usize = 2_800;

/// Checks that the last of many registrations allocates about as much as the first. It would allocate nine times as much if
/// each looked at all earlier ones.
#[track_caller]
fn assert_constant(mut one: impl FnMut(usize)) {
    const SOME: usize = 200;
    let mut costs = (0..ALL).step_by(SOME).map(|from| {
        let AllocationInfo {
            count_total,
            bytes_total,
            ..
        } = measure(|| (from..from + SOME).for_each(&mut one));
        (count_total, bytes_total)
    });
    // Skips the first ones, which also create the maps.
    let first = costs.nth(1).unwrap();
    let last = costs.last().unwrap();
    // Maps grow in steps, and memory of earlier layers is reused.
    assert!(last.0 <= 2 * first.0, "{first:?} {last:?}");
    assert!(last.1 <= 5 * first.1, "{first:?} {last:?}");
}

#[test]
fn each_layer_costs_the_same() {
    let registry = MetricsRegistry::new();
    assert_constant(|number| drop(endpoint(&registry, number)));
}

/// The label names of these layers alone don't rule out equal series.
#[test]
fn each_layer_with_one_of_two_sets_of_label_names_costs_the_same() {
    let registry = MetricsRegistry::new();
    assert_constant(|number| {
        let builder = match number % 2 {
            0 => on(&registry),
            _ => on(&registry).label(Label::status()),
        };
        drop(builder.build([("endpoint", number.to_string())]).unwrap());
    });
}

#[test]
fn each_member_of_a_family_costs_the_same() {
    let registry = MetricsRegistry::new();
    assert_constant(|number| {
        let layer = endpoint(&registry, number);
        let counter = layer.register("jobs", "Jobs", Counter::<u64>::default());
        counter.unwrap();
        layer.register_collector(Counted::default()).unwrap();
    });
}

#[test]
fn each_family_costs_the_same() {
    let registry = MetricsRegistry::new();
    assert_constant(|number| {
        let name = format!("jobs_{number:05}");
        let counter = registry.register(name, "Jobs", Counter::<u64>::default());
        counter.unwrap();
    });
}

#[test]
fn each_removal_costs_the_same() {
    let registry = MetricsRegistry::new();
    let layers = (0..ALL).map(|number| endpoint(&registry, number));
    let layers: Vec<_> = layers.collect();
    for layer in &layers {
        let counter = layer.register("jobs", "Jobs", Counter::<u64>::default());
        counter.unwrap();
    }
    assert_constant(|number| assert!(layers[number].remove()));
}

#[test]
fn the_cost_of_a_page_grows_with_its_size() {
    let page = |count: usize| {
        let registry = MetricsRegistry::new();
        for number in 0..count {
            let layer = endpoint(&registry, number);
            let counter = layer.register("jobs", "Jobs", Counter::<u64>::default());
            counter.unwrap();
            layer.register_collector(Counted::default()).unwrap();
        }
        let exporter = registry.exporter();
        let scrape = Request::new(());
        measure(|| assert_eq!(now(exporter.oneshot(scrape)).unwrap().status(), 200)).count_total
    };
    page(1);
    let (some, many) = (page(200), page(800));
    assert!(many < 5 * some, "{some} {many}");
}

// === registering at any moment ===

/// A job that an encoder runs once, at its first call after it is armed.
#[derive(Clone)]
struct Deed {
    is_armed: Arc<AtomicBool>,
    act: Arc<dyn Fn() + Send + Sync>,
    is_done: Arc<AtomicBool>,
}

impl Deed {
    fn new(act: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            is_armed: Arc::default(),
            act: Arc::new(act),
            is_done: Arc::default(),
        }
    }

    fn arm(&self) {
        self.is_armed.store(true, Ordering::SeqCst);
    }

    fn encode(&self) {
        if self.is_armed.swap(false, Ordering::SeqCst) {
            (self.act)();
            self.is_done.store(true, Ordering::SeqCst);
        }
    }
}

impl fmt::Debug for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deed").finish_non_exhaustive()
    }
}

impl EncodeMetric for Deed {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        Deed::encode(self);
        encoder.encode_gauge(&1u64)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

impl Collector for Deed {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = encoder.encode_descriptor("deed", "Done", None, MetricType::Gauge)?;
        EncodeMetric::encode(self, encoder)
    }
}

type Encoder = fn(&MetricsRegistry, Deed) -> Result<(), Error>;

/// The ways to register an encoder.
const ENCODERS: [Encoder; 6] = [
    |registry, deed| registry.register("deed", "Done", deed).map(drop),
    |registry, deed| {
        let layer = endpoint(registry, 0);
        layer.register("deed", "Done", deed).map(drop)
    },
    |registry, deed| registry.register_collector(deed),
    |registry, deed| endpoint(registry, 0).register_collector(deed),
    |registry, deed| {
        let mut theirs = Registry::default();
        theirs.register("deed", "Done", deed);
        registry.include(Arc::new(theirs))
    },
    |registry, deed| {
        registry.include_with(move |text| {
            Deed::encode(&deed);
            text.push_str("# TYPE deed gauge\ndeed 1\n");
            Ok(())
        })
    },
];

type Action = fn(&MetricsRegistry);

/// Everything that can be done with a registry, except making a page.
const ACTIONS: [Action; 8] = [
    |registry| {
        let late = registry.register("late", "Late", Gauge::<i64>::default());
        late.unwrap();
    },
    |registry| {
        let late = endpoint(registry, 0).register("late", "Late", Gauge::<i64>::default());
        late.unwrap();
    },
    |registry| registry.register_collector(Counted::default()).unwrap(),
    |registry| {
        let mut theirs = Registry::default();
        theirs.register("late", "Late", Gauge::<i64>::default());
        registry.include(Arc::new(theirs)).unwrap();
    },
    |registry| drop(endpoint(registry, 1)),
    |registry| {
        let late = endpoint(registry, 1);
        late.register("late", "Late", Gauge::<i64>::default())
            .unwrap();
        assert!(late.remove());
    },
    |registry| {
        registry.remove([("endpoint", "0")]).unwrap();
    },
    |registry| {
        let mut theirs = Registry::default();
        registry.register_in(&mut theirs).unwrap();
        assert!(!format!("{registry:?}").is_empty());
    },
];

/// Runs a job that might hang, with a time limit.
#[track_caller]
fn within<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, done) = mpsc::channel();
    let thread = thread::spawn(move || {
        let done = run();
        // The receiver may have timed out.
        let _ = tell.send(done);
    });
    match done.recv_timeout(LONG) {
        Ok(done) => done,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => unreachable!("it has told"),
        },
    }
}

#[test]
fn an_encoder_may_use_the_registry_while_it_is_registered() {
    for register in ENCODERS {
        for act in ACTIONS {
            within(move || {
                let registry = MetricsRegistry::new();
                let inside = registry.clone();
                let deed = Deed::new(move || act(&inside));
                deed.arm();
                // The encoder may have removed the layer that it is registered through.
                if let Err(error) = register(&registry, deed.clone()) {
                    assert!(error.to_string().contains("removed"), "{error}");
                }
                assert!(deed.is_done.load(Ordering::SeqCst));
                assert_whole(&registry);
            });
        }
    }
}

#[test]
fn an_encoder_may_use_the_registry_during_a_scrape() {
    for register in ENCODERS {
        for act in ACTIONS {
            within(move || {
                let registry = MetricsRegistry::new();
                let inside = registry.clone();
                let once = OnceLock::new();
                let deed = Deed::new(move || once.get_or_init(|| act(&inside)).to_owned());
                register(&registry, deed.clone()).unwrap();
                deed.arm();
                assert_whole(&registry);
                assert!(deed.is_done.load(Ordering::SeqCst));
                assert_whole(&registry);
            });
        }
    }
}

/// A metric in a `OnceLock` may be registered by an encoder, or before the encoder runs.
#[test]
fn a_metric_in_a_once_lock_may_be_registered_by_an_encoder() {
    for first in [true, false] {
        within(move || {
            static MADE: [OnceLock<Gauge>; 2] = [OnceLock::new(), OnceLock::new()];
            let registry = MetricsRegistry::new();
            let inside = registry.clone();
            let made = move || {
                MADE[usize::from(first)]
                    .get_or_init(|| inside.register("made", "Made", Gauge::default()).unwrap());
            };
            let deed = Deed::new(made.clone());
            registry.register_collector(deed.clone()).unwrap();
            deed.arm();
            if first {
                // Must not call the encoder, which would wait for the same `OnceLock`.
                made();
            }
            assert_whole(&registry);
            made();
            assert_eq!(Page::read(registry.exporter()).one("made"), "0");
        });
    }
}

/// Another thread uses the registry while an encoder runs for a page.
#[test]
fn an_encoder_blocks_no_other_thread() {
    for act in ACTIONS {
        within(move || {
            let registry = MetricsRegistry::new();
            let inside = registry.clone();
            let deed = Deed::new(move || {
                let registry = inside.clone();
                within(move || act(&registry));
            });
            registry.register_collector(deed.clone()).unwrap();
            deed.arm();
            assert_whole(&registry);
            assert_whole(&registry);
        });
    }
}

#[test]
fn an_encoder_that_scrapes_its_own_registry_gets_an_error() {
    for register in ENCODERS {
        for is_same_exporter in [true, false] {
            within(move || {
                let registry = MetricsRegistry::new();
                let exporter = registry.exporter();
                let (inside, of_page) = (registry.clone(), exporter.clone());
                let answers = Arc::new(Mutex::new(Vec::new()));
                let heard = answers.clone();
                let deed = Deed::new(move || {
                    let exporter = match is_same_exporter {
                        true => of_page.clone(),
                        false => inside.exporter(),
                    };
                    heard.lock().unwrap().push(scrape(exporter));
                });
                deed.arm();
                register(&registry, deed.clone()).unwrap();
                // The encoder is not on the page yet.
                assert_eq!(answers.lock().unwrap()[0].0, StatusCode::OK);
                deed.arm();
                let (status, page) = scrape(exporter.clone());
                assert_eq!(status, StatusCode::OK, "{page}");
                let (status, text) = answers.lock().unwrap()[1].clone();
                assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
                assert!(
                    text.contains("may not scrape the registry that it is in"),
                    "{text}"
                );
            });
        }
    }
}

/// An encoder may scrape another registry, unless that one scrapes this one.
#[test]
fn an_encoder_may_scrape_another_registry() {
    within(|| {
        let (inner, outer) = (
            MetricsRegistry::new(),
            MetricsRegistry::builder().prefix("outer").build(()),
        );
        let outer = outer.unwrap();
        let jobs = inner.register("jobs", "Jobs", Counter::<u64>::default());
        jobs.unwrap().inc();
        let included = inner.clone();
        outer
            .include_with(move |text| {
                text.push_str(&page_of(included.exporter(), OPEN_METRICS));
                Ok(())
            })
            .unwrap();
        assert_eq!(Page::read(outer.exporter()).one("jobs_total"), "1");

        let back = outer.clone();
        let round = inner.include_with(move |text| {
            let (_, page) = scrape(back.exporter());
            text.push_str(&page);
            Ok(())
        });
        // The page would contain itself.
        let error = round.unwrap_err().to_string();
        assert!(error.contains("`jobs_total` appears twice"), "{error}");
        assert_whole(&outer);
    });
}

/// A collector that registers another one like itself each time it encodes.
#[derive(Clone, Debug)]
struct Endless(MetricsRegistry, Arc<Mutex<Option<Error>>>);

impl Collector for Endless {
    fn encode(&self, _: DescriptorEncoder<'_>) -> fmt::Result {
        let Self(registry, first) = self;
        if let Err(error) = registry.register_collector(self.clone()) {
            first.lock().unwrap().get_or_insert(error);
        }
        Ok(())
    }
}

#[test]
fn nested_registrations_have_a_limit() {
    within(|| {
        let registry = MetricsRegistry::new();
        let first = Arc::new(Mutex::new(None));
        let endless = Endless(registry.clone(), first.clone());
        registry.register_collector(endless).unwrap();
        let error = first.lock().unwrap().take().unwrap().to_string();
        assert!(error.contains("inside 16 other encoders"), "{error}");
    });
}

// === names registered meanwhile ===

#[test]
fn a_registration_is_checked_against_what_its_encoder_registers() {
    for register in ENCODERS {
        let registry = MetricsRegistry::new();
        let inside = registry.clone();
        // Registers the series that the encoder is about to show.
        let deed = Deed::new(move || {
            let counter = Family::<Vec<(String, String)>, Gauge>::default();
            drop(counter.get_or_create(&vec![("endpoint".to_owned(), "0".to_owned())]));
            drop(counter.get_or_create(&Vec::new()));
            inside.register("deed", "Done", counter).unwrap();
        });
        deed.arm();
        let error = register(&registry, deed).unwrap_err().to_string();
        assert!(error.contains("`deed`"), "{error}");
        assert_whole(&registry);
    }
}

/// No other one is registered while the encoders run. Only one is registered in the end.
#[test]
fn one_of_several_concurrent_clashing_registrations_succeeds() {
    type Name = fn(usize) -> &'static str;
    let names: [Name; 2] = [|_| "x", |number| if number == 0 { "x" } else { "x_total" }];
    for name in names {
        let registry = MetricsRegistry::new();
        let barrier = Arc::new(std::sync::Barrier::new(2));
        let threads = [0, 1].map(|number| {
            let (registry, barrier) = (registry.clone(), barrier.clone());
            thread::spawn(move || {
                let calls = AtomicUsize::new(0);
                registry.include_with(move |text| {
                    let (kind, suffix) = match name(number) {
                        "x" => ("counter", "_total"),
                        _ => ("gauge", ""),
                    };
                    let name = name(number);
                    text.push_str(&format!("# TYPE {name} {kind}\n{name}{suffix} 1\n"));
                    if calls.fetch_add(1, Ordering::Relaxed) == 0 {
                        barrier.wait();
                    }
                    Ok(())
                })
            })
        });
        let results = threads.map(|thread| thread.join().unwrap());
        let errors: Vec<_> = results.iter().filter_map(|of| of.as_ref().err()).collect();
        assert_eq!(errors.len(), 1);
        assert!(errors[0].to_string().contains("`x_total`"), "{errors:?}");
        assert_whole(&registry);
    }
}

/// A source may show more families later. Their names are taken from the first page that shows them.
#[test]
fn late_names_are_taken_once_a_page_shows_them() {
    let registry = MetricsRegistry::new();
    let theirs = Arc::new(Mutex::new(Registry::default()));
    let included = theirs.clone();
    registry
        .include_with(move |text| {
            let theirs = included.lock().unwrap();
            prometheus_client::encoding::text::encode_registry(text, &theirs)
        })
        .unwrap();
    let late = Gauge::<i64>::default();
    theirs.lock().unwrap().register("x_total", "Late", late);
    assert_whole(&registry);
    let counter = registry.register("x", "Ours", Counter::<u64>::default());
    let error = counter.unwrap_err().to_string();
    assert!(error.contains("`x_total`"), "{error}");
    assert_whole(&registry);
}

// === drops ===

/// Runs a job when it is dropped.
#[derive(Debug)]
struct OnDrop(MetricsRegistry, Arc<AtomicUsize>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        let Self(registry, drops) = self;
        let number = drops.fetch_add(1, Ordering::SeqCst);
        let name = format!("dropped_{number}");
        registry
            .register(name, "Dropped", Gauge::<i64>::default())
            .unwrap();
        assert_whole(registry);
    }
}

impl Collector for OnDrop {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut encoder = encoder.encode_descriptor("kept", "Kept", None, MetricType::Gauge)?;
        encoder.encode_gauge(&1u64)
    }
}

impl EncodeMetric for OnDrop {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_gauge(&1u64)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

#[test]
fn a_dropped_value_may_use_the_registry() {
    within(|| {
        let registry = MetricsRegistry::new();
        let drops = Arc::new(AtomicUsize::new(0));
        let on_drop = || Arc::new(OnDrop(registry.clone(), drops.clone()));
        let dropped = || drops.load(Ordering::SeqCst);

        // Values that are refused, and values that are removed.
        let layer = endpoint(&registry, 0);
        layer.register_collector(on_drop()).unwrap();
        layer.register_collector(on_drop()).unwrap_err();
        assert_eq!(dropped(), 1);
        #[derive(Clone, Debug)]
        struct Metric(Arc<OnDrop>);
        impl EncodeMetric for Metric {
            fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
                EncodeMetric::encode(&*self.0, encoder)
            }

            fn metric_type(&self) -> MetricType {
                MetricType::Gauge
            }
        }
        drop(layer.register("own", "Own", Metric(on_drop())).unwrap());
        layer.register("own", "Own", Metric(on_drop())).unwrap_err();
        assert_eq!(dropped(), 2);
        assert!(layer.remove());
        assert_eq!(dropped(), 4);

        // The filter of a layer that is refused.
        let kept = on_drop();
        let build = |labels: [(&'static str, &'static str); 1], kept: Arc<OnDrop>| {
            let builder = on(&registry).filter(move |_| Arc::strong_count(&kept) > 0);
            builder.build(labels)
        };
        drop(build([("endpoint", "1")], kept));
        drop(build([("endpoint", "1")], on_drop()).unwrap_err());
        assert_eq!(dropped(), 5);
    });
}
