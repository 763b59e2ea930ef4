//! What each frame, item and message of a long call costs, on its way in and on its way out.
//!
//! ```text
//! cargo bench --bench streaming
//! ```
//!
//! How to read it: `beyond` is what a row adds to the bare stream, in nanoseconds for each frame, item or message; a call has 1,000
//! of them, so that its beginning and end hardly show. Frames are of 1 KiB, items of 5 bytes, gRPC's messages of 64.

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
