use super::limits::Limits;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;

/// What the client of one connection does: told by the task that serves it,
/// asked by that task and by whoever looks for a connection to close.
#[derive(Debug)]
pub(super) struct Activity {
    state: Mutex<State>,
    room_wanted: Notify,
}

/// What a connection can do for clients that wait for a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// It can be closed, at the expense of nobody but its client.
    Now,
    /// It can end with the answer that it is about.
    AfterAnswer,
    /// Its client may have something on its way.
    NotYet,
}

/// When a connection can be closed at the expense of nobody but its client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spare {
    pub(super) from: Instant,
    /// The one whose is the earliest goes first: it has waited longest.
    pub(super) order: Instant,
}

#[derive(Clone, Copy, Debug)]
struct State {
    phase: Phase,
    behind: Option<Behind>,
    /// Whether the next answer is the last one.
    ends: bool,
    /// The last bytes that have come.
    tail: [u8; 3],
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// A request is to come: the first one, or one of which a part has come.
    Head { since: Instant },
    /// Another request may come.
    Idle { since: Instant },
    /// A request has come, and its answer is in the making or on its way.
    Answer,
    /// All of the answer is handed over, but not yet sent.
    AnswerEnd,
}

/// A client that does not take all that is ready for it.
#[derive(Clone, Copy, Debug)]
struct Behind {
    since: Instant,
    /// When it took something for the last time.
    took: Instant,
}

/// How long a client is left alone in a crowd: its request, or its next read,
/// may well be on its way. A client that has got its answer needs no such time.
const GRACE: Duration = Duration::from_millis(250);

/// By how much longer than others a client may have waited that has begun to
/// ask: to close the connection costs it a request.
const HEAD_START: Duration = Duration::from_secs(1);

// === impl Activity ===

impl Activity {
    /// That of a connection that begins.
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                phase: Phase::Head {
                    since: Instant::now(),
                },
                behind: None,
                ends: false,
                tail: [0; 3],
            }),
            room_wanted: Notify::new(),
        }
    }

    /// These bytes have come.
    pub(super) fn received(&self, bytes: &[u8]) {
        let mut state = self.state();
        if bytes.is_empty() {
            return;
        }
        for &byte in &bytes[bytes.len().saturating_sub(3)..] {
            state.tail.rotate_left(1);
            state.tail[2] = byte;
        }
        // What comes later does not begin the time of a head anew, or a client
        // that sends a byte now and then would have all the time there is.
        if let Phase::Idle { .. } = state.phase {
            state.phase = Phase::Head {
                since: Instant::now(),
            };
        }
    }

    /// A whole head has come.
    pub(super) fn requested(&self) {
        self.state().phase = Phase::Answer;
    }

    /// The last piece of the answer is handed over.
    pub(super) fn answered(&self) {
        self.state().phase = Phase::AnswerEnd;
    }

    /// The client takes nothing at the moment.
    pub(super) fn blocked(&self) {
        let now = Instant::now();
        self.state().behind.get_or_insert(Behind {
            since: now,
            took: now,
        });
    }

    /// The client has taken something.
    pub(super) fn sent(&self) {
        if let Some(behind) = &mut self.state().behind {
            behind.took = Instant::now();
        }
    }

    /// The client has taken all that was ready.
    pub(super) fn flushed(&self) {
        let mut state = self.state();
        state.behind = None;
        if let Phase::AnswerEnd = state.phase {
            let since = Instant::now();
            // What came after the end of a head is a part of the next one.
            let is_between = state.tail.ends_with(b"\n\n") || state.tail == *b"\n\r\n";
            state.phase = if is_between {
                Phase::Idle { since }
            } else {
                Phase::Head { since }
            };
        }
    }

    /// When the client will have taken too long, if it is its turn.
    pub(super) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let State { phase, behind, .. } = *self.state();
        let request = match phase {
            Phase::Head { since } => {
                since.checked_add(limits.header_timeout.min(limits.read_timeout))
            }
            Phase::Idle { since } => since.checked_add(limits.read_timeout),
            Phase::Answer | Phase::AnswerEnd => None,
        };
        let answer = behind.and_then(|behind| behind.since.checked_add(limits.write_timeout));
        request.into_iter().chain(answer).min()
    }

    /// When the connection can be closed to make room, if it waits for its
    /// client.
    pub(super) fn spare(&self) -> Option<Spare> {
        let State { phase, behind, .. } = *self.state();
        let (since, grace, head_start) = match (behind, phase) {
            (Some(Behind { took, .. }), _) => (took, GRACE, Duration::ZERO),
            (None, Phase::Head { since }) => (since, GRACE, HEAD_START),
            (None, Phase::Idle { since }) => (since, Duration::ZERO, Duration::ZERO),
            (None, Phase::Answer | Phase::AnswerEnd) => return None,
        };
        Some(Spare {
            from: since + grace,
            order: since + head_start,
        })
    }

    /// What the connection can do at this moment.
    pub(super) fn room(&self) -> Room {
        match self.spare() {
            Some(spare) if spare.from <= Instant::now() => Room::Now,
            Some(_) => Room::NotYet,
            None => Room::AfterAnswer,
        }
    }

    /// Has the connection end with the answer that it is about, or the next one:
    /// others want its place.
    pub(super) fn end_with_answer(&self) {
        self.state().ends = true;
    }

    /// Whether it does.
    pub(super) fn ends_with_answer(&self) -> bool {
        self.state().ends
    }

    /// Has the connection's task look for [`room`](Self::room).
    pub(super) fn want_room(&self) {
        self.room_wanted.notify_one();
    }

    /// Ready when room was wanted since it was so the last time.
    pub(super) fn room_wanted(&self) -> Notified<'_> {
        self.room_wanted.notified()
    }

    /// Nothing that panics is done under the lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// How long the client has from now on.
    fn left(activity: &Activity) -> Option<Duration> {
        let deadline = activity.deadline(&limits());
        deadline.map(|at| at.saturating_duration_since(Instant::now()))
    }

    fn answer(activity: &Activity) {
        activity.requested();
        activity.flushed();
        activity.answered();
        activity.flushed();
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_its_time_however_its_bytes_come() {
        let activity = Activity::new();
        for byte in 0..4 {
            activity.received(b"x");
            activity.flushed();
            assert_eq!(left(&activity), Some((5 - byte) * SECOND));
            advance(SECOND).await;
        }
        answer(&activity);
        assert_eq!(
            left(&activity),
            Some(5 * SECOND),
            "the tail is no head's end"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn between_two_requests_there_is_more_time_until_the_next_one_begins() {
        let activity = Activity::new();
        for request in [REQUEST, b"\n", b"GET / HTTP/1.0\n\n"] {
            activity.received(request);
            answer(&activity);
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
    async fn a_half_head_after_a_whole_one_is_no_idleness() {
        let activity = Activity::new();
        activity.received(&[REQUEST, b"GET /live"].concat());
        answer(&activity);
        assert_eq!(left(&activity), Some(5 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn the_shorter_of_two_timeouts_counts_for_a_head() {
        let impatient = Limits {
            read_timeout: SECOND,
            ..limits()
        };
        let deadline = Activity::new().deadline(&impatient);
        assert_eq!(deadline, Some(Instant::now() + SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_has_its_time_from_the_first_write_that_waits() {
        let activity = Activity::new();
        activity.received(REQUEST);
        activity.requested();
        assert_eq!(left(&activity), None, "it is the server's turn");
        for second in 0..30 {
            activity.blocked();
            assert_eq!(left(&activity), Some((30 - second) * SECOND));
            advance(SECOND).await;
            activity.sent();
        }
        assert_eq!(left(&activity), Some(Duration::ZERO));
        activity.answered();
        assert_eq!(left(&activity), Some(Duration::ZERO));
        activity.flushed();
        assert_eq!(left(&activity), Some(40 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn no_time_is_too_long() {
        let patient = Limits {
            header_timeout: Duration::MAX,
            read_timeout: Duration::MAX,
            write_timeout: Duration::MAX,
            ..limits()
        };
        let activity = Activity::new();
        activity.blocked();
        assert_eq!(activity.deadline(&patient), None);
    }

    #[tokio::test(start_paused = true)]
    async fn room_is_made_by_who_waits_for_its_client() {
        let activity = Activity::new();
        activity.received(&REQUEST[..5]);
        assert_eq!(activity.room(), Room::NotYet);
        advance(GRACE).await;
        assert_eq!(activity.room(), Room::Now);

        activity.received(&REQUEST[5..]);
        activity.requested();
        advance(60 * SECOND).await;
        assert_eq!(activity.room(), Room::AfterAnswer);
        activity.blocked();
        assert_eq!(activity.room(), Room::NotYet);
        advance(GRACE).await;
        assert_eq!(activity.room(), Room::Now);
        activity.sent();
        assert_eq!(activity.room(), Room::NotYet, "it goes on");
        activity.answered();
        activity.flushed();
        assert_eq!(activity.room(), Room::Now);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_waited_longest_comes_first() {
        let silent = Activity::new();
        advance(HEAD_START / 2).await;
        let stalled = Activity::new();
        stalled.requested();
        stalled.blocked();
        advance(HEAD_START).await;
        let idle = Activity::new();
        idle.received(REQUEST);
        answer(&idle);
        let answering = Activity::new();
        answering.requested();
        assert!(answering.spare().is_none());

        let order = || [&stalled, &silent, &idle].map(|of| of.spare().map(|spare| spare.order));
        assert!(order().is_sorted());
        stalled.sent();
        assert!(!order().is_sorted(), "it takes something");
    }
}
