use super::deadline::Deadline;
use bytes::Bytes;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The scrapes in flight.
#[derive(Default)]
pub(super) struct Places {
    taken: Mutex<Vec<Arc<Held>>>,
}

/// A scrape's place among those in flight, until it is dropped.
///
/// It has the page too, so that whoever takes over the place of a reader who is late can let go
/// of that reader's page as well: a server that waits for a stalled client polls no body, and so
/// keeps it.
pub(super) struct Place {
    places: Arc<Places>,
    held: Arc<Held>,
}

struct Held {
    deadline: Deadline,
    page: Mutex<Bytes>,
}

// === impl Places ===

impl Places {
    /// A place if fewer than `limit` are taken, or if one is whose deadline has passed.
    pub(super) fn take(self: &Arc<Self>, limit: usize, deadline: Deadline) -> Option<Place> {
        let mut taken = lock(&self.taken);
        // Clones may have different limits, so that more than one may have to go.
        while taken.len() >= limit {
            let late = taken.iter().position(|held| held.deadline.has_passed())?;
            *lock(&taken.swap_remove(late).page) = Bytes::new();
        }
        let held = Arc::new(Held {
            deadline,
            page: Mutex::default(),
        });
        taken.push(held.clone());
        Some(Place {
            places: self.clone(),
            held,
        })
    }
}

// === impl Place ===

impl Place {
    pub(super) fn deadline(&self) -> Deadline {
        self.held.deadline
    }

    /// Puts the page there that is to be read.
    pub(super) fn keep(&self, page: Bytes) {
        *lock(&self.held.page) = page;
    }

    /// A copy of a part of the page, which does not keep the rest of it; nothing if it is too late.
    pub(super) fn read(&self, part: Range<usize>) -> Option<Bytes> {
        if self.held.deadline.has_passed() {
            return None;
        }
        // Checked all the same: time may have passed, and the place with it.
        lock(&self.held.page).get(part).map(Bytes::copy_from_slice)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.places.taken).retain(|held| !Arc::ptr_eq(held, &self.held));
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
            .field("deadline", &self.held.deadline)
            .finish_non_exhaustive()
    }
}

/// Nothing that panics is done under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;
    use std::time::Duration;

    const PAGE: Bytes = Bytes::from_static(b"page");

    fn deadline(length: Duration) -> Deadline {
        Deadline::new(length, &HeaderMap::new())
    }

    #[test]
    fn there_are_as_many_places_as_the_limit_says() {
        let places = Arc::new(Places::default());
        let first = places.take(2, deadline(Duration::MAX));
        let second = places.take(2, deadline(Duration::MAX));
        assert!(first.is_some() && second.is_some());
        assert!(places.take(2, deadline(Duration::MAX)).is_none());
        drop(first);
        assert!(places.take(2, deadline(Duration::MAX)).is_some());
        assert!(places.take(1, deadline(Duration::MAX)).is_none());
    }

    #[test]
    fn who_is_late_loses_the_place_and_the_page_to_who_comes() {
        let places = Arc::new(Places::default());
        let late = places.take(1, deadline(Duration::ZERO)).expect("a place");
        let owner = Arc::new(*b"page");
        late.keep(Bytes::from_owner(Shared(owner.clone())));
        assert_eq!(Arc::strong_count(&owner), 2);
        assert_eq!(late.read(0..4), None);

        let next = places.take(1, deadline(Duration::MAX)).expect("its place");
        next.keep(PAGE);
        assert_eq!(Arc::strong_count(&owner), 1);
        drop(late);
        assert_eq!(next.read(0..4), Some(PAGE));
        assert!(places.take(1, deadline(Duration::MAX)).is_none());
    }

    struct Shared(Arc<[u8; 4]>);

    impl AsRef<[u8]> for Shared {
        fn as_ref(&self) -> &[u8] {
            &*self.0
        }
    }
}
