use crate::call::Call;
use crate::classify::{Classify, Phase};
use crate::panic_guard::PanicGuard;
use std::any::Any;

/// Ends a call whose service returned an error.
pub(super) fn failed(mut call: Call, classifier: &impl Classify, error: &dyn Any) {
    let mut guard = PanicGuard::new(&mut call);
    guard.fault(classifier.error(error, Phase::Generate));
    guard.disarm();
}
