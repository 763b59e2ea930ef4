//! Native histograms, read by an independent decoder, with and without classic buckets.

use super::model::{self, MetricFamily};
use super::{Shown, TEXT, families};
use crate::support::{now, page_of, take_to_end};
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use tower::{Layer, Service, service_fn};
use tower_openmetrics::{Clock, MetricsLayer, MetricsLayerBuilder, MetricsRegistry, TraceContext};

/// The values of a native histogram.
#[derive(Clone, Debug, PartialEq)]
struct Native {
    zero: u64,
    /// Index and count of each bucket that is not empty. The upper bound of a bucket is 2^(index/8) seconds.
    buckets: BTreeMap<i32, u64>,
    count: u64,
    sum: f64,
}

/// The times of a call to its head, from there to its first byte, and from there to its end.
#[derive(Clone, Copy, Debug)]
struct Times {
    head: Duration,
    first_byte: Duration,
    end: Duration,
}

const NAMES: [&str; 4] = [
    "first_byte_seconds",
    "request_duration_seconds",
    "response_head_seconds",
    "stream_duration_seconds",
];

/// The status of streams.
const STREAM: StatusCode = StatusCode::PARTIAL_CONTENT;

// === impl Native ===

impl Native {
    fn new(sum: f64, zero: u64, buckets: impl IntoIterator<Item = (i32, u64)>) -> Self {
        let buckets: BTreeMap<_, _> = buckets.into_iter().collect();
        Self {
            count: zero + buckets.values().sum::<u64>(),
            zero,
            buckets,
            sum,
        }
    }

    /// Returns `None` if the histogram is not native.
    fn read(histogram: &model::Histogram) -> Option<Self> {
        assert_eq!(histogram.schema?, 3);
        assert_eq!(histogram.zero_threshold(), 2.0_f64.powi(-20));
        let mut deltas = histogram.positive_delta.iter();
        let (mut index, mut count) = (0, 0);
        let mut buckets = BTreeMap::new();
        for span in &histogram.positive_span {
            index += span.offset();
            for _ in 0..span.length() {
                count += deltas.next().expect("one for each bucket");
                buckets.insert(index, u64::try_from(count).unwrap());
                index += 1;
            }
        }
        assert_eq!(deltas.next(), None);
        assert!(histogram.negative_span.is_empty());
        buckets.retain(|_, count| *count > 0);
        Some(Self {
            zero: histogram.zero_count(),
            buckets,
            count: histogram.sample_count(),
            sum: histogram.sample_sum(),
        })
    }
}

fn builder(clock: Clock) -> MetricsLayerBuilder {
    native(clock).buckets([0.5, 2.0]).stream_buckets([60.0])
}

/// Returns a builder without classic buckets.
fn native(clock: Clock) -> MetricsLayerBuilder {
    MetricsLayer::builder()
        .clock(clock)
        .response_head_seconds(true)
        .first_byte_seconds(true)
        .stream_duration_seconds(|head| head.status == STREAM)
        .native_histograms(true)
}

/// Makes a call that is answered with this status.
fn call(layer: &MetricsLayer, clock: Clock, status: StatusCode, times: Times) {
    traced_call(layer, clock, status, times, &HeaderMap::new());
}

fn traced_call(
    layer: &MetricsLayer,
    clock: Clock,
    status: StatusCode,
    times: Times,
    headers: &HeaderMap,
) {
    let Times {
        head,
        first_byte,
        end,
    } = times;
    let mut service = layer.layer(service_fn(async |_: Request<_>| {
        clock.advance(head);
        let frames = futures_util::stream::iter([first_byte, end]).map(move |time| {
            clock.advance(time);
            Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"x")))
        });
        let mut response = Response::new(StreamBody::new(frames));
        *response.status_mut() = status;
        Ok::<_, Infallible>(response)
    }));
    let mut request = Request::new(Full::<Bytes>::default());
    *request.headers_mut() = headers.clone();
    let Ok(answer) = now(service.call(request));
    take_to_end(pin!(answer.into_body()));
}

/// Makes two calls and a stream.
fn some_calls(layer: &MetricsLayer, clock: Clock) {
    let millis = Duration::from_millis;
    let times = |head, first_byte, end| Times {
        head,
        first_byte,
        end,
    };
    call(
        layer,
        clock,
        StatusCode::OK,
        times(Duration::ZERO, millis(500), millis(500)),
    );
    call(
        layer,
        clock,
        StatusCode::OK,
        times(millis(250), millis(750), millis(2_000)),
    );
    let head = Duration::from_nanos(954);
    let hour = millis(3_600_000);
    call(
        layer,
        clock,
        STREAM,
        times(head, millis(2_000), hour - head - millis(2_000)),
    );
}

/// Returns the histograms after [`some_calls`].
fn expected() -> BTreeMap<&'static str, Native> {
    [
        // 0.5 s is 2^(-8/8), 1 s is 2^0, 2.000000954 s lies above 2^(8/8).
        (
            "first_byte_seconds",
            Native::new(3.500_000_954, 0, [(-8, 1), (0, 1), (9, 1)]),
        ),
        // 1 s, and 3 s between 2^(12/8) = 2.83 and 2^(13/8) = 3.08.
        (
            "request_duration_seconds",
            Native::new(4.0, 0, [(0, 1), (13, 1)]),
        ),
        // 0; 250 ms is 2^(-16/8); 954 ns lies above 2^-20 s, which is 953.7 ns.
        (
            "response_head_seconds",
            Native::new(0.250_000_954, 1, [(-16, 1), (-159, 1)]),
        ),
        // 3600 s is 2^11.81, and 8 × 11.81 = 94.5.
        (
            "stream_duration_seconds",
            Native::new(3_600.0, 0, [(95, 1)]),
        ),
    ]
    .into()
}

/// Returns the one histogram of each name.
fn histograms(families: &[MetricFamily]) -> BTreeMap<&str, &model::Histogram> {
    let histograms = families.iter().filter_map(|family| {
        let [metric] = &family.metric[..] else {
            return None;
        };
        Some((family.name(), metric.histogram.as_ref()?))
    });
    histograms.collect()
}

/// Returns bounds and counts of the classic buckets.
fn classic(histogram: &model::Histogram) -> Vec<(f64, u64)> {
    let buckets = histogram.bucket.iter();
    buckets
        .map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()))
        .collect()
}

#[test]
fn every_histogram_has_native_and_classic_buckets() {
    let clock = Clock::manual();
    let layer = builder(clock).build([("a", "1")]).unwrap();
    some_calls(&layer, clock);
    let families = families(layer.exporter());
    let histograms = histograms(&families);
    let native = histograms
        .iter()
        .map(|(name, histogram)| (*name, Native::read(histogram).expect("a native histogram")));
    assert_eq!(native.collect::<BTreeMap<_, _>>(), expected());
    let buckets: Vec<_> = NAMES.iter().map(|name| classic(histograms[name])).collect();
    assert_eq!(
        buckets,
        [
            vec![(0.5, 1), (2.0, 2)],
            vec![(0.5, 0), (2.0, 1)],
            vec![(0.5, 3), (2.0, 3)],
            vec![(60.0, 0)],
        ]
    );
    let text = page_of(layer.exporter(), TEXT);
    assert_eq!(Shown::of_families(&families), Shown::of_text(&text));
}

#[test]
fn native_histograms_need_no_classic_buckets() {
    let clock = Clock::manual();
    let layer = native(clock).classic_histograms(false);
    let layer = layer.build([("a", "1")]).unwrap();
    some_calls(&layer, clock);
    let families = families(layer.exporter());
    let histograms = histograms(&families);
    let native = histograms.iter().map(|(name, histogram)| {
        assert!(histogram.bucket.is_empty(), "{name}");
        (*name, Native::read(histogram).expect("a native histogram"))
    });
    assert_eq!(native.collect::<BTreeMap<_, _>>(), expected());
    let text = page_of(layer.exporter(), TEXT);
    assert_eq!(Shown::of_families(&families), Shown::of_text(&text));
}

/// Its schema, its threshold and an empty span show it.
#[test]
fn a_native_histogram_without_calls_is_native() {
    let layer = native(Clock::manual()).classic_histograms(false);
    let layer = layer.build([("a", "1")]).unwrap();
    let families = families(layer.exporter());
    for (name, histogram) in histograms(&families) {
        let nothing = Native::new(0.0, 0, []);
        assert_eq!(Native::read(histogram), Some(nothing), "{name}");
        assert_eq!(histogram.positive_span.len(), 1, "{name}");
    }
}

#[test]
fn histograms_are_classic_by_default() {
    let clock = Clock::manual();
    for classic_too in [true, false] {
        let layer = match classic_too {
            true => builder(clock),
            false => native(clock).classic_histograms(false),
        };
        let layer = layer.native_histograms(false).build([("a", "1")]).unwrap();
        some_calls(&layer, clock);
        let families = families(layer.exporter());
        let histograms = histograms(&families);
        for (name, histogram) in &histograms {
            assert_eq!(Native::read(histogram), None, "{name}");
        }
        let buckets = histograms["request_duration_seconds"];
        let expected = if classic_too {
            vec![(0.5, 0), (2.0, 1)]
        } else {
            vec![]
        };
        assert_eq!(classic(buckets), expected);
        assert_eq!(buckets.sample_count(), 2);
    }
}

/// One layer's histograms are native, another's are not, and both are in one family.
#[test]
fn a_family_can_have_both_kinds() {
    let clock = Clock::manual();
    let registry = MetricsRegistry::with_clock(clock);
    let (builder, native) = (builder(clock), native(clock));
    let [builder, native] = [builder, native].map(|builder| builder.registry(&registry));
    let build = |builder: MetricsLayerBuilder, endpoint| {
        let layer = builder.build([("endpoint", endpoint)]).unwrap();
        some_calls(&layer, clock);
        layer
    };
    let _layers = [
        build(builder.clone().native_histograms(false), "a"),
        build(builder.clone(), "b"),
        build(native.classic_histograms(false), "c"),
    ];
    let families = families(registry.exporter());
    for name in NAMES {
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family.expect("the family").metric.iter();
        let kinds: Vec<_> = metrics
            .map(|metric| {
                let histogram = metric.histogram.as_ref().unwrap();
                let native = Native::read(histogram);
                (metric.label[0].value(), native, histogram.bucket.is_empty())
            })
            .collect();
        let native = Some(expected()[name].clone());
        assert_eq!(
            kinds,
            [
                ("a", None, false),
                ("b", native.clone(), false),
                ("c", native, true),
            ]
        );
    }
    let text = page_of(registry.exporter(), TEXT);
    assert_eq!(Shown::of_families(&families), Shown::of_text(&text));
}

#[test]
fn layers_that_share_series_must_have_the_same_kind() {
    let clock = Clock::manual();
    let registry = MetricsRegistry::new();
    let builder = builder(clock).registry(&registry);
    let _first = builder.clone().build([("a", "1")]).unwrap();
    assert!(builder.clone().build([("a", "1")]).is_ok());
    for other in [
        builder.clone().native_histograms(false),
        native(clock).registry(&registry).classic_histograms(false),
    ] {
        let error = other.build([("a", "1")]).unwrap_err().to_string();
        assert!(error.contains("settings"), "{error}");
    }
}

// === exemplars ===

/// Locks out other tests: threads without a block of their own keep no exemplars, and one test takes all blocks.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn traceparent(id: u8) -> HeaderMap {
    let header = format!("00-{id:032x}-{id:016x}-01");
    [(
        http::HeaderName::from_static("traceparent"),
        header.parse().unwrap(),
    )]
    .into_iter()
    .collect()
}

/// Returns the trace, the span and the value.
fn shown(exemplar: &model::Exemplar) -> (String, String, f64) {
    let [span, trace] = &exemplar.label[..] else {
        panic!("expected two labels: {exemplar:?}");
    };
    assert_eq!((span.name(), trace.name()), ("span_id", "trace_id"));
    assert!(exemplar.timestamp.is_some());
    let [trace, span] = [trace, span].map(|label| label.value().to_owned());
    (trace, span, exemplar.value())
}

fn of_call(id: u8, seconds: f64) -> (String, String, f64) {
    (format!("{id:032x}"), format!("{id:016x}"), seconds)
}

/// Makes calls of 0.25, 1, 1.5 and 4 s, each with its index as the trace.
fn traced_calls(layer: &MetricsLayer, clock: Clock) {
    for (id, millis) in (1..).zip([250, 1_000, 1_500, 4_000]) {
        let times = Times {
            head: Duration::ZERO,
            first_byte: Duration::ZERO,
            end: Duration::from_millis(millis),
        };
        traced_call(layer, clock, StatusCode::OK, times, &traceparent(id));
    }
}

#[test]
fn exemplars_belong_to_the_classic_buckets() {
    let _alone = alone();
    let clock = Clock::manual();
    for native in [true, false] {
        let layer = builder(clock).native_histograms(native);
        let layer = layer.exemplars(TraceContext::from_traceparent);
        let layer = layer.build([("a", "1")]).unwrap();
        traced_calls(&layer, clock);
        let families = families(layer.exporter());
        let histogram = histograms(&families)["request_duration_seconds"];
        let buckets: Vec<_> = histogram
            .bucket
            .iter()
            .map(|bucket| {
                let exemplar = bucket.exemplar.as_ref().map(shown);
                (bucket.upper_bound(), bucket.cumulative_count(), exemplar)
            })
            .collect();
        let kept = [of_call(1, 0.25), of_call(3, 1.5), of_call(4, 4.0)];
        let [first, second, third] = kept.clone().map(Some);
        assert_eq!(
            buckets,
            [(0.5, 1, first), (2.0, 3, second), (f64::INFINITY, 4, third)]
        );
        let own: Vec<_> = histogram.exemplars.iter().map(shown).collect();
        assert_eq!(own, if native { kept.to_vec() } else { vec![] });
    }
}

/// The only bucket is `+Inf`, which carries the exemplar.
#[test]
fn without_classic_buckets_the_latest_trace_is_kept() {
    let _alone = alone();
    let clock = Clock::manual();
    let layer = native(clock).classic_histograms(false);
    let layer = layer.exemplars(TraceContext::from_traceparent);
    let layer = layer.build([("a", "1")]).unwrap();
    traced_calls(&layer, clock);
    let families = families(layer.exporter());
    let histogram = histograms(&families)["request_duration_seconds"];
    assert_eq!(classic(histogram), [(f64::INFINITY, 4)]);
    let of_bucket = histogram.bucket[0].exemplar.as_ref().map(shown);
    assert_eq!(of_bucket, Some(of_call(4, 4.0)));
    let own: Vec<_> = histogram.exemplars.iter().map(shown).collect();
    assert_eq!(own, [of_call(4, 4.0)]);
}

// === reused recorders, and many threads ===

/// The recorder of a dropped layer is reused by a layer with the same settings.
#[test]
fn a_reused_recorder_starts_empty() {
    let _alone = alone();
    let clock = Clock::manual();
    let builder = builder(clock).exemplars(TraceContext::from_traceparent);
    for _ in 0..2 {
        let layer = builder.clone().build([("a", "1")]).unwrap();
        let families = families(layer.exporter());
        for (name, histogram) in histograms(&families) {
            let nothing = Native::new(0.0, 0, []);
            assert_eq!(Native::read(histogram), Some(nothing), "{name}");
            let mut buckets = histogram.bucket.iter();
            assert!(buckets.all(|bucket| bucket.exemplar.is_none()), "{name}");
            assert!(histogram.exemplars.is_empty(), "{name}");
        }
        some_calls(&layer, clock);
        traced_calls(&layer, clock);
    }
}

/// Calls end on more threads than have blocks of their own, some above the last bound, while pages are read. On each page
/// native buckets, classic buckets and the count agree, and none of them decreases.
#[test]
fn no_page_contradicts_itself() {
    const THREADS: usize = 24;
    const AT_ONCE: usize = 200;
    const LASTS: [u64; 6] = [0, 1_000, 400_000, 1_000_000, 5_000_000, 20_000_000];

    let _alone = alone();
    let clock = Clock::manual();
    let layer = builder(clock)
        .exemplars(TraceContext::from_traceparent)
        .build([("a", "1")])
        .unwrap();
    let (barrier, done) = (Barrier::new(THREADS + 1), AtomicUsize::new(0));
    let read = || {
        let families = families(layer.exporter());
        let histogram = histograms(&families)["request_duration_seconds"];
        let native = Native::read(histogram).expect("a native histogram");
        let all = native.zero + native.buckets.values().sum::<u64>();
        assert_eq!(native.count, all, "{native:?}");
        let buckets = classic(histogram);
        assert!(buckets.is_sorted_by(|(_, a), (_, b)| a <= b), "{buckets:?}");
        for (bound, below) in &buckets {
            let of_infinity = *bound == f64::INFINITY;
            assert!(
                *below <= all && (!of_infinity || *below == all),
                "{buckets:?}"
            );
        }
        (native, buckets)
    };
    let went_on = |(before, classic): &(Native, Vec<_>), (after, now): &(Native, Vec<_>)| {
        assert!(
            before.count <= after.count && before.sum <= after.sum && before.zero <= after.zero
        );
        for (index, count) in &before.buckets {
            assert!(Some(count) <= after.buckets.get(index), "{index}");
        }
        for ((_, before), (_, after)) in classic.iter().zip(now) {
            assert!(before <= after);
        }
    };
    thread::scope(|scope| {
        let (layer, barrier, done) = (&layer, &barrier, &done);
        for _ in 0..THREADS {
            scope.spawn(move || {
                for _ in LASTS {
                    let answers: Vec<_> = (0..AT_ONCE).map(|_| begin(layer)).collect();
                    barrier.wait();
                    // The clock goes on from here.
                    barrier.wait();
                    drop(answers);
                }
                done.fetch_add(1, Ordering::Release);
            });
        }
        scope.spawn(move || {
            for micros in LASTS {
                barrier.wait();
                clock.advance(Duration::from_micros(micros));
                barrier.wait();
            }
        });
        let mut last = read();
        while done.load(Ordering::Acquire) < THREADS {
            let page = read();
            went_on(&last, &page);
            last = page;
        }
    });
    let each = (THREADS * AT_ONCE) as u64;
    let (native, _) = read();
    // 1 ms is 2^-9.97, 0.4 s 2^-1.32, 1 s 2^0, 5 s 2^2.32 and 20 s 2^4.32; eight times that, rounded up.
    let buckets = [(-79, each), (-10, each), (0, each), (19, each), (35, each)];
    assert_eq!(native, Native::new(each as f64 * 26.401, each, buckets));
}

/// Begins a call that ends when the returned response is dropped.
fn begin(layer: &MetricsLayer) -> impl Sized {
    let mut service = layer.layer(service_fn(async |_: Request<_>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("x")))
    }));
    let mut request = Request::new(Full::<Bytes>::default());
    *request.headers_mut() = traceparent(7);
    let Ok(answer) = now(service.call(request));
    answer
}
