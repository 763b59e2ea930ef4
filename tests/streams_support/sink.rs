use futures_sink::Sink;
use pin_project_lite::pin_project;
use std::cell::RefCell;
use std::marker::PhantomPinned;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tower::BoxError;

/// A method of a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Ready,
    Send,
    Flush,
    Close,
}

/// What the sink does instead of succeeding.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    /// Returns `Pending` and wakes the task. Not for `Send`, which can't wait.
    Pause,
    Refuse(fn() -> BoxError),
    Panic,
}

/// What happened to the items.
#[derive(Debug)]
pub(crate) struct Log<T> {
    pub(crate) taken: Vec<T>,
    /// The number of flushed items.
    pub(crate) flushed: usize,
    /// The number of items of each flush, without empty flushes.
    pub(crate) flushes: Vec<usize>,
    pub(crate) closed: bool,
    /// The method that failed.
    pub(crate) failed: Option<Ask>,
}

pin_project! {
    /// A sink that succeeds, except where its rules say otherwise. It is not `Unpin`.
    #[derive(Debug)]
    pub(crate) struct ScriptedSink<T> {
        rules: Vec<Rule>,
        log: Rc<RefCell<Log<T>>>,
        asked: Vec<Ask>,
        is_ready: bool,
        #[pin]
        pinned: PhantomPinned,
    }
}

/// A method, the index of the call to it, and what the sink then does.
pub(crate) type Rule = (Ask, usize, Reply);

pub(crate) type SharedLog<T> = Rc<RefCell<Log<T>>>;

pub(crate) fn refuse() -> Reply {
    Reply::Refuse(|| "refused".into())
}

impl<T> ScriptedSink<T> {
    pub(crate) fn new(rules: impl IntoIterator<Item = Rule>) -> (Self, SharedLog<T>) {
        let log = SharedLog::default();
        let sink = Self {
            rules: rules.into_iter().collect(),
            log: log.clone(),
            asked: Vec::new(),
            is_ready: false,
            pinned: PhantomPinned,
        };
        (sink, log)
    }

    fn reply(
        self: Pin<&mut Self>,
        cx: Option<&Context<'_>>,
        ask: Ask,
    ) -> Poll<Result<(), BoxError>> {
        let this = self.project();
        let mut log = this.log.borrow_mut();
        assert_eq!(log.failed, None, "asked {ask:?} after it has failed");
        let time = this.asked.iter().filter(|asked| **asked == ask).count();
        this.asked.push(ask);
        let mut rules = this.rules.iter();
        let rule = rules.find(|(asked, nth, _)| (*asked, *nth) == (ask, time));
        match rule.map(|(_, _, reply)| reply) {
            None => Poll::Ready(Ok(())),
            Some(Reply::Pause) => {
                cx.expect("sending can't wait").waker().wake_by_ref();
                Poll::Pending
            }
            Some(Reply::Refuse(error)) => {
                log.failed = Some(ask);
                Poll::Ready(Err(error()))
            }
            Some(Reply::Panic) => {
                log.failed = Some(ask);
                drop(log);
                resume_unwind(Box::new("a scripted panic"))
            }
        }
    }
}

impl<T> Sink<T> for ScriptedSink<T> {
    type Error = BoxError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let reply = self.as_mut().reply(Some(cx), Ask::Ready);
        *self.project().is_ready = matches!(reply, Poll::Ready(Ok(())));
        reply
    }

    fn start_send(mut self: Pin<&mut Self>, item: T) -> Result<(), BoxError> {
        let Poll::Ready(reply) = self.as_mut().reply(None, Ask::Send) else {
            unreachable!()
        };
        let this = self.project();
        assert!(std::mem::take(this.is_ready), "it was not ready");
        reply?;
        this.log.borrow_mut().taken.push(item);
        Ok(())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let reply = self.as_mut().reply(Some(cx), Ask::Flush);
        if let Poll::Ready(Ok(())) = reply {
            self.project().log.borrow_mut().flush();
        }
        reply
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let reply = self.as_mut().reply(Some(cx), Ask::Close);
        if let Poll::Ready(Ok(())) = reply {
            let mut log = self.project().log.borrow_mut();
            log.flush();
            log.closed = true;
        }
        reply
    }
}

impl<T> Log<T> {
    fn flush(&mut self) {
        let waiting = self.taken.len() - self.flushed;
        self.flushed += waiting;
        self.flushes.extend((waiting > 0).then_some(waiting));
    }
}

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self {
            taken: Vec::new(),
            flushed: 0,
            flushes: Vec::new(),
            closed: false,
            failed: None,
        }
    }
}
