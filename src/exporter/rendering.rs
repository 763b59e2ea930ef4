use super::on_error::OnError;
use crate::Error;
use crate::exposition::{Encoding, Selection};
use crate::registry::MetricsRegistry;
use bytes::Bytes;
use std::collections::VecDeque;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Where pages are written: one at a time, and each for all who wait for the same one.
///
/// A scrape joins a rendering that has not begun, never one that has: that would miss calls which
/// have ended since.
///
/// Under a tokio runtime this is done on a thread for blocking work, so that neither a large page
/// nor a collector that blocks keeps a task from its turn. Elsewhere the scrape that finds nobody at
/// it does it, in one piece.
pub(super) struct Renderings {
    registry: MetricsRegistry,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    /// Whether there is a `Worker`.
    at_work: bool,
    waiting: VecDeque<Job>,
}

/// A rendering that has not begun.
struct Job {
    wanted: Wanted,
    rendered: watch::Sender<Option<Rendered>>,
}

/// What a page is to be like.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wanted {
    pub(super) encoding: Encoding,
    pub(super) selection: Selection,
    pub(super) on_error: OnError,
}

/// A page, or what is to be said in its place.
pub(super) type Rendered = Result<Bytes, Bytes>;

/// The one that renders, until nobody waits.
struct Worker(Option<Arc<Renderings>>);

const PANICKED: &str = "\
The metrics could not be written: something panicked over them. The process has reported the panic \
with its place in the code, on standard error unless it sets its own panic hook. The metrics \
themselves go on counting, and the next scrape tries again.\n";

// === impl Renderings ===

impl Renderings {
    pub(super) fn new(registry: MetricsRegistry) -> Self {
        Self {
            registry,
            queue: Mutex::default(),
        }
    }

    pub(super) fn registry(&self) -> &MetricsRegistry {
        &self.registry
    }

    /// The page as it is now or later, or nothing if the runtime shuts down before.
    pub(super) async fn page(self: &Arc<Self>, wanted: Wanted) -> Option<Rendered> {
        // It would wait for the page that it is a part of.
        if let Err(error) = self.registry.check_idle() {
            return Some(Err(explain(&error).into()));
        }
        let (mut rendered, worker) = self.join(wanted);
        if let Some(worker) = worker {
            worker.start();
        }
        let rendered = rendered.wait_for(Option::is_some).await;
        rendered.ok()?.clone()
    }

    /// A place among those who wait for such a page, and who is to be started if nobody is at work.
    fn join(
        self: &Arc<Self>,
        wanted: Wanted,
    ) -> (watch::Receiver<Option<Rendered>>, Option<Worker>) {
        let mut queue = self.queue();
        let same = queue.waiting.iter().find(|job| job.wanted == wanted);
        let receiver = match same {
            Some(job) => job.rendered.subscribe(),
            None => {
                let (rendered, receiver) = watch::channel(None);
                queue.waiting.push_back(Job { wanted, rendered });
                receiver
            }
        };
        let starts = !std::mem::replace(&mut queue.at_work, true);
        (receiver, starts.then(|| Worker(Some(self.clone()))))
    }

    /// The next rendering that somebody waits for. With none left the work is over.
    fn next(&self) -> Option<Job> {
        let mut queue = self.queue();
        queue.waiting.retain(|job| !job.rendered.is_closed());
        let job = queue.waiting.pop_front();
        queue.at_work = job.is_some();
        job
    }

    fn render(&self, wanted: &Wanted) -> Rendered {
        // Encoders are caught one by one, so that they can be named. This is for what they are told of:
        // an error handler may panic too.
        let Wanted {
            encoding,
            selection,
            on_error,
        } = wanted;
        let on_error = |error| on_error.handle(error);
        let render = || self.registry.render(*encoding, selection, &on_error);
        match panic::catch_unwind(AssertUnwindSafe(render)) {
            Ok(Ok(page)) => Ok(page),
            Ok(Err(error)) => Err(explain(&error).into()),
            Err(_panic) => Err(PANICKED.into()),
        }
    }

    /// Nothing that panics is done under the lock.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Worker ===

impl Worker {
    fn start(self) {
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(|| self.work())),
            Err(_) => self.work(),
        }
    }

    fn work(mut self) {
        while let Some(renderings) = &self.0 {
            match renderings.next() {
                Some(job) => {
                    let rendered = renderings.render(&job.wanted);
                    job.rendered.send_replace(Some(rendered));
                }
                None => self.0 = None,
            }
        }
    }
}

impl Drop for Worker {
    /// A runtime that shuts down drops it without a stroke of work. Who waits is told by their
    /// senders being dropped, and the next scrape finds its own worker.
    fn drop(&mut self) {
        if let Some(renderings) = &self.0 {
            *renderings.queue() = Queue::default();
        }
    }
}

fn explain(error: &Error) -> String {
    format!(
        "The metrics could not be written: {error}. The metrics themselves go on counting, and the \
         next scrape tries again.\n"
    )
}
