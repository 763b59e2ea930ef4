//! Contenders take turns, because machines drift. The result is the median over all rounds of the difference to the first
//! contender in the same round.

use super::floors::CLOCK;
use super::{Contender, is_measuring, processor};
use std::hint::black_box;
use std::sync::{Barrier, LazyLock};
use std::thread::{self, ScopedJoinHandle};

/// How contenders are compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) title: &'a str,
    pub(crate) threads: usize,
    pub(crate) rounds: usize,
    /// The calls of each contender, on each thread and in each round. At least one run.
    pub(crate) calls: u32,
    /// Whether to read 4 MiB of memory before each call. Then each call is timed by itself.
    pub(crate) is_cold: bool,
    /// Contenders of which all results are also shown as multiples.
    pub(crate) floors: &'a [&'a str],
}

const COLD_BYTES: usize = 4 << 20;
const CACHE_LINE: usize = 64;

// === impl Plan ===

impl Default for Plan<'_> {
    /// One thread, with warm caches.
    fn default() -> Self {
        Self {
            title: "",
            threads: 1,
            rounds: 40,
            calls: 20_000,
            is_cold: false,
            floors: &[],
        }
    }
}

/// Lets the contenders take turns, and prints what each costs beyond the first: the median and the quartiles of the
/// differences in each round.
pub(crate) fn compare(plan: Plan<'_>, contenders: &[Contender]) {
    if !is_measuring() {
        return contenders.iter().for_each(|contender| (contender.run)());
    }
    let times = run(plan, contenders);
    let beyond = |row: usize| {
        let pairs = times[row].iter().zip(&times[0]);
        Spread::of(pairs.map(|(time, bare)| time - bare).collect())
    };
    let floors = plan.floors.iter().filter_map(|floor| {
        let row = contenders.iter().position(|one| one.name == *floor)?;
        Some((*floor, beyond(row).median))
    });
    let floors: Vec<_> = floors.collect();

    print!("\n{:36} {:>9} {:>9}", plan.title, "ns", "beyond");
    print!("  {:>19}", "quartiles");
    for (floor, _) in &floors {
        print!("  {:>9}", format!("× {floor}"));
    }
    println!();
    for (row, contender) in contenders.iter().enumerate() {
        let median = Spread::of(times[row].clone()).median;
        let beyond = beyond(row);
        print!("{:36} {median:9.1} {:9.1}", contender.name, beyond.median);
        print!("  {:8.1} – {:8.1}", beyond.quarter, beyond.three_quarters);
        for (_, floor) in &floors {
            print!("  {:9.2}", beyond.median / floor);
        }
        println!();
    }
}

/// The quartiles of values.
pub(crate) struct Spread {
    pub(crate) quarter: f64,
    pub(crate) median: f64,
    pub(crate) three_quarters: f64,
}

// === impl Spread ===

impl Spread {
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |quarters: usize| values[(values.len() - 1) * quarters / 4];
        Self {
            quarter: at(1),
            median: at(2),
            three_quarters: at(3),
        }
    }
}

/// Returns the nanoseconds by contender and round: processor time, averaged over the threads.
fn run(plan: Plan<'_>, contenders: &[Contender]) -> Vec<Vec<f64>> {
    let processors = processor::all();
    let start = Barrier::new(plan.threads);
    let by_thread: Vec<Vec<Vec<f64>>> = thread::scope(|scope| {
        let begin = |thread: usize| {
            let processor = processors[thread % processors.len()];
            let start = &start;
            scope.spawn(move || {
                processor::pin(processor);
                take_turns(plan, contenders, start)
            })
        };
        let threads: Vec<_> = (0..plan.threads).map(begin).collect();
        let ended = threads.into_iter().map(ScopedJoinHandle::join);
        ended
            .map(|turns| turns.expect("no contender panics"))
            .collect()
    });
    let average = |row: usize, round: usize| {
        let sum: f64 = by_thread.iter().map(|turns| turns[row][round]).sum();
        sum / plan.threads as f64
    };
    (0..contenders.len())
        .map(|row| (0..plan.rounds).map(|round| average(row, round)).collect())
        .collect()
}

/// Returns the nanoseconds of one thread's calls, by contender and round.
fn take_turns(plan: Plan<'_>, contenders: &[Contender], start: &Barrier) -> Vec<Vec<f64>> {
    let mut turns = vec![Vec::with_capacity(plan.rounds); contenders.len()];
    let mut far = vec![0; if plan.is_cold { COLD_BYTES } else { 0 }];
    for contender in contenders {
        (contender.run)();
    }
    for _ in 0..plan.rounds {
        for (contender, turns) in contenders.iter().zip(&mut turns) {
            let runs = plan.calls.div_ceil(contender.units);
            start.wait();
            let nanos = match plan.is_cold {
                true => cold(runs, &mut far, contender),
                false => hot(runs, contender),
            };
            turns.push(nanos as f64 / f64::from(runs) / f64::from(contender.units));
        }
    }
    turns
}

fn hot(runs: u32, contender: &Contender) -> u128 {
    let began = processor::time();
    for _ in 0..runs {
        (contender.run)();
    }
    (processor::time() - began).as_nanos()
}

/// Times each call by itself.
fn cold(runs: u32, far: &mut [u8], contender: &Contender) -> u128 {
    let clock = LazyLock::force(&CLOCK);
    let mut nanos = 0;
    for _ in 0..runs {
        for line in far.iter_mut().step_by(CACHE_LINE) {
            *line = black_box(*line).wrapping_add(1);
        }
        let began = clock.raw();
        (contender.run)();
        nanos += clock.delta_as_nanos(began, clock.raw());
    }
    nanos.into()
}
