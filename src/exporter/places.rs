use super::deadline::Deadline;
use bytes::Bytes;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long a reader may take nothing before its place is given to another scrape that needs one.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

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

/// Why there is nothing left to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// The deadline has passed.
    TooLate,
    /// The reader has taken nothing for too long, and another scrape has the place.
    Stalled,
}

struct Held {
    deadline: Deadline,
    progress: Mutex<Progress>,
}

enum Progress {
    /// The page is in the making.
    Writing,
    /// The page is being read, and so it was at that moment for the last time.
    Reading(Bytes, Instant),
    /// Another scrape has the place.
    Lost,
}

// === impl Places ===

impl Places {
    /// A place if fewer than `limit` are taken, or if one is whose deadline has passed, or whose
    /// reader has stalled: then that of the one that has stalled longest.
    pub(super) fn take(self: &Arc<Self>, limit: usize, deadline: Deadline) -> Option<Place> {
        let mut taken = lock(&self.taken);
        // Clones may have different limits, so that more than one may have to go.
        while taken.len() >= limit {
            let late = taken.iter().position(|held| held.deadline.has_passed());
            let loser = late.or_else(|| longest_stalled(&taken))?;
            *lock(&taken.swap_remove(loser).progress) = Progress::Lost;
        }
        let held = Arc::new(Held {
            deadline,
            progress: Mutex::new(Progress::Writing),
        });
        taken.push(held.clone());
        Some(Place {
            places: self.clone(),
            held,
        })
    }
}

fn longest_stalled(taken: &[Arc<Held>]) -> Option<usize> {
    let stalled = |(at, held): (usize, &Arc<Held>)| Some((held.stalled_since()?, at));
    let longest = taken.iter().enumerate().filter_map(stalled).min();
    longest.map(|(_, at)| at)
}

// === impl Place ===

impl Place {
    /// Puts the page there that is to be read.
    pub(super) fn keep(&self, page: Bytes) {
        let mut progress = lock(&self.held.progress);
        if let Progress::Writing = *progress {
            *progress = Progress::Reading(page, Instant::now());
        }
    }

    /// A copy of a part of the page, which does not keep the rest of it.
    pub(super) fn read(&self, part: Range<usize>) -> Result<Bytes, Lost> {
        let Held { deadline, progress } = &*self.held;
        if deadline.has_passed() {
            return Err(Lost::TooLate);
        }
        match &mut *lock(progress) {
            Progress::Reading(page, last) => {
                *last = Instant::now();
                Ok(Bytes::copy_from_slice(&page[part]))
            }
            Progress::Writing | Progress::Lost => Err(Lost::Stalled),
        }
    }

    /// What the reader is told who has lost it.
    pub(super) fn explain(&self, lost: Lost) -> String {
        match lost {
            Lost::TooLate => format!(
                "the page was not read within the deadline of {:?}",
                self.held.deadline.length()
            ),
            Lost::Stalled => format!(
                "the page was not read: nothing was taken for {PATIENCE:?}, and another scrape \
                 needed the place"
            ),
        }
    }
}

// === impl Held ===

impl Held {
    /// When the reader took something for the last time, if that is too long ago.
    fn stalled_since(&self) -> Option<Instant> {
        match *lock(&self.progress) {
            Progress::Reading(_, last) if last.elapsed() >= PATIENCE => Some(last),
            Progress::Reading(..) | Progress::Writing | Progress::Lost => None,
        }
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
    use tokio::time::advance;

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
        assert_eq!(late.read(0..4), Err(Lost::TooLate));

        let next = places.take(1, deadline(Duration::MAX)).expect("its place");
        next.keep(PAGE);
        assert_eq!(Arc::strong_count(&owner), 1);
        drop(late);
        assert_eq!(next.read(0..4), Ok(PAGE));
        assert!(places.take(1, deadline(Duration::MAX)).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_loses_the_place_and_the_page_to_who_comes() {
        let places = Arc::new(Places::default());
        let take = || places.take(2, deadline(Duration::MAX));
        let [writing, stalled] = [take(), take()].map(|place| place.expect("a place"));
        let owner = Arc::new(*b"page");
        stalled.keep(Bytes::from_owner(Shared(owner.clone())));
        advance(PATIENCE / 2).await;
        assert_eq!(stalled.read(0..1), Ok(PAGE.slice(0..1)));
        advance(PATIENCE - Duration::from_millis(1)).await;
        assert!(take().is_none());
        advance(Duration::from_millis(1)).await;
        assert_eq!(Arc::strong_count(&owner), 2, "nobody has come");

        let next = take().expect("its place");
        assert_eq!(Arc::strong_count(&owner), 1);
        assert_eq!(stalled.read(1..2), Err(Lost::Stalled));
        // A page that is in the making keeps nobody waiting for its reader.
        advance(10 * PATIENCE).await;
        assert!(take().is_none());
        drop((writing, stalled, next));
        assert!(places.taken.lock().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_stalled_longest_goes_first() {
        let places = Arc::new(Places::default());
        let mut readers = Vec::new();
        for _ in 0..3 {
            let place = places.take(3, deadline(Duration::MAX)).expect("a place");
            place.keep(PAGE);
            readers.push(place);
            advance(PATIENCE / 2).await;
        }
        assert_eq!(readers[0].read(0..1), Ok(PAGE.slice(0..1)));
        advance(PATIENCE).await;
        let next = places.take(3, deadline(Duration::MAX));
        let read: Vec<_> = readers.iter().map(|place| place.read(0..4)).collect();
        assert_eq!(read, [Ok(PAGE), Err(Lost::Stalled), Ok(PAGE)]);
        drop(next);
    }

    struct Shared(Arc<[u8; 4]>);

    impl AsRef<[u8]> for Shared {
        fn as_ref(&self) -> &[u8] {
            &*self.0
        }
    }
}
