use super::limits::Limits;
use std::future::pending;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

/// What the client of one connection is doing. Clones share it.
///
/// All parts of a connection update it. One future [waits](Self::outstayed) for a client that takes too long.
#[derive(Clone, Debug)]
pub(super) struct Activity(watch::Sender<State>);

#[derive(Clone, Copy, Debug)]
struct State {
    stage: Stage,
    stalled: Option<Stalled>,
    /// The last four bytes received.
    tail: u32,
}

/// How far the current request and its response are.
#[derive(Clone, Copy, Debug, PartialEq)]
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
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stalled {
    since: Instant,
    /// The last time the client took something.
    last_taken: Instant,
}

/// How much longer a connection waits for its client.
#[derive(Debug, PartialEq)]
struct Patience {
    /// Until a timeout is exceeded.
    left: Duration,
    /// Until the connection can be evicted.
    spared: Duration,
}

/// How long a client is spared from eviction, because its request or its next read may be under
/// way. A client that has received its response needs no grace.
const EVICTION_GRACE: Duration = Duration::from_millis(250);

// === impl Activity ===

impl Activity {
    /// The activity of a new connection.
    pub(super) fn new() -> Self {
        let since = Instant::now();
        Self(watch::Sender::new(State {
            stage: Stage::Head { since },
            stalled: None,
            tail: 0,
        }))
    }

    /// `bytes` have been read from the client.
    pub(super) fn received(&self, bytes: &[u8]) {
        self.update(|state| {
            let add = |tail, byte: &u8| tail << 8 | u32::from(*byte);
            state.tail = bytes.iter().fold(state.tail, add);
            // Only the first byte of a head starts its timeout. Otherwise a client could extend it
            // without end, one byte at a time.
            if matches!(state.stage, Stage::Idle { .. }) && !bytes.is_empty() {
                let since = Instant::now();
                state.stage = Stage::Head { since };
            }
        });
    }

    /// A whole request head has been read.
    pub(super) fn requested(&self) {
        self.update(|state| state.stage = Stage::Response);
    }

    /// hyper has taken the last piece of the response.
    pub(super) fn responded(&self) {
        self.update(|state| state.stage = Stage::Flushing);
    }

    /// A write is pending, because the client takes nothing.
    pub(super) fn write_blocked(&self) {
        self.update(|state| {
            let (since, last_taken) = (Instant::now(), Instant::now());
            state.stalled.get_or_insert(Stalled { since, last_taken });
        });
    }

    /// The client has taken something.
    pub(super) fn wrote(&self) {
        self.update(|state| {
            if let Some(stalled) = &mut state.stalled {
                stalled.last_taken = Instant::now();
            }
        });
    }

    /// The client has taken everything that was ready.
    pub(super) fn flushed(&self) {
        self.update(|state| {
            state.stalled = None;
            if state.stage == Stage::Flushing {
                let since = Instant::now();
                // Bytes after the end of a head belong to the next one.
                state.stage = match state.tail.to_be_bytes() {
                    [.., b'\n', b'\n'] | [.., b'\n', b'\r', b'\n'] => Stage::Idle { since },
                    _ => Stage::Head { since },
                };
            }
        });
    }

    /// Returns once the client has exceeded a timeout, or `evictions` has notified this connection. It notifies the one
    /// that could have been evicted for longest.
    ///
    /// Must be polled after the connection, to see what that poll has changed.
    pub(super) async fn outstayed(&self, limits: &Limits, evictions: &Notify) {
        let mut changes = self.0.subscribe();
        loop {
            let state = *changes.borrow_and_update();
            tokio::select! {
                biased;
                _ = changes.changed() => {}
                () = exhausted(state.patience(limits), evictions) => return,
            }
        }
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        self.0.send_if_modified(|state| {
            let before = (state.stage, state.stalled);
            change(state);
            before != (state.stage, state.stalled)
        });
    }
}

// === impl State ===

impl State {
    /// Returns the patience with a client, or `None` if the connection does not wait for it.
    fn patience(&self, limits: &Limits) -> Option<Patience> {
        let (since, timeout, spared_since, grace) = match (self.stalled, self.stage) {
            (Some(Stalled { since, last_taken }), _) => {
                (since, limits.write_timeout, last_taken, EVICTION_GRACE)
            }
            (None, Stage::Head { since }) => {
                let timeout = limits.header_timeout.min(limits.read_timeout);
                (since, timeout, since, EVICTION_GRACE)
            }
            (None, Stage::Idle { since }) => (since, limits.read_timeout, since, Duration::ZERO),
            (None, Stage::Response | Stage::Flushing) => return None,
        };
        Some(Patience {
            left: timeout.saturating_sub(since.elapsed()),
            spared: grace.saturating_sub(spared_since.elapsed()),
        })
    }
}

/// Returns once `patience` has run out.
async fn exhausted(patience: Option<Patience>, evictions: &Notify) {
    let Some(Patience { left, spared }) = patience else {
        return pending().await;
    };
    let evicted = async {
        // Even a sleep of zero takes a moment, and such sleeps may end in any order.
        if !spared.is_zero() {
            sleep(spared).await;
        }
        evictions.notified().await;
    };
    let _ = timeout(left, evicted).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::task::JoinSet;
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

    fn patience(activity: &Activity, limits: &Limits) -> Option<Patience> {
        activity.0.borrow().patience(limits)
    }

    /// The time that the client has left.
    fn left(activity: &Activity) -> Option<Duration> {
        Some(patience(activity, &limits())?.left)
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
        let patience = patience(&Activity::new(), &impatient);
        assert_eq!(patience.unwrap().left, SECOND);
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
        let (activity, evictions) = (Activity::new(), Notify::new());
        activity.write_blocked();
        let outstayed = activity.outstayed(&patient, &evictions);
        assert!(timeout(3600 * SECOND, outstayed).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_ends_when_its_client_has_no_time_left() {
        let (activity, evictions) = (Activity::new(), Notify::new());
        let limits = limits();
        let began = Instant::now();
        activity.outstayed(&limits, &evictions).await;
        assert_eq!(began.elapsed(), 5 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_connection_that_waits_for_its_client_is_evicted() {
        const NOW: Option<Duration> = Some(Duration::ZERO);
        let spared = |activity: &Activity| Some(patience(activity, &limits())?.spared);
        let activity = Activity::new();
        activity.received(&REQUEST[..5]);
        assert_eq!(spared(&activity), Some(EVICTION_GRACE));
        advance(EVICTION_GRACE).await;
        assert_eq!(spared(&activity), NOW);

        activity.received(&REQUEST[5..]);
        activity.requested();
        advance(60 * SECOND).await;
        assert_eq!(spared(&activity), None);
        activity.write_blocked();
        assert_eq!(spared(&activity), Some(EVICTION_GRACE));
        advance(EVICTION_GRACE).await;
        assert_eq!(spared(&activity), NOW);
        activity.wrote();
        assert_eq!(spared(&activity), Some(EVICTION_GRACE), "it reads again");
        activity.responded();
        activity.flushed();
        assert_eq!(spared(&activity), NOW);
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_wait_is_evicted_first() {
        let [silent, stalled, idle, responding] = [(); 4].map(|()| Activity::new());
        stalled.requested();
        responding.requested();
        idle.received(REQUEST);
        let evictions = Arc::new(Notify::new());
        let mut waiting = JoinSet::new();
        let all = [
            ("silent", &silent),
            ("stalled", &stalled),
            ("idle", &idle),
            ("responding", &responding),
        ];
        for (name, activity) in all {
            let (activity, evictions) = (activity.clone(), Arc::clone(&evictions));
            waiting.spawn(async move {
                activity.outstayed(&limits(), &evictions).await;
                name
            });
        }
        sleep(EVICTION_GRACE / 2).await;
        stalled.write_blocked();
        respond(&idle);
        sleep(2 * EVICTION_GRACE).await;
        stalled.wrote();
        silent.received(b"more of its head");
        let mut evicted = Vec::new();
        for _ in 0..3 {
            evictions.notify_one();
            evicted.push(waiting.join_next().await.unwrap().unwrap());
        }
        assert_eq!(evicted, ["idle", "silent", "stalled"]);
        assert_eq!(waiting.len(), 1);
    }
}
