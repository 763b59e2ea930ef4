//! Runs one contender under valgrind, which counts its instructions: see `instructions.py`.

use super::{Contender, Table};
use std::{env, thread};

/// The minimum number of calls before counting starts. A thread has done all one-time work by then.
const WARM_UP: u32 = 100;

/// Handles `--list`, which prints the contenders, and `--count CONTENDER RUNS`, which runs one. Returns whether one of the
/// two was given.
pub(crate) fn is_counted(tables: &[Table]) -> bool {
    let mut arguments = env::args().skip(1);
    match arguments.next().as_deref() {
        Some("--list") => list(tables),
        Some("--count") => {
            let all = tables.iter().flat_map(|(_, contenders)| contenders);
            let name = arguments.next().unwrap_or_default();
            let contender = all.into_iter().find(|contender| contender.name == name);
            let runs = arguments.next().and_then(|runs| runs.parse().ok());
            let (Some(contender), Some(runs)) = (contender, runs) else {
                panic!("usage: --count CONTENDER RUNS");
            };
            // The cost of copies depends on where the stack begins. On the main thread the environment decides that, so
            // this runs on another thread.
            thread::scope(|scope| {
                scope.spawn(|| {
                    for _ in 0..WARM_UP.div_ceil(contender.units).max(2) {
                        (contender.run)();
                    }
                    these_are_counted(&contender.run, runs);
                });
            });
        }
        _ => return false,
    }
    true
}

fn list(tables: &[Table]) {
    for (title, contenders) in tables {
        for Contender { name, units, .. } in contenders {
            println!("{title}\t{name}\t{units}");
        }
    }
}

/// Valgrind counts the instructions of this function.
#[inline(never)]
fn these_are_counted(run: &dyn Fn(), runs: u32) {
    for _ in 0..runs {
        run();
    }
}
