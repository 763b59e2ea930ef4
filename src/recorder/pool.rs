//! Words that no call has: a few with each thread, the others in common.

use super::report::Word;
use std::array;
use std::cell::RefCell;
use std::mem;
use std::sync::{Mutex, PoisonError};

/// A thread whose calls end elsewhere takes this many at once, and one on
/// which others' calls end gives as many back.
const BATCH: usize = 32;
const MOST_KEPT: usize = 2 * BATCH;

static COMMON: Mutex<Vec<&'static Word>> = Mutex::new(Vec::new());

thread_local! {
    static OWN: RefCell<Own> = const { RefCell::new(Own(Vec::new())) };
}

/// Goes back to the common ones when its thread ends.
struct Own(Vec<&'static Word>);

#[inline]
pub(super) fn take() -> &'static Word {
    OWN.try_with(|own| {
        let own = &mut own.borrow_mut().0;
        if own.is_empty() {
            refill(own, BATCH);
        }
        own.pop().unwrap_or_else(leak)
    })
    .unwrap_or_else(|_| {
        let mut one = Vec::new();
        refill(&mut one, 1);
        one.pop().unwrap_or_else(leak)
    })
}

#[inline]
pub(super) fn put(word: &'static Word) {
    let kept = OWN.try_with(|own| {
        let own = &mut own.borrow_mut().0;
        own.push(word);
        if own.len() > MOST_KEPT {
            give_back(own.drain(BATCH..));
        }
    });
    if kept.is_err() {
        give_back([word]);
    }
}

/// As many as are asked for, made if need be. The process keeps them: it
/// will need that many again.
#[cold]
fn refill(words: &mut Vec<&'static Word>, size: usize) {
    let mut common = COMMON.lock().unwrap_or_else(PoisonError::into_inner);
    if common.is_empty() {
        let made: &'static [Word; BATCH] = Box::leak(Box::new(array::from_fn(|_| Word::new())));
        common.extend(made);
    }
    let left = common.len().saturating_sub(size);
    words.extend(common.drain(left..));
}

#[cold]
fn give_back(words: impl IntoIterator<Item = &'static Word>) {
    COMMON
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .extend(words);
}

#[cold]
fn leak() -> &'static Word {
    Box::leak(Box::new(Word::new()))
}

// === impl Own ===

impl Drop for Own {
    fn drop(&mut self) {
        give_back(mem::take(&mut self.0));
    }
}
