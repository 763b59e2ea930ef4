use super::deadline::Deadline;
use crate::Error;
use bytes::Bytes;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long a reader may take nothing before another scrape can take over its permit.
const STALL_TIMEOUT: Duration = Duration::from_secs(5);

/// The permits of an exporter and its clones, one for each scrape in flight.
#[derive(Default)]
pub(super) struct Permits {
    in_flight: Mutex<Vec<Arc<InFlight>>>,
}

/// The right to one scrape in flight. Dropping it releases the permit.
///
/// The permit holds the page, so that revoking it also frees the page. The body could not free it:
/// a server that waits for a stalled client does not poll the body.
pub(super) struct Permit {
    permits: Arc<Permits>,
    scrape: Arc<InFlight>,
}

struct InFlight {
    deadline: Deadline,
    progress: Mutex<Progress>,
}

enum Progress {
    /// The page is being written.
    Writing,
    /// The page, and when its reader last took a part of it.
    Reading(Bytes, Instant),
    /// Another scrape has the permit.
    Revoked,
}

// === impl Permits ===

impl Permits {
    /// Returns a permit if fewer than `limit` scrapes are in flight.
    ///
    /// At the limit, revokes the permit of a scrape whose deadline has passed or, if there is none,
    /// of the reader that has stalled longest.
    pub(super) fn try_acquire(
        self: &Arc<Self>,
        limit: usize,
        deadline: Deadline,
    ) -> Option<Permit> {
        let mut in_flight = lock(&self.in_flight);
        // Clones may have different limits, so more than one permit may have to be revoked.
        while in_flight.len() >= limit {
            let late = in_flight
                .iter()
                .position(|other| other.deadline.has_passed());
            let revoked = late.or_else(|| longest_stalled(&in_flight))?;
            *lock(&in_flight.swap_remove(revoked).progress) = Progress::Revoked;
        }
        let scrape = Arc::new(InFlight {
            deadline,
            progress: Mutex::new(Progress::Writing),
        });
        in_flight.push(scrape.clone());
        Some(Permit {
            permits: self.clone(),
            scrape,
        })
    }
}

fn longest_stalled(in_flight: &[Arc<InFlight>]) -> Option<usize> {
    let stalled = |(index, scrape): (usize, &Arc<InFlight>)| Some((scrape.stalled_since()?, index));
    let longest = in_flight.iter().enumerate().filter_map(stalled).min();
    longest.map(|(_, index)| index)
}

// === impl Permit ===

impl Permit {
    /// Stores the page that [`read`](Self::read) returns parts of.
    pub(super) fn set_page(&self, page: Bytes) {
        let mut progress = lock(&self.scrape.progress);
        if let Progress::Writing = *progress {
            *progress = Progress::Reading(page, Instant::now());
        }
    }

    /// Returns a copy of a part of the page. The copy does not keep the rest in memory.
    ///
    /// # Errors
    ///
    /// Returns an error if the deadline has passed, or if another scrape has the permit.
    pub(super) fn read(&self, part: Range<usize>) -> Result<Bytes, Error> {
        let InFlight { deadline, progress } = &*self.scrape;
        if deadline.has_passed() {
            return Err(Error::new(format!(
                "the page was not read within the deadline of {:?}",
                deadline.timeout()
            )));
        }
        match &mut *lock(progress) {
            Progress::Reading(page, last) => {
                *last = Instant::now();
                Ok(Bytes::copy_from_slice(&page[part]))
            }
            Progress::Writing | Progress::Revoked => Err(Error::new(format!(
                "the page was not read: its reader took nothing for {STALL_TIMEOUT:?}, and another scrape took over its permit"
            ))),
        }
    }
}

// === impl InFlight ===

impl InFlight {
    /// Returns when the reader last took a part, if that is longer ago than [`STALL_TIMEOUT`].
    fn stalled_since(&self) -> Option<Instant> {
        match *lock(&self.progress) {
            Progress::Reading(_, last) if last.elapsed() >= STALL_TIMEOUT => Some(last),
            Progress::Reading(..) | Progress::Writing | Progress::Revoked => None,
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        lock(&self.permits.in_flight).retain(|scrape| !Arc::ptr_eq(scrape, &self.scrape));
    }
}

/// Locks a mutex, poisoned or not: nothing panics while one of these is held.
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

    /// Reads a part of the page, or returns what the error is about.
    fn read(permit: &Permit, part: Range<usize>) -> Result<Bytes, &'static str> {
        permit.read(part).map_err(|error| {
            let text = error.to_string();
            let mut known = ["deadline", "another scrape"].into_iter();
            known.find(|why| text.contains(why)).expect("a known error")
        })
    }

    #[test]
    fn as_many_permits_are_given_as_the_limit_says() {
        let permits = Arc::new(Permits::default());
        let first = permits.try_acquire(2, deadline(Duration::MAX));
        let second = permits.try_acquire(2, deadline(Duration::MAX));
        assert!(first.is_some() && second.is_some());
        assert!(permits.try_acquire(2, deadline(Duration::MAX)).is_none());
        drop(first);
        assert!(permits.try_acquire(2, deadline(Duration::MAX)).is_some());
        assert!(permits.try_acquire(1, deadline(Duration::MAX)).is_none());
    }

    #[test]
    fn a_scrape_past_its_deadline_loses_permit_and_page_to_the_next() {
        let permits = Arc::new(Permits::default());
        let late = permits
            .try_acquire(1, deadline(Duration::ZERO))
            .expect("a permit");
        let owner = Arc::new(*b"page");
        late.set_page(Bytes::from_owner(Shared(owner.clone())));
        assert_eq!(Arc::strong_count(&owner), 2);
        assert_eq!(read(&late, 0..4), Err("deadline"));

        let next = permits
            .try_acquire(1, deadline(Duration::MAX))
            .expect("its permit");
        next.set_page(PAGE);
        assert_eq!(Arc::strong_count(&owner), 1);
        drop(late);
        assert_eq!(read(&next, 0..4), Ok(PAGE));
        assert!(permits.try_acquire(1, deadline(Duration::MAX)).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_reader_loses_permit_and_page_to_the_next() {
        let permits = Arc::new(Permits::default());
        let take = || permits.try_acquire(2, deadline(Duration::MAX));
        let [writing, stalled] = [take(), take()].map(|permit| permit.expect("a permit"));
        let owner = Arc::new(*b"page");
        stalled.set_page(Bytes::from_owner(Shared(owner.clone())));
        advance(STALL_TIMEOUT / 2).await;
        assert_eq!(read(&stalled, 0..1), Ok(PAGE.slice(0..1)));
        advance(STALL_TIMEOUT - Duration::from_millis(1)).await;
        assert!(take().is_none());
        advance(Duration::from_millis(1)).await;
        assert_eq!(
            Arc::strong_count(&owner),
            2,
            "no scrape needs the permit yet"
        );

        let next = take().expect("its permit");
        assert_eq!(Arc::strong_count(&owner), 1);
        assert_eq!(read(&stalled, 1..2), Err("another scrape"));
        // A page that is still being written has no reader that could stall.
        advance(10 * STALL_TIMEOUT).await;
        assert!(take().is_none());
        drop((writing, stalled, next));
        assert!(permits.in_flight.lock().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_reader_that_stalled_longest_loses_its_permit_first() {
        let permits = Arc::new(Permits::default());
        let mut readers = Vec::new();
        for _ in 0..3 {
            let permit = permits
                .try_acquire(3, deadline(Duration::MAX))
                .expect("a permit");
            permit.set_page(PAGE);
            readers.push(permit);
            advance(STALL_TIMEOUT / 2).await;
        }
        assert_eq!(read(&readers[0], 0..1), Ok(PAGE.slice(0..1)));
        advance(STALL_TIMEOUT).await;
        let next = permits.try_acquire(3, deadline(Duration::MAX));
        let read: Vec<_> = readers.iter().map(|permit| read(permit, 0..4)).collect();
        assert_eq!(read, [Ok(PAGE), Err("another scrape"), Ok(PAGE)]);
        drop(next);
    }

    struct Shared(Arc<[u8; 4]>);

    impl AsRef<[u8]> for Shared {
        fn as_ref(&self) -> &[u8] {
            &*self.0
        }
    }
}
