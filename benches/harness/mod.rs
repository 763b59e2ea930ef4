//! What the benchmarks share: contenders, the inner service that all of them wrap, and rounds in which they take turns.

#![allow(dead_code, unused_imports, reason = "no benchmark uses all of it")]

mod counting;
pub(crate) mod floors;
pub(crate) mod labels;
pub(crate) mod layers;
pub(crate) mod options;
pub(crate) mod processor;
mod rounds;
mod service;
pub(crate) mod streams;
pub(crate) mod wrapping;

pub(crate) use self::counting::is_counted;
pub(crate) use self::rounds::{Plan, Spread, compare};
pub(crate) use self::service::{Reading, call, get, post};

use std::env;
use tower_openmetrics::{Format, MetricsLayer};

/// The contenders to compare. The first is the baseline.
pub(crate) type Table = (&'static str, Vec<Contender>);

/// A name, and a way to make one call.
pub(crate) struct Contender {
    pub(crate) name: String,
    /// The number of frames, items or calls in a run. Results are per frame, item or call.
    pub(crate) units: u32,
    pub(crate) run: Box<dyn Fn() + Send + Sync>,
}

// === impl Contender ===

impl Contender {
    pub(crate) fn new(name: impl Into<String>, run: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            name: name.into(),
            units: 1,
            run: Box::new(run),
        }
    }

    pub(crate) fn of_units(mut self, units: u32) -> Self {
        self.units = units;
        self
    }

    /// Runs once, and checks that this adds `expected` to a family of the layer: what the row claims to measure.
    pub(crate) fn counting<P>(self, layer: &MetricsLayer<P>, family: &str, expected: u32) -> Self {
        let count = || sum(layer, family);
        let before = count();
        (self.run)();
        assert_eq!(
            count() - before,
            f64::from(expected),
            "{family} of {}",
            self.name
        );
        self
    }
}

/// Returns the sum of a family's samples.
fn sum<P>(layer: &MetricsLayer<P>, family: &str) -> f64 {
    let page = layer.registry().encode(Format::Prometheus).expect("a page");
    let samples = page
        .lines()
        .filter_map(|line| line.strip_prefix(family)?.rsplit_once(' '));
    samples
        .map(|(_, value)| value.parse::<f64>().expect("a number"))
        .sum()
}

/// Whether to measure, as under `cargo bench`. Under `cargo test` each contender runs once.
pub(crate) fn is_measuring() -> bool {
    let given = |flag| env::args().any(|argument| argument == flag);
    given("--bench") && !given("--test")
}
