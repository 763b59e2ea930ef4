use super::limits::Limits;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// What the client of one connection is doing.
///
/// The connection's task updates it. The accept loop reads it to choose a connection to evict.
#[derive(Debug)]
pub(super) struct Activity {
    state: Mutex<State>,
    eviction_requested: Notify,
}

/// A connection that waits for its client and can be evicted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// The earliest moment of the eviction.
    pub(super) not_before: Instant,
    /// The candidate with the smallest rank has waited longest and is evicted first.
    pub(super) rank: Instant,
}

#[derive(Clone, Copy, Debug)]
struct State {
    stage: Stage,
    stalled: Option<Stalled>,
    /// Whether the connection closes after the next response.
    closes_after_response: bool,
    /// The last bytes received.
    tail: [u8; 3],
}

/// How far the current request and its response are.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// A request head is expected: the first one, or one that has arrived in part.
    Head { since: Instant },
    /// Another request may arrive.
    Idle { since: Instant },
    /// A request has arrived. Its response is being made or sent.
    Response,
    /// hyper has the whole response but has not flushed it.
    Flushing,
}

/// A client that does not take everything that is ready for it.
#[derive(Clone, Copy, Debug)]
struct Stalled {
    since: Instant,
    /// The last time the client took something.
    last_taken: Instant,
}

/// How long a client is spared from eviction, because its request or its next read may be under
/// way. A client that has received its response needs no grace.
const EVICTION_GRACE: Duration = Duration::from_millis(250);

/// How much longer than others a client may wait after it has sent a part of a request. Closing
/// its connection costs it a request.
const PARTIAL_HEAD_ALLOWANCE: Duration = Duration::from_secs(1);

// === impl Activity ===

impl Activity {
    /// The activity of a new connection.
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                stage: Stage::Head {
                    since: Instant::now(),
                },
                stalled: None,
                closes_after_response: false,
                tail: [0; 3],
            }),
            eviction_requested: Notify::new(),
        }
    }

    /// `bytes` have been read from the client.
    pub(super) fn received(&self, bytes: &[u8]) {
        let mut state = self.state();
        if bytes.is_empty() {
            return;
        }
        for &byte in &bytes[bytes.len().saturating_sub(3)..] {
            state.tail.rotate_left(1);
            state.tail[2] = byte;
        }
        // Only the first byte of a head starts its timeout. Otherwise a client could extend it
        // without end, one byte at a time.
        if let Stage::Idle { .. } = state.stage {
            state.stage = Stage::Head {
                since: Instant::now(),
            };
        }
    }

    /// A whole request head has been read.
    pub(super) fn requested(&self) {
        self.state().stage = Stage::Response;
    }

    /// hyper has taken the last piece of the response.
    pub(super) fn responded(&self) {
        self.state().stage = Stage::Flushing;
    }

    /// A write is pending, because the client takes nothing.
    pub(super) fn write_blocked(&self) {
        let now = Instant::now();
        self.state().stalled.get_or_insert(Stalled {
            since: now,
            last_taken: now,
        });
    }

    /// The client has taken something.
    pub(super) fn wrote(&self) {
        if let Some(stalled) = &mut self.state().stalled {
            stalled.last_taken = Instant::now();
        }
    }

    /// The client has taken everything that was ready.
    pub(super) fn flushed(&self) {
        let mut state = self.state();
        state.stalled = None;
        if let Stage::Flushing = state.stage {
            let since = Instant::now();
            // Bytes after the end of a head belong to the next one.
            let is_between = state.tail.ends_with(b"\n\n") || state.tail == *b"\n\r\n";
            state.stage = if is_between {
                Stage::Idle { since }
            } else {
                Stage::Head { since }
            };
        }
    }

    /// Returns when the client will have exceeded a timeout, if the connection waits for it.
    pub(super) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let State { stage, stalled, .. } = *self.state();
        let request = match stage {
            Stage::Head { since } => {
                since.checked_add(limits.header_timeout.min(limits.read_timeout))
            }
            Stage::Idle { since } => since.checked_add(limits.read_timeout),
            Stage::Response | Stage::Flushing => None,
        };
        let response = stalled.and_then(|stalled| stalled.since.checked_add(limits.write_timeout));
        request.into_iter().chain(response).min()
    }

    /// Returns when and in which order the connection can be evicted, or `None` if it does not
    /// wait for its client.
    pub(super) fn candidate(&self) -> Option<Candidate> {
        let State { stage, stalled, .. } = *self.state();
        let (since, grace, allowance) = match (stalled, stage) {
            (Some(Stalled { last_taken, .. }), _) => (last_taken, EVICTION_GRACE, Duration::ZERO),
            (None, Stage::Head { since }) => (since, EVICTION_GRACE, PARTIAL_HEAD_ALLOWANCE),
            (None, Stage::Idle { since }) => (since, Duration::ZERO, Duration::ZERO),
            (None, Stage::Response | Stage::Flushing) => return None,
        };
        Some(Candidate {
            not_before: since + grace,
            rank: since + allowance,
        })
    }

    /// Closes the connection after the next response whose head is not made yet.
    pub(super) fn close_after_response(&self) {
        self.state().closes_after_response = true;
    }

    pub(super) fn closes_after_response(&self) -> bool {
        self.state().closes_after_response
    }

    /// Wakes the connection's task, which closes the connection if it still waits for its client.
    pub(super) fn request_eviction(&self) {
        self.eviction_requested.notify_one();
    }

    /// Completes once an eviction is requested and can be done.
    pub(super) async fn evicted(&self) {
        loop {
            self.eviction_requested.notified().await;
            if self.candidate().is_some_and(Candidate::is_due) {
                return;
            }
        }
    }

    /// A poisoned lock is fine: nothing panics while it is held.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Candidate ===

impl Candidate {
    /// Returns whether the connection can be evicted now.
    pub(super) fn is_due(self) -> bool {
        self.not_before <= Instant::now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const SECOND: Duration = Duration::from_secs(1);
    const REQUEST: &[u8] = b"GET /live HTTP/1.1\r\n\r\n";

    fn limits() -> Limits {
        Limits {
            header_timeout: 5 * SECOND,
            read_timeout: 40 * SECOND,
            write_timeout: 30 * SECOND,
            ..Limits::default()
        }
    }

    /// The time that the client has left.
    fn left(activity: &Activity) -> Option<Duration> {
        let deadline = activity.deadline(&limits());
        deadline.map(|at| at.saturating_duration_since(Instant::now()))
    }

    fn respond(activity: &Activity) {
        activity.requested();
        activity.flushed();
        activity.responded();
        activity.flushed();
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_head_does_not_extend_its_timeout() {
        let activity = Activity::new();
        for byte in 0..4 {
            activity.received(b"x");
            activity.flushed();
            assert_eq!(left(&activity), Some((5 - byte) * SECOND));
            advance(SECOND).await;
        }
        respond(&activity);
        assert_eq!(
            left(&activity),
            Some(5 * SECOND),
            "the tail does not end a head"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_has_the_read_timeout_until_the_next_request_begins() {
        let activity = Activity::new();
        for request in [REQUEST, b"\n", b"GET / HTTP/1.0\n\n"] {
            activity.received(request);
            respond(&activity);
            assert_eq!(left(&activity), Some(40 * SECOND));
        }
        advance(20 * SECOND).await;
        activity.received(b"\r");
        assert_eq!(left(&activity), Some(5 * SECOND));
        advance(SECOND).await;
        activity.received(&REQUEST[..5]);
        assert_eq!(left(&activity), Some(4 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn a_partial_head_after_a_request_is_not_idle() {
        let activity = Activity::new();
        activity.received(&[REQUEST, b"GET /live"].concat());
        respond(&activity);
        assert_eq!(left(&activity), Some(5 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_the_shorter_of_two_timeouts() {
        let impatient = Limits {
            read_timeout: SECOND,
            ..limits()
        };
        let deadline = Activity::new().deadline(&impatient);
        assert_eq!(deadline, Some(Instant::now() + SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn the_write_timeout_starts_at_the_first_blocked_write() {
        let activity = Activity::new();
        activity.received(REQUEST);
        activity.requested();
        assert_eq!(left(&activity), None, "the server is working");
        for second in 0..30 {
            activity.write_blocked();
            assert_eq!(left(&activity), Some((30 - second) * SECOND));
            advance(SECOND).await;
            activity.wrote();
        }
        assert_eq!(left(&activity), Some(Duration::ZERO));
        activity.responded();
        assert_eq!(left(&activity), Some(Duration::ZERO));
        activity.flushed();
        assert_eq!(left(&activity), Some(40 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_timeouts_do_not_overflow() {
        let patient = Limits {
            header_timeout: Duration::MAX,
            read_timeout: Duration::MAX,
            write_timeout: Duration::MAX,
            ..limits()
        };
        let activity = Activity::new();
        activity.write_blocked();
        assert_eq!(activity.deadline(&patient), None);
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_connection_that_waits_for_its_client_is_evicted() {
        const NOW: bool = true;
        const NOT_YET: bool = false;
        let eviction = |activity: &Activity| activity.candidate().map(Candidate::is_due);
        let activity = Activity::new();
        activity.received(&REQUEST[..5]);
        assert_eq!(eviction(&activity), Some(NOT_YET));
        advance(EVICTION_GRACE).await;
        assert_eq!(eviction(&activity), Some(NOW));

        activity.received(&REQUEST[5..]);
        activity.requested();
        advance(60 * SECOND).await;
        assert_eq!(eviction(&activity), None);
        activity.write_blocked();
        assert_eq!(eviction(&activity), Some(NOT_YET));
        advance(EVICTION_GRACE).await;
        assert_eq!(eviction(&activity), Some(NOW));
        activity.wrote();
        assert_eq!(eviction(&activity), Some(NOT_YET), "the client reads again");
        activity.responded();
        activity.flushed();
        assert_eq!(eviction(&activity), Some(NOW));
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_wait_is_evicted_first() {
        let silent = Activity::new();
        advance(PARTIAL_HEAD_ALLOWANCE / 2).await;
        let stalled = Activity::new();
        stalled.requested();
        stalled.write_blocked();
        advance(PARTIAL_HEAD_ALLOWANCE).await;
        let idle = Activity::new();
        idle.received(REQUEST);
        respond(&idle);
        let responding = Activity::new();
        responding.requested();
        assert!(responding.candidate().is_none());

        let ranks = || {
            [&stalled, &silent, &idle]
                .map(|activity| activity.candidate().map(|candidate| candidate.rank))
        };
        assert!(ranks().is_sorted());
        stalled.wrote();
        assert!(!ranks().is_sorted(), "the client has read something");
    }
}
