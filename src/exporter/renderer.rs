use super::coding::Coding;
use crate::Error;
use crate::exposition::Encoding;
use crate::function::Function;
use crate::registry::{MetricsRegistry, Selection};
use bytes::Bytes;
use std::collections::VecDeque;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;
use std::{iter, mem, thread};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

/// Renders pages one at a time, each for all scrapes that wait for the same page.
///
/// A scrape joins a rendering that has not begun. It never joins one that has: that page would miss
/// calls that ended in the meantime.
///
/// Under a tokio runtime a separate thread renders, so that a large page or a collector that blocks
/// delays no task. It is not one of the runtime's blocking threads: the runtime would wait for those
/// at its shutdown, forever if a collector never returns. Without a runtime, a scrape that finds no
/// worker renders in its first poll.
pub(super) struct Renderer {
    registry: MetricsRegistry,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    /// Whether there is a [`Worker`].
    has_worker: bool,
    waiting: VecDeque<Job>,
}

/// A rendering that has not begun.
struct Job {
    options: PageOptions,
    rendered: watch::Sender<Option<Rendered>>,
}

/// What distinguishes one page from another.
#[derive(PartialEq)]
pub(super) struct PageOptions {
    pub(super) encoding: Encoding,
    pub(super) selection: Selection,
    /// Applies if the page is not small.
    pub(super) coding: Option<Coding>,
    /// Hears of what is left out. By default an error fails the page.
    pub(super) on_error: Option<ErrorReport>,
}

pub(super) type ErrorReport = Function<dyn Fn(&Error) + Send + Sync>;

/// A page, or the text that explains why there is none.
pub(super) type Rendered = Result<Page, Bytes>;

/// A page as it is sent.
#[derive(Clone)]
pub(super) struct Page {
    pub(super) content: Bytes,
    pub(super) coding: Option<Coding>,
}

/// Renders until no scrape waits.
struct Worker(Option<Arc<Renderer>>);

/// The permits of rendering threads.
///
/// An exporter and its clones have at most one thread. The limit is for programs that keep making
/// exporters while a collector never returns.
static THREADS: Semaphore = Semaphore::const_new(64);

/// The length of the largest page that is sent uncompressed. It fits into one packet, so compression
/// gains nothing.
const SMALL: usize = 1024;

const PANICKED: &str = "\
The metrics could not be written: a panic occurred while the page was written. The panic hook has \
reported it, by default on standard error. The metrics keep counting, and the next scrape tries again.\n";

// === impl Renderer ===

impl Renderer {
    pub(super) fn new(registry: MetricsRegistry) -> Self {
        Self {
            registry,
            queue: Mutex::default(),
        }
    }

    pub(super) fn registry(&self) -> &MetricsRegistry {
        &self.registry
    }

    /// Returns a page whose rendering begins after this call. Returns `None` if there is no thread to
    /// render it: the runtime is shutting down, or there are too many threads.
    pub(super) async fn page(self: &Arc<Self>, options: PageOptions) -> Option<Rendered> {
        // A scrape by a collector would wait for the page that the collector is part of.
        if let Err(error) = self.registry.check_idle() {
            return Some(Err(explain(&error).into()));
        }
        let (mut rendered, worker) = self.join(options);
        let (_waiting, ended) = mpsc::channel::<()>();
        match Handle::try_current() {
            Ok(runtime) => {
                // A runtime that is shutting down drops the closure without running it.
                drop(runtime.clone().spawn_blocking(move || {
                    if let Some(worker) = worker {
                        worker.spawn(runtime);
                    }
                    // Waits until the scrape has ended. While this thread of the runtime is busy, a paused clock
                    // does not jump to the scrape's deadline. At shutdown the runtime drops its tasks, and
                    // with them the scrapes, before it waits for this thread. A scrape outside of the runtime
                    // delays the shutdown by at most 10 seconds.
                    let _ = ended.recv_timeout(Duration::from_secs(10));
                }));
            }
            Err(_) => worker.into_iter().for_each(Worker::run),
        }
        let rendered = rendered.wait_for(Option::is_some).await;
        rendered.ok()?.clone()
    }

    /// Joins or enqueues a rendering. Returns a worker to start if there is none.
    fn join(
        self: &Arc<Self>,
        options: PageOptions,
    ) -> (watch::Receiver<Option<Rendered>>, Option<Worker>) {
        let mut queue = self.queue();
        let same = queue.waiting.iter().find(|job| job.options == options);
        let receiver = match same {
            Some(job) => job.rendered.subscribe(),
            None => {
                let (rendered, receiver) = watch::channel(None);
                queue.waiting.push_back(Job { options, rendered });
                receiver
            }
        };
        let starts = !mem::replace(&mut queue.has_worker, true);
        (receiver, starts.then(|| Worker(Some(self.clone()))))
    }

    /// Returns the page, compressed if scrapes still wait for it.
    fn render(&self, options: &PageOptions, is_awaited: impl Fn() -> bool) -> Rendered {
        // Panics of encoders are caught one by one, so that errors can name the encoder. This catches
        // panics of the error handler.
        let PageOptions {
            encoding,
            selection,
            coding,
            on_error,
        } = options;
        let on_error = |error| match on_error {
            None => Err(error),
            Some(report) => {
                report(&error);
                Ok(())
            }
        };
        let render = || {
            let page = self.registry.render(*encoding, selection, &on_error)?;
            let coding = coding.filter(|_| page.len() > SMALL && is_awaited());
            Ok(Page {
                content: match coding {
                    Some(coding) => coding.encode(&page)?,
                    None => page,
                },
                coding,
            })
        };
        match panic::catch_unwind(AssertUnwindSafe(render)) {
            Ok(Ok(page)) => Ok(page),
            Ok(Err(error)) => Err(explain(&error).into()),
            Err(_panic) => Err(PANICKED.into()),
        }
    }

    /// Locks the queue, poisoned or not: nothing panics while the lock is held.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Worker ===

impl Worker {
    fn spawn(self, runtime: Handle) {
        let Ok(permit) = THREADS.try_acquire() else {
            return;
        };
        let work = move || {
            let _permit = permit;
            // Collectors may use the runtime.
            let _context = runtime.enter();
            self.run();
        };
        // Linux shows at most 15 bytes of the name.
        let thread = thread::Builder::new().name("metrics-page".into());
        // If the system can't start a thread, the worker is dropped.
        let _ = thread.spawn(work);
    }

    fn run(mut self) {
        let mut job = self.next();
        while let (Some(renderer), Some(Job { options, rendered })) = (&self.0, job) {
            let page = renderer.render(&options, || !rendered.is_closed());
            // The worker ends before the page is sent. A scrape that follows the page then finds no
            // worker, and starts its own.
            job = self.next();
            rendered.send_replace(Some(page));
        }
    }

    /// Returns the next rendering that a scrape waits for. If there is none, the worker is done.
    fn next(&mut self) -> Option<Job> {
        let renderer = self.0.as_ref()?;
        let mut jobs = iter::from_fn(|| {
            let mut queue = renderer.queue();
            let job = queue.waiting.pop_front();
            queue.has_worker = job.is_some();
            job
        });
        // Jobs that no scrape waits for are dropped here, after the lock: they own functions of users.
        let job = jobs.find(|job| !job.rendered.is_closed());
        if job.is_none() {
            self.0 = None;
        }
        job
    }
}

impl Drop for Worker {
    /// A worker that could not run drops the senders of all waiting scrapes, which ends them. The next
    /// scrape starts its own worker.
    fn drop(&mut self) {
        if let Some(renderer) = &self.0 {
            // A statement of its own, so that the jobs are dropped after the lock.
            let unserved = mem::take(&mut *renderer.queue());
            drop(unserved);
        }
    }
}

fn explain(error: &Error) -> String {
    format!(
        "The metrics could not be written: {error}. The metrics keep counting, and the next scrape \
         tries again.\n"
    )
}
