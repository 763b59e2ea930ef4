//! The cost of each frame, item and message of a long call, in both directions.
//!
//! ```text
//! cargo bench --bench streaming
//! ```
//!
//! How to read it: `beyond` is what a row adds to the bare stream, in nanoseconds per frame, item or message. A call has 1,000
//! of them, so its beginning and end hardly show. Frames have 1 KiB, items 5 bytes, and gRPC messages 64 bytes.

mod harness;

use harness::{Plan, compare, is_counted, streams};

fn main() {
    let tables = streams::tables();
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
