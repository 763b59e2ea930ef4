//! Texts as a collector may write them: on either page they can be read, or they are refused when
//! they are included.

use crate::pages::{Shown, check};
use tower_openmetrics::{Clock, MetricsRegistry};

pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let registry = MetricsRegistry::with_clock(Clock::manual());
    let text = text.to_owned();
    match registry.include_with(move |page| std::fmt::Write::write_str(page, &text)) {
        Ok(()) => assert_eq!(check(&registry, &[]), Shown::Whole),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
