//! A thread that outlives its jobs.

use std::sync::mpsc;
use std::thread;

/// A thread that runs jobs until this is dropped.
pub(crate) struct Worker {
    jobs: mpsc::Sender<Box<dyn FnOnce() + Send>>,
    done: mpsc::Receiver<()>,
}

impl Worker {
    pub(crate) fn new() -> Self {
        let (jobs, todo) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
        let (told, done) = mpsc::channel();
        thread::spawn(move || {
            for job in todo {
                job();
                told.send(()).unwrap();
            }
        });
        Self { jobs, done }
    }

    /// Runs a job on the thread and waits for its end.
    pub(crate) fn run(&self, job: impl FnOnce() + Send + 'static) {
        self.jobs.send(Box::new(job)).unwrap();
        self.done.recv().unwrap();
    }
}
