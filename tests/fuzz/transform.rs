//! Texts of collectors. Both page formats can be parsed, or the text is refused when it is included.

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
