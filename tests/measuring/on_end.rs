use super::support::{Step, panic_of, take_frames, take_to_end};
use super::{Stage, seconds};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use tower_openmetrics::labels::Label;
use tower_openmetrics::{CallOutcome, ErrorType, MetricsLayerBuilder, assert_metrics};

/// An outcome, seconds, bytes in and out, and labels.
type Heard = (CallOutcome, u64, u64, u64, String);

type Log = Arc<Mutex<Vec<Heard>>>;

fn hearing(builder: MetricsLayerBuilder, log: &Log) -> MetricsLayerBuilder {
    let log = log.clone();
    builder.on_end(move |call| {
        let labels = call.labels().map(|(name, value)| format!("{name}={value}"));
        log.lock().unwrap().push((
            call.outcome(),
            call.duration().as_secs(),
            call.request_bytes(),
            call.response_bytes(),
            labels.collect::<Vec<_>>().join(","),
        ));
    })
}

fn heard(stage: &Stage, log: &Log) -> Heard {
    let mut log = log.lock().unwrap();
    assert_eq!(log.len(), 1, "{log:?}");
    // The call is counted by then.
    assert_metrics!(stage.numbers(), { "concurrent_requests" {..} => 0 });
    log.remove(0)
}

#[test]
fn every_ending_is_heard_once() {
    let log = Log::default();
    let stage = Stage::new(|builder| hearing(builder, &log));
    let expect = |outcome, seconds, bytes| {
        assert_eq!(
            heard(&stage, &log),
            (outcome, seconds, 0, bytes, String::new())
        );
    };

    take_to_end(pin!(stage.call(["ab", "c"].map(Step::Data))));
    expect(CallOutcome::Completed, 3, 3);

    let mut body = Box::pin(stage.call(["ab", "c"].map(Step::Data)));
    take_frames(body.as_mut(), 1);
    assert!(log.lock().unwrap().is_empty(), "the call is open");
    drop(body);
    expect(CallOutcome::Cancelled, 2, 2);

    take_to_end(pin!(
        stage.call([Step::Data("ab"), Step::Fail(|| "no".into())])
    ));
    expect(CallOutcome::Failed(ErrorType::PUBLISH_RESPONSE), 3, 2);

    panic_of(|| take_to_end(pin!(stage.call([Step::Panic]))));
    expect(CallOutcome::Failed(ErrorType::PANIC), 2, 0);
}

#[test]
fn labels_are_those_of_requests_total() {
    let log = Log::default();
    let stage = Stage::new(|builder| {
        let builder = builder.label(Label::method()).label(Label::status());
        hearing(builder, &log)
    });
    take_to_end(pin!(stage.call([])));
    let (.., labels) = heard(&stage, &log);
    assert_eq!(labels, "method=GET,status=200");
}

#[test]
fn a_panic_of_the_listener_costs_nothing_but_itself() {
    let stage = Stage::new(|builder| builder.on_end(|_| panic!("the log is full")));
    take_to_end(pin!(stage.call([Step::Data("ab")])));
    drop(stage.call([]));
    // While the thread is unwinding, too.
    panic_of(|| take_to_end(pin!(stage.call([Step::Panic]))));
    stage.clock.advance(seconds(1));
    assert_metrics!(stage.numbers(), {
        "requests_total" => 3,
        "response_bytes_total" => 2,
        "cancellations_total" => 1,
        "errors_total" => 1,
        "concurrent_requests" => 0,
    });
}

/// The listener may make calls of its own, and scrape.
#[test]
fn the_listener_may_use_the_layer() {
    use std::sync::OnceLock;
    use tower_openmetrics::{Format, MetricsLayer, MetricsRegistry};
    let registry: Arc<OnceLock<MetricsRegistry>> = Arc::default();
    let pages = Log::default();
    let stage = Stage::new(|builder| {
        let (registry, pages) = (registry.clone(), pages.clone());
        builder.on_end(move |call| {
            let registry = registry.get().unwrap();
            let page = registry.encode(Format::Prometheus).unwrap();
            let layer = MetricsLayer::builder().registry(registry);
            drop(layer.build([("made", "while a call ended")]));
            pages.lock().unwrap().push((call.outcome(), 0, 0, 0, page));
        })
    });
    registry.set(stage.layer.registry().clone()).ok().unwrap();
    take_to_end(pin!(stage.call([])));
    let (.., page) = heard(&stage, &pages);
    assert!(page.contains("\nrequests_total 1\n"), "{page}");
}
