//! The price of each option that measures waits, items and polls, beyond the layer without it.
//!
//! ```text
//! cargo bench --bench options
//! ```
//!
//! How to read it: `beyond` is what an option adds to the first row of its table, in nanoseconds per call, frame or item. A
//! frame or an item is one poll. Frames have 1 KiB, items 5 bytes, and a call has 1,000 of them.

mod harness;

use harness::{Plan, compare, is_counted, options};

fn main() {
    let tables = options::tables();
    if is_counted(&tables) {
        return;
    }
    for (title, contenders) in &tables {
        let plan = Plan {
            title,
            ..Plan::default()
        };
        compare(plan, contenders);
    }
}
