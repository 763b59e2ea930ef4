//! Watches whether a layer's calls complete.

use super::canary::Canary;
use crate::recorder::Recorder;
use crate::totals;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// A layer that is watched. Dropping it ends the watch.
#[derive(Debug)]
pub(super) struct Watch {
    watched: Arc<Watched>,
    /// Aborts the task when it is dropped.
    _task: JoinSet<()>,
}

/// What the watch and its task share.
///
/// Calls know nothing of it: it reads what they count anyway.
#[derive(Debug)]
struct Watched {
    recorder: Arc<Recorder>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// How many calls had completed at the last look of the task.
    completed: i64,
    /// Why the endpoint doesn't work. `None` if it does.
    failure: Option<String>,
}

// === impl Watch ===

impl Watch {
    /// Spawns the task of a watch. It sends the first probe at once.
    pub(super) fn spawn(recorder: Arc<Recorder>, canary: Canary) -> Self {
        let state = State {
            completed: totals::completed(&recorder).unwrap_or(i64::MAX),
            failure: Some("no call has completed and no probe has succeeded yet".to_owned()),
        };
        let watched = Arc::new(Watched {
            recorder,
            state: Mutex::new(state),
        });
        let mut task = JoinSet::new();
        task.spawn(run(Arc::clone(&watched), canary));
        Self {
            watched,
            _task: task,
        }
    }

    /// Returns why the endpoint doesn't work, or `None` if it does. A call that has just completed counts.
    pub(super) fn failure(&self) -> Option<String> {
        let mut state = self.watched.state();
        // The count at the last look stays, so that the task sees the call, too.
        let completed = || totals::completed(&self.watched.recorder);
        if state.failure.is_some() && completed().is_some_and(|count| count > state.completed) {
            state.failure = None;
        }
        state.failure.clone()
    }
}

async fn run(watched: Arc<Watched>, canary: Canary) {
    loop {
        watched.probed(canary.send().await);
        sleep(canary.idle_time()).await;
        while watched.look(&mut watched.state()) {
            sleep(canary.idle_time()).await;
        }
    }
}

// === impl Watched ===

impl Watched {
    /// A probe has ended. A call that completed before a failure no longer proves anything.
    fn probed(&self, result: Result<(), String>) {
        let mut state = self.state();
        self.look(&mut state);
        state.failure = result.err();
    }

    /// Returns whether a call has completed since the last look, which proves that the endpoint works.
    ///
    /// What is remembered does not fall because of calls that fail just now: once they have failed, they would look like completed
    /// ones. It falls if label sets have left.
    fn look(&self, state: &mut State) -> bool {
        let Some(completed) = totals::completed(&self.recorder) else {
            return false;
        };
        let failing = i64::try_from(totals::in_flight(&self.recorder)).unwrap_or(i64::MAX);
        let has_completed = completed > state.completed;
        if has_completed {
            state.failure = None;
        }
        if has_completed || completed.saturating_add(failing) < state.completed {
            state.completed = completed;
        }
        has_completed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A poisoned lock is fine: no panic leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
