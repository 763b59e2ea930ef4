//! What a label costs whose value changes from call to call, with 1 to 10,000 values, at each of the three moments at which
//! it can become known.
//!
//! ```text
//! cargo bench --bench labels
//! ```
//!
//! How to read it: `beyond` is what a row adds to the bare call, in nanoseconds. `begin-100` has 100 values known when
//! a call begins, `head` stands for those of the response's head and `end` for those that the protocol gives at the end; `none` is
//! the same layer without the label. Down a table it should be flat, but for what the processor's caches no longer
//! hold: the numbers of a thousand label sets take more than a megabyte. `no-room` has 10,000 values, of which 100 find room.

mod harness;

use harness::{Plan, compare, is_counted, labels};

fn main() {
    let tables = labels::tables();
    if is_counted(&tables) {
        return;
    }
    for (title, contenders) in &tables {
        let plan = Plan {
            title,
            rounds: 30,
            calls: 10_000,
            ..Plan::default()
        };
        compare(plan, contenders);
    }
}
