//! What a call costs: the same ready service, which reads 1 KiB and answers with 1 KiB that is drained, with
//! nothing around it, beside the least that counting could cost, and with layers set up in several ways.
//!
//! ```text
//! cargo bench --bench overhead
//! ```
//!
//! How to read it: `beyond` is what a row adds to the bare call, in nanoseconds, and the last two columns set it beside the
//! floors, which `harness/floors.rs` has. Compare rows of one table, and tables of one run only by their
//! multiples. Threads are pinned where the system allows, and what counts is the time that they had
//! a processor. The table of two threads says something only if `floor-s` is slower in it than in that
//! of one: else the two did not run at once. In the cold tables 4 MiB are walked through before each call.

mod harness;

use harness::{Plan, compare, is_counted, layers};

fn main() {
    let tables = [("a call", layers::contenders())];
    if is_counted(&tables) {
        return;
    }
    let [(_, contenders)] = tables;
    let plan = Plan {
        floors: &["floor-s", "floor-w"],
        ..Plan::default()
    };
    let threads = [
        ("one thread", 1, 20_000),
        ("two threads", 2, 20_000),
        ("eight threads", 8, 5_000),
    ];
    for (title, threads, calls) in threads {
        let plan = Plan {
            title,
            threads,
            calls,
            ..plan
        };
        compare(plan, &contenders);
    }
    let plan = Plan {
        title: "one thread, cold caches",
        calls: 50,
        is_cold: true,
        ..plan
    };
    compare(plan, &contenders);
}
