//! The cost of a label whose value changes from call to call, with 1 to 10,000 values, at each of the three moments.
//!
//! ```text
//! cargo bench --bench labels
//! ```
//!
//! How to read it: `beyond` is what a row adds to the bare call, in nanoseconds. `begin-100` has 100 values that are known when
//! a call begins. `head` rows read the label from the response's head, and `end` rows from the protocol's code. `none` is the
//! same layer without the label. The cost should be flat down a table until the processor's caches are too small: the numbers
//! of a thousand label sets take more than a megabyte. `no-room` has 10,000 values and a limit of 100.

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
