//! User closures that call measured services of their own layer or of another one.

use crate::raw::{
    Measured, all, answer, assert_all, begin, builder, built, call, code_at, name, sum,
};
use http::Request;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;
use tower_openmetrics::classify::{Fault, Head};
use tower_openmetrics::labels::{Label, RequestHead};
use tower_openmetrics::{ErrorType, TraceContext};

/// The services that closures call: one of their own layer, and one of another layer.
#[derive(Clone, Default)]
struct Inner(Arc<OnceLock<[Measured; 2]>>);

impl Inner {
    /// Calls each service, unless the request is itself such a call.
    fn call(&self, by: &'static str, path: &str) {
        if let (false, Some(services)) = (path.starts_with("/inner"), self.0.get()) {
            for service in services {
                call(service, &format!("/inner/{by}"));
            }
        }
    }

    fn of_request(&self, by: &'static str, head: &RequestHead<'_>) {
        self.call(by, head.uri.path());
    }

    /// Only the response of the outer call has the status 201.
    fn of_response(&self, by: &'static str, head: &Head<'_>) {
        if head.status == 201 {
            self.call(by, "");
        }
    }
}

#[test]
fn closures_may_call_measured_services() {
    const CALLS: i64 = 20;
    for idle in [false, true] {
        let inner = Inner::default();
        let of = || inner.clone();
        let (filter, traces, label, response, streams) = (of(), of(), of(), of(), of());
        let mut settings = builder()
            .filter(move |head| {
                filter.of_request("filter", head);
                true
            })
            .exemplars(move |head| {
                traces.of_request("exemplars", head);
                Some(TraceContext::new(1, 2))
            })
            .label(name())
            .label(Label::from_request("label", move |head| {
                label.of_request("label", head);
                Some("")
            }))
            .label(Label::from_response("response", move |head| {
                response.of_response("response", head);
                Some("")
            }))
            .stream_duration_seconds(move |head| {
                streams.of_response("stream", head);
                false
            })
            .response_head_seconds(true);
        if idle {
            settings = settings.series_idle_timeout(Duration::from_secs(3_600));
        }
        let (layer, service) = built(settings);
        let (other_layer, other) = built(builder().label(name()));
        assert!(inner.0.set([service, other]).is_ok());

        let run = move || {
            for _ in 0..CALLS / 2 {
                let mut call = begin(service, "/outer");
                answer(&mut call, 201);
                call.complete();
            }
        };
        run();
        thread::spawn(run).join().unwrap();

        let by = ["exemplars", "filter", "label", "response", "stream"];
        let labels = |name: &str| format!(r#"{{label="",name="{name}",response=""}}"#);
        let none = |name: &str| format!(r#"{{label="",name="{name}",response="none"}}"#);
        let expected = by.map(|name| (none(name), CALLS));
        let expected = expected.into_iter().chain([(labels("outer"), CALLS)]);
        assert_eq!(all(&layer, "requests_total"), expected.collect());
        let expected = by.map(|name| (format!(r#"{{name="{name}"}}"#), CALLS));
        assert_eq!(all(&other_layer, "requests_total"), expected.into());
        for layer in [&layer, &other_layer] {
            assert_eq!(sum(layer, "concurrent_requests"), 0);
        }
    }
}

/// Makes a call when it is dropped.
struct CallsWhenDropped(Vec<(Measured, &'static str)>);

impl Drop for CallsWhenDropped {
    fn drop(&mut self) {
        for (service, path) in &self.0 {
            call(service, path);
        }
    }
}

/// The last owner of a layer drops its closures and what they own.
#[test]
fn closures_may_call_measured_services_when_they_are_dropped() {
    let (layer, service) = built(builder().label(name()));
    let passing = |path: &'static str| {
        let owned = CallsWhenDropped(vec![(service, path)]);
        built(builder().filter(move |_| owned.0.len() == 1))
    };

    // No thread has used the layer, so its closures are dropped with it.
    drop(passing("/uncalled"));
    assert_eq!(sum(&layer, "requests_total"), 1);

    // They are dropped when this thread uses another layer or label set.
    let (gone, of_gone) = passing("/here");
    call(of_gone, "/");
    drop(gone);
    let (_new_layer, new) = built(builder());
    call(new, "/");
    assert_all(
        &layer,
        "requests_total",
        &[(r#"name="here""#, 1), (r#"name="uncalled""#, 1)],
    );

    // They are dropped when another thread ends, which has or has not used the layer.
    for is_new in [false, true] {
        let (gone, of_gone) = passing("/there");
        thread::spawn(move || {
            if !is_new {
                call(service, "/known");
            }
            call(of_gone, "/");
            drop(gone);
        })
        .join()
        .unwrap();
    }
    assert_all(
        &layer,
        "requests_total",
        &[
            (r#"name="here""#, 1),
            (r#"name="known""#, 1),
            (r#"name="there""#, 2),
            (r#"name="uncalled""#, 1),
        ],
    );
    assert_eq!(sum(&layer, "concurrent_requests"), 0);

    // A closure owns a service of its own layer, which is gone when the closure is dropped.
    let own = Arc::new(OnceLock::<Measured>::new());
    struct Own(Arc<OnceLock<Measured>>);
    impl Drop for Own {
        fn drop(&mut self) {
            call(self.0.get().unwrap(), "/own");
        }
    }
    let owned = Own(own.clone());
    let (gone, of_gone) = built(builder().filter(move |_| owned.0.get().is_some()));
    own.set(of_gone).unwrap();
    call(of_gone, "/");
    drop(gone);
    let (_new_layer, new) = built(builder());
    call(new, "/");
}

/// A thread lets go of a dropped layer when it meets a new label set of another one, at any moment of a call.
#[test]
fn new_label_sets_let_go_of_dropped_layers() {
    let (layer, service) = built(builder().label(name()));
    let settings = builder().label(name()).label(Label::status());
    let (other_layer, other) = built(settings.label(Label::code(&["OK", "BAD"])));
    let live = |path: &str, status: u16, code: usize| {
        let mut call = begin(other, path);
        answer(&mut call, status);
        call.set_code(code_at(code));
        call.complete();
    };
    live("/a", 200, 0);
    live("/a", 200, 0);
    let new_at_each_moment = [("/b", 200, 0), ("/b", 404, 0), ("/b", 404, 1)];
    for (dropped, (path, status, code)) in (1..).zip(new_at_each_moment) {
        let owned = CallsWhenDropped(vec![(service, "/dropped"), (other, "/from-drop")]);
        let (gone, of_gone) = built(builder().filter(move |_| owned.0.len() == 2));
        call(of_gone, "/");
        drop(gone);
        live("/a", 200, 0);
        assert_eq!(sum(&layer, "requests_total"), dropped - 1);
        live(path, status, code);
        // A set that is new at the end is met when the call is over.
        live("/a", 200, 0);
        assert_eq!(sum(&layer, "requests_total"), dropped);
    }
    assert_eq!(sum(&other_layer, "requests_total"), 2 + 3 * 3 + 3);
    assert_eq!(sum(&other_layer, "concurrent_requests"), 0);
}

/// The layers own each other through closures.
#[test]
fn a_closure_may_drop_another_layer() {
    let (layer, service) = built(builder().label(name()));
    let mut owner = None;
    for _ in 0..50 {
        let owned = (owner.take(), CallsWhenDropped(vec![(service, "/dropped")]));
        let (next, of_next) =
            built(builder().filter(move |_| owned.1.0.len() == 1 || owned.0.is_none()));
        call(of_next, "/");
        owner = Some(next);
    }
    drop(owner);
    // This thread keeps a part of each dropped layer until it uses something new.
    for _ in 0..50 {
        let (_new_layer, new) = built(builder());
        call(new, "/");
    }
    assert_eq!(sum(&layer, "requests_total"), 50);
}

/// Converts to a fault, and makes a call in the conversion.
struct Calls(Measured);

impl From<Calls> for Fault {
    fn from(Calls(service): Calls) -> Self {
        call(service, "/inner");
        ErrorType::GENERATE.into()
    }
}

#[test]
fn a_conversion_to_a_fault_may_call_measured_services() {
    let (layer, service) = built(builder().label(name()));
    for _ in 0..10 {
        let mut call = begin(service, "/outer");
        call.fault(Calls(service));
        drop(call);
        let mut call = begin(service, "/outer");
        call.handle().fault(Calls(service));
        drop(call);
    }
    let expected = [(r#"name="inner""#, 20), (r#"name="outer""#, 20)];
    assert_all(&layer, "requests_total", &expected);
    assert_eq!(sum(&layer, "errors_total"), 20);
    let _ = Request::new(());
}
