//! Shared test code: scripted bodies, and a parser for pages.

#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "each test file uses a part of it"
)]

mod body;
mod page;

pub(crate) use self::body::{
    Script, Step, Taken, poll_frame, take_as_http2, take_frames, take_to_end,
};
pub(crate) use self::page::{Numbers, Page, errors, page_of};

use futures_util::FutureExt;
use std::any::Any;
use std::future::Future;
use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;
use tower::{Layer, ServiceExt, service_fn};
use tower_openmetrics::protocol::{Answer, Protocol};
use tower_openmetrics::{Clock, MetricsLayer};

/// A table of cases, one row a line: a name, the case, and what is expected of it.
macro_rules! rows {
    ($($row:literal: $case:expr => $($expected:expr),+;)*) => {
        [$(($row, $case, $($expected),+)),*]
    };
}

pub(crate) use rows;

/// The time that each scripted step takes, such as a response head or a frame.
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Returns the output of a future that is ready at once.
#[track_caller]
pub(crate) fn now<F: Future>(future: F) -> F::Output {
    future.now_or_never().expect("nothing to wait for")
}

/// Makes one call, to which `handler` responds after a [`SECOND`] of this clock.
pub(crate) fn call<P, R, T, E>(
    layer: &MetricsLayer<P>,
    clock: Clock,
    request: R,
    handler: impl FnOnce(<P as Protocol<R>>::Request) -> Result<T, E>,
) -> Result<<P as Answer<T, E>>::Response, E>
where
    P: Protocol<R> + Answer<T, E>,
{
    let mut handler = Some(handler);
    let service = layer.layer(service_fn(move |request| {
        let handler = handler.take().expect("one call");
        async move {
            clock.advance(SECOND);
            handler(request)
        }
    }));
    now(service.oneshot(request))
}

/// Returns the panic message of `test`.
#[track_caller]
pub(crate) fn panic_of<R>(test: impl FnOnce() -> R) -> String {
    let panic = match panic::catch_unwind(AssertUnwindSafe(test)) {
        Ok(_) => panic!("it was to panic"),
        Err(panic) => panic,
    };
    text_of(&*panic).expect("a text").to_owned()
}

/// Returns the message of a panic, if it has one.
pub(crate) fn text_of(payload: &dyn Any) -> Option<&str> {
    let literal = payload.downcast_ref::<&'static str>().copied();
    literal.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}
