//! The cost of a call. One ready service reads 1 KiB and answers with 1 KiB, bare, with the least that counting can cost, and
//! with layers of several settings.
//!
//! ```text
//! cargo bench --bench overhead
//! ```
//!
//! How to read it: `beyond` is what a row adds to the bare call, in nanoseconds. The last two columns are multiples of the
//! floors in `harness/floors.rs`. Compare the rows of one table. Compare two tables of one run only by their multiples.
//! Threads are pinned if the system allows it, and only their processor time counts. The table of two threads is valid only
//! if its `floor-s` is slower than that of one thread; otherwise the two threads did not run at the same time. In the cold
//! tables, 4 MiB of memory are read before each call.

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
