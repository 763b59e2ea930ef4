use super::on_error::OnError;
use crate::Error;
use crate::exposition::{Encoding, Selection};
use crate::registry::MetricsRegistry;
use bytes::Bytes;
use std::collections::VecDeque;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Where pages are written: one at a time, and each for all who wait for the same one.
///
/// A scrape joins a rendering that has not begun, never one that has: that would miss calls which
/// have ended since.
///
/// Under a tokio runtime this is done on a thread of its own, so that neither a large page nor a
/// collector that blocks keeps a task from its turn. It is none of the runtime's, which would wait
/// for it at its shutdown: for ever if a collector never returns. Elsewhere the scrape that finds
/// nobody at it does it, in one piece.
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

/// One of the threads on which pages are written.
///
/// An exporter with all its clones has one at most. The limit is for programs that make exporters
/// without end, and have a collector that never returns.
struct Thread;

static THREADS: AtomicUsize = AtomicUsize::new(0);

const MAX_THREADS: usize = 64;

/// The name of them, of the 15 bytes that Linux shows.
const THREAD: &str = "metrics-page";

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

    /// The page as it is now or later, or nothing if there is no thread to write it: the runtime
    /// shuts down before, or there are too many.
    pub(super) async fn page(self: &Arc<Self>, wanted: Wanted) -> Option<Rendered> {
        // It would wait for the page that it is a part of.
        if let Err(error) = self.registry.check_idle() {
            return Some(Err(explain(&error).into()));
        }
        let (mut rendered, worker) = self.join(wanted);
        let (_waiting, gone) = mpsc::channel();
        match Handle::try_current() {
            Ok(runtime) => {
                // A runtime that shuts down drops it without a stroke of work.
                drop(runtime.clone().spawn_blocking(move || {
                    if let Some(worker) = worker {
                        worker.detach(runtime);
                    }
                    attend(&gone);
                }));
            }
            Err(_) => worker.into_iter().for_each(Worker::work),
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
    fn detach(self, runtime: Handle) {
        let Some(thread) = Thread::new() else {
            return;
        };
        let work = move || {
            let _thread = thread;
            // Collectors may be about the runtime.
            let _context = runtime.enter();
            self.work();
        };
        // If the system has no thread for it, it is dropped.
        let _ = thread::Builder::new().name(THREAD.into()).spawn(work);
    }

    fn work(mut self) {
        let mut job = self.next();
        while let (Some(renderings), Some(Job { wanted, rendered })) = (&self.0, job) {
            let page = renderings.render(&wanted);
            // It is over before anybody is told: who asks then finds nobody at work.
            job = self.next();
            rendered.send_replace(Some(page));
        }
    }

    fn next(&mut self) -> Option<Job> {
        let job = self.0.as_ref()?.next();
        if job.is_none() {
            self.0 = None;
        }
        job
    }
}

impl Drop for Worker {
    /// If it has not come to work, who waits is told by their senders being dropped, and the next
    /// scrape finds its own worker.
    fn drop(&mut self) {
        if let Some(renderings) = &self.0 {
            *renderings.queue() = Queue::default();
        }
    }
}

// === impl Thread ===

impl Thread {
    /// One more, unless there are as many as may be.
    fn new() -> Option<Self> {
        let add = |threads| (threads < MAX_THREADS).then_some(threads + 1);
        let added = THREADS.fetch_update(Relaxed, Relaxed, add);
        added.is_ok().then_some(Self)
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        THREADS.fetch_sub(1, Relaxed);
    }
}

/// Returns once the scrape is over that holds the other end, or after a while.
///
/// To the runtime, this is the work. As long as there is some, a clock that tests have paused does not
/// jump to the scrape's deadline. When the runtime shuts down it drops its tasks, and with them the
/// scrapes, before it waits for such work; a scrape that is held elsewhere does not keep it for long.
fn attend(gone: &mpsc::Receiver<()>) {
    let _ = gone.recv_timeout(Duration::from_secs(10));
}

fn explain(error: &Error) -> String {
    format!(
        "The metrics could not be written: {error}. The metrics themselves go on counting, and the \
         next scrape tries again.\n"
    )
}
