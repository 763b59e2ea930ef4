//! Runs one contender for valgrind, which counts the instructions of it: see `instructions.py`.

use super::{Contender, Table};
use std::{env, thread};

/// The calls before those that are counted, at least: all that a thread does once is behind it then.
const WARM_UP: u32 = 100;

/// With `--list`, says what contenders there are. With `--count CONTENDER RUNS`, runs one. Returns whether it was asked for
/// either, so that there is nothing more to do.
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
            // What is copied takes more or less by where the stack begins, which the environment decides: but
            // for that of further threads.
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

/// Valgrind counts what happens in here.
#[inline(never)]
fn these_are_counted(run: &dyn Fn(), runs: u32) {
    for _ in 0..runs {
        run();
    }
}
