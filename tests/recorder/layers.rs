//! Many layers, in sequence and at once, each with its own numbers.

use crate::raw::{Done, Raw, assert_all, begin, builder, built, call, name, sum};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use tower::Layer;
use tower_openmetrics::{Metrics, MetricsLayer};

/// New layers take the slots of dropped ones, whose services and calls still exist.
#[test]
fn services_of_5000_layers_that_are_gone_count_nowhere() {
    let mut services: Vec<Metrics<Done, Raw>> = Vec::new();
    let mut calls = Vec::new();
    for number in 0..5_000_usize {
        let layer = builder().label(name()).build(()).unwrap();
        let service = layer.layer(Done);
        call(&service, "/own");
        calls.push(begin(&service, "/own"));
        // Services of earlier layers, some of the same slot. Some of their calls end now.
        for back in [1, 2, 100, 1_000] {
            if let Some(gone) = number.checked_sub(back).and_then(|gone| services.get(gone)) {
                call(gone, "/gone");
            }
        }
        if number % 10 == 9 {
            calls.swap_remove(number / 2 % calls.len()).complete();
        }
        services.push(service);
        if number % 50 == 0 {
            // The latest call belongs to this layer, unless it has just ended.
            assert_all(&layer, "requests_total", &[(r#"name="own""#, 1)]);
            assert_all(&layer, "concurrent_requests", &[(r#"name="own""#, 1)]);
        }
    }
    let (layer, service) = built(builder().label(name()));
    call(service, "/own");
    thread::scope(|scope| {
        for some in services.chunks(2_500) {
            scope.spawn(move || some.iter().for_each(|gone| call(gone, "/gone")));
        }
        scope.spawn(move || {
            calls
                .into_iter()
                .for_each(tower_openmetrics::Call::complete);
        });
    });
    services.iter().for_each(|gone| call(gone, "/gone"));
    assert_all(&layer, "requests_total", &[(r#"name="own""#, 1)]);
    assert_all(&layer, "concurrent_requests", &[(r#"name="own""#, 0)]);
}

#[test]
fn a_thousand_layers_at_once_have_their_own_numbers() {
    const LAYERS: usize = 1_000;
    let layers: Vec<(MetricsLayer<Raw>, _)> = (0..LAYERS)
        .map(|_| built(builder().label(name())))
        .collect();
    thread::scope(|scope| {
        for thread in 0..4 {
            let layers = &layers;
            scope.spawn(move || {
                for (number, (_, service)) in layers.iter().enumerate() {
                    for _ in 0..=(number + thread) % 5 {
                        call(service, &format!("/{number}"));
                    }
                }
            });
        }
    });
    for (number, (layer, _)) in layers.iter().enumerate() {
        let calls = (0..4)
            .map(|thread| (number + thread) % 5 + 1)
            .sum::<usize>();
        let labels = format!(r#"name="{number}""#);
        assert_all(layer, "requests_total", &[(&labels, calls as i64)]);
    }
}

/// Threads call services of dropped layers while other layers take and leave the same slots. No thread waits for ever.
#[test]
fn services_of_dropped_layers_are_called_while_slots_are_reused() {
    const LAYERS: usize = 20_000;
    // Two for each slot. A thread remembers only one of them.
    let gone: Vec<_> = (0..8).map(|_| built(builder()).1).collect();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    gone.iter().for_each(|service| call(service, "/"));
                }
            });
        }
        for _ in 0..LAYERS {
            let layer = builder().build(()).unwrap();
            call(&layer.layer(Done), "/");
        }
        done.store(true, Ordering::Relaxed);
    });
    let (layer, service) = built(builder());
    call(service, "/");
    assert_eq!(sum(&layer, "requests_total"), 1);
}
