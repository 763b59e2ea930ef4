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
    state: Arc<Mutex<State>>,
    /// Aborts the task when it is dropped.
    _task: JoinSet<()>,
}

/// What the watch and its task share.
///
/// Calls know nothing of it: it reads what they count anyway.
#[derive(Debug)]
struct State {
    recorder: Arc<Recorder>,
    /// How many calls had completed at the last look of the task.
    completed: i64,
    /// Why the endpoint doesn't work. `None` if it does.
    failure: Option<String>,
}

// === impl Watch ===

impl Watch {
    /// Spawns the task of a watch. It sends the first probe at once.
    pub(super) fn spawn(recorder: Arc<Recorder>, canary: Canary) -> Self {
        let state = Arc::new(Mutex::new(State {
            completed: totals::completed(&recorder).unwrap_or(i64::MAX),
            failure: Some("no call has completed and no probe has succeeded yet".to_owned()),
            recorder,
        }));
        let mut task = JoinSet::new();
        task.spawn(run(Arc::clone(&state), canary));
        Self { state, _task: task }
    }

    /// Returns why the endpoint doesn't work, or `None` if it does. A call that has just completed counts.
    pub(super) fn failure(&self) -> Option<String> {
        let mut state = lock(&self.state);
        // The count at the last look stays, so that the task sees the call, too.
        let completed = || totals::completed(&state.recorder);
        if state.failure.is_some() && completed().is_some_and(|count| count > state.completed) {
            state.failure = None;
        }
        state.failure.clone()
    }
}

async fn run(state: Arc<Mutex<State>>, canary: Canary) {
    loop {
        let result = canary.send().await;
        lock(&state).probed(result);
        sleep(canary.idle_time()).await;
        while lock(&state).look() {
            sleep(canary.idle_time()).await;
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // A poisoned lock is fine: no panic leaves the state half changed.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl State ===

impl State {
    /// A probe has ended. A call that completed before a failure no longer proves anything.
    fn probed(&mut self, result: Result<(), String>) {
        self.look();
        self.failure = result.err();
    }

    /// Returns whether a call has completed since the last look, which proves that the endpoint works.
    ///
    /// A call that is failing lowers [`totals::completed`] for a moment. The remembered count ignores that, because it would
    /// take the end of that moment for a completed call. It falls when label sets leave.
    fn look(&mut self) -> bool {
        let Some(completed) = totals::completed(&self.recorder) else {
            return false;
        };
        let failing = i64::try_from(totals::in_flight(&self.recorder)).unwrap_or(i64::MAX);
        let has_completed = completed > self.completed;
        if has_completed {
            self.failure = None;
        }
        if has_completed || completed.saturating_add(failing) < self.completed {
            self.completed = completed;
        }
        has_completed
    }
}
