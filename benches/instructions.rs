//! How many instructions a call takes, which repeats exactly where time does not.
//!
//! ```text
//! python3 benches/instructions.py
//! ```
//!
//! How to read it: `beyond` is what a row adds to the first row of its table, for one call, frame or item. Some ten
//! instructions are a nanosecond. The script needs valgrind, which counts what runs inside of `counted` below; this program by itself
//! only says what contenders there are.

mod harness;

use harness::{Contender, layers};
use std::env;

/// The calls before those that are counted, at least: all that a thread does once is behind it then.
const WARM_UP: u32 = 100;

fn main() {
    let groups = [("a call", layers::contenders())];
    let mut arguments = env::args()
        .skip_while(|argument| argument != "--count")
        .skip(1);
    let Some(name) = arguments.next() else {
        for (title, contenders) in &groups {
            for Contender { name, units, .. } in contenders {
                println!("{title}\t{name}\t{units}");
            }
        }
        return;
    };
    let runs = arguments.next().and_then(|runs| runs.parse().ok());
    let contender = groups
        .iter()
        .flat_map(|(_, all)| all)
        .find(|one| one.name == name);
    let (Some(contender), Some(runs)) = (contender, runs) else {
        panic!("usage: --count CONTENDER RUNS");
    };
    for _ in 0..WARM_UP.div_ceil(contender.units).max(2) {
        (contender.run)();
    }
    counted(&contender.run, runs);
}

#[inline(never)]
fn counted(run: &dyn Fn(), runs: u32) {
    for _ in 0..runs {
        run();
    }
}
