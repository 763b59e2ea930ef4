//! Settings that add metrics.

use super::MetricsLayerBuilder;
use crate::ended::{EndedCall, Hear, OnEnd};
use crate::labels::Labels;
use crate::measured::Measured;
use crate::settings::ItemsInFrames;
use std::sync::Arc;
use std::time::Duration;

/// The switch and the buckets of a time.
macro_rules! timing {
    ($measured:ident, $setter:ident, $(#[$doc:meta])* $buckets_setter:ident, $default:literal) => {
        $(#[$doc])*
        pub fn $setter(mut self, on: bool) -> Self {
            self.options.times[Measured::$measured] = on;
            self
        }

        #[doc = concat!(
            "The upper bounds, in seconds and ascending, of the buckets of `", stringify!($setter), "`. Defaults to ", $default,
            "."
        )]
        pub fn $buckets_setter(self, bounds: impl IntoIterator<Item = f64>) -> Self {
            self.set_buckets(Measured::$measured, stringify!($buckets_setter), bounds)
        }
    };
}

/// # Waiting before the call
impl<P> MetricsLayerBuilder<P> {
    timing! {
        ReadyWait, ready_wait_seconds,
        /// Whether to record how long callers wait for the service to be ready: `ready_wait_seconds`, `waiting_requests` and
        /// `abandoned_waits_total`. Defaults to false.
        ///
        /// A wait begins when `poll_ready` first returns `Pending`, and ends with the next call. It shows a concurrency limit, a
        /// buffer or a pool of connections that is full, if that is *inside* the layer. Calls that find the service ready are not
        /// recorded. A wait is abandoned if the service is dropped before the call; its time is recorded, too.
        ///
        /// A wait belongs to one clone of the service. Routers, hyper's servers and `oneshot` clone the service for each request
        /// or connection, so that each waits on its own. Behind a `Buffer` all requests wait in its queue, which isn't seen here,
        /// and the buffer's worker waits for the service. A caller that stops waiting and keeps its clone still counts as
        /// waiting.
        ///
        /// There is no request yet, so these metrics only have the constant labels.
        ///
        /// ```
        /// use tower::{ServiceBuilder, ServiceExt, limit::ConcurrencyLimitLayer, service_fn};
        /// use tower_openmetrics::{Format, MetricsLayer};
        ///
        /// # #[tokio::main(flavor = "current_thread")]
        /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
        /// let metrics = MetricsLayer::unary_builder().ready_wait_seconds(true).build(())?;
        /// let service = ServiceBuilder::new()
        ///     .layer(metrics.clone())
        ///     .layer(ConcurrencyLimitLayer::new(1))
        ///     .service(service_fn(async |n: u8| Ok::<_, std::convert::Infallible>(n)));
        ///
        /// let mut first = service.clone();
        /// first.ready().await?; // takes the one place
        /// let mut second = service.clone();
        /// assert!(futures_util::poll!(second.ready()).is_pending());
        /// let page = metrics.registry().encode(Format::Prometheus)?;
        /// assert!(page.contains("\nwaiting_requests 1\n"));
        /// # Ok(())
        /// # }
        /// ```
        ready_wait_buckets, "[`buckets`](Self::buckets)"
    }

    timing! {
        QueueWait, queue_wait_seconds,
        /// Whether to record `queue_wait_seconds`: the time from a front proxy's `X-Request-Start` header to the beginning of the
        /// call. Defaults to false.
        ///
        /// The header has a time since 1970, with `t=` before it or not: in seconds with a fraction, as nginx writes it, in
        /// milliseconds, as Heroku's router does, or in microseconds, as Apache does. A call has no sample if the header is
        /// missing or has no time in it, if the time lies in the future, or if it is more than an hour ago. The clocks of the
        /// proxy and of this machine have to agree. A [manual clock](Self::clock) has no part in it.
        ///
        /// Clients can send the header, too. Use it behind a proxy that overwrites it.
        queue_wait_buckets, "[`buckets`](Self::buckets)"
    }
}

/// # Calls that never end
impl<P> MetricsLayerBuilder<P> {
    /// Whether to show `oldest_request_age_seconds`: the age of the oldest call in flight, or 0. Defaults to false.
    ///
    /// It shows calls that hang. Before they end, other metrics only show that they are in flight. The age is that at the
    /// time of the scrape. The metric has the labels of `concurrent_requests`.
    ///
    /// Calls that stay open by intent, by [`stream_duration_seconds`](Self::stream_duration_seconds) or as
    /// [upgrades](crate::upgrade), have no age.
    ///
    /// Each page looks at as many slots of 128 bytes as calls were ever open at once in the process.
    pub fn oldest_request_age_seconds(mut self, on: bool) -> Self {
        self.options.settings.oldest = on;
        self
    }

    /// Whether to show `requests_longest_seconds`: the duration of the longest call that has ended since the page before the
    /// last one. Defaults to false.
    ///
    /// It shows by how much calls exceed the last bucket. Two scrapers, as in a pair, both see each maximum. With more of them,
    /// or with pages loaded by hand, some scrapers miss a maximum. A page that leaves the metric out by `name[]` counts as well.
    ///
    /// The metric has the labels of `request_duration_seconds`. Streams count, too.
    pub fn requests_longest_seconds(mut self, on: bool) -> Self {
        self.options.settings.longest = on;
        self
    }
}

/// # Streams as their readers see them
impl<P> MetricsLayerBuilder<P> {
    timing! {
        ResponseHead, response_head_seconds,
        /// Whether to record `response_head_seconds`: the time to the head of the response. Defaults to false.
        response_head_buckets, "[`buckets`](Self::buckets)"
    }

    timing! {
        FirstByte, first_byte_seconds,
        /// Whether to record `first_byte_seconds`: the time to the first byte of the response's body, or to the first message of
        /// its stream, whatever is in it. Defaults to false.
        ///
        /// For the time to the first token of a model server there is [`first_item_seconds`](Self::first_item_seconds).
        first_byte_buckets, "[`buckets`](Self::buckets)"
    }

    timing! {
        FirstItem, first_item_seconds,
        /// Whether to record `first_item_seconds`: the time to the first [item](Self::items_total) of the response. For a model
        /// server this is the time to the first token. Defaults to false.
        first_item_buckets, "[`buckets`](Self::buckets)"
    }

    timing! {
        ItemGap, item_gap_seconds,
        /// Whether to record `item_gap_seconds`: the time from one [item](Self::items_total) of the response to the next. For a
        /// model server this is the latency between tokens. Defaults to false.
        ///
        /// Items that come together make one gap.
        item_gap_buckets, "[`ITEM_GAPS`](crate::buckets::ITEM_GAPS)"
    }

    timing! {
        TimePerItem, time_per_item_seconds,
        /// Whether to record `time_per_item_seconds`: for each completed call with at least two [items](Self::items_total), the
        /// time from its first item to its end, divided by the number of the other items. Defaults to false.
        ///
        /// The [conventions for generative AI](crate::open_telemetry::gen_ai) have it as the time per output token. It has the
        /// labels of `first_item_seconds`.
        time_per_item_buckets, "[`ITEM_GAPS`](crate::buckets::ITEM_GAPS)"
    }

    /// Whether to count `items_total`: the items of responses, such as tokens. Defaults to false.
    ///
    /// An item is what the reader of a stream waits for. A message of gRPC is one item. A message of a streaming or unary
    /// service has as many as [`Message::items`](crate::Message::items) says, by default one. HTTP has no items by itself:
    /// [`items_in_frames`](Self::items_in_frames) finds them in its bodies. A protocol of your own may call
    /// [`Call::items`](crate::Call::items). A single frame or message counts at most 2^32 - 1 items.
    ///
    /// ```
    /// use futures_util::{StreamExt, stream};
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    /// use tower_openmetrics::message::{self, Own};
    /// use tower_openmetrics::{Format, MetricsLayer, buckets};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let metrics = MetricsLayer::streaming_builder()
    ///     // An empty message is a keep-alive.
    ///     .measure_items(message::items(Own, |token: &&str| u64::from(!token.is_empty())))
    ///     .items_total(true)
    ///     .first_item_seconds(true)
    ///     .first_item_buckets(buckets::INFERENCE)
    ///     .item_gap_seconds(true)
    ///     .build(())?;
    /// let engine = ServiceBuilder::new()
    ///     .layer(metrics.clone())
    ///     .service(service_fn(async |_: &str| {
    ///         Ok::<_, std::convert::Infallible>(stream::iter(["", "to", "be"]))
    ///     }));
    ///
    /// engine.oneshot("a prompt").await?.collect::<Vec<_>>().await;
    /// let page = metrics.registry().encode(Format::Prometheus)?;
    /// for line in ["items_total 2", "first_item_seconds_count 1", "item_gap_seconds_count 1"] {
    ///     assert!(page.lines().any(|l| l == line), "{line}\n{page}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn items_total(mut self, on: bool) -> Self {
        self.options.settings.items = on;
        self
    }

    /// Finds [items](Self::items_total) in the body of an HTTP or gRPC response: `count` returns how many a frame of data has.
    /// Defaults to none for HTTP, and to messages for gRPC.
    ///
    /// A frame is what the service has sent at once. For server-sent events that is usually one event. If the data is not
    /// contiguous, as in a `Chain` of two buffers, `count` gets the first piece. Return 0 for a frame that readers don't wait
    /// for, such as a comment, a keep-alive or the event that names a role.
    ///
    /// `count` runs when the caller takes the frame. If it panics, the call fails as
    /// [`panic`](crate::ErrorType::PANIC).
    ///
    /// ```
    /// use tower_openmetrics::MetricsLayer;
    ///
    /// # fn main() -> Result<(), tower_openmetrics::Error> {
    /// let layer = MetricsLayer::builder()
    ///     .items_in_frames(|frame| u64::from(frame.starts_with(b"data: ")))
    ///     .items_total(true)
    ///     .first_item_seconds(true)
    ///     .build([("endpoint", "chat")])?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Layers with the same labels on one registry must have the same function. If it is a closure that captures something,
    /// build them from clones of one builder.
    pub fn items_in_frames<F>(mut self, count: F) -> Self
    where
        F: Fn(&[u8]) -> u64 + Send + Sync + 'static,
    {
        self.options.settings.items_in_frames = Some(ItemsInFrames::new::<F>(Arc::new(count)));
        self
    }
}

/// # Where time goes
impl<P> MetricsLayerBuilder<P> {
    timing! {
        HandlerPoll, handler_poll_seconds,
        /// Whether to record `handler_poll_seconds`: for each call, the time that `Service::call` and all polls of the
        /// service's future and of the response's body took together. Defaults to false.
        ///
        /// A handler that waits takes little of it, whatever its duration. One that blocks takes nearly all:
        ///
        /// ```promql
        /// rate(handler_poll_seconds_sum[5m]) / rate(request_duration_seconds_sum[5m])
        /// ```
        ///
        /// If streams have [durations of their own](Self::stream_duration_seconds), add those to the divisor.
        ///
        /// It has the labels of `request_duration_seconds`, and is recorded when a call ends.
        handler_poll_buckets, "0.0001, 0.001, 0.01, 0.1, 1 and 10"
    }

    /// Counts `slow_polls_total`: polls of the service and of the response's body that take at least `bound`. Defaults to none,
    /// and to no such metric.
    ///
    /// While a handler is polled, its thread does nothing else. tokio advises 10 to 100 µs from one `.await` to the next. A bound
    /// of 10 ms finds handlers that block. The counter has the labels of `concurrent_requests`. It grows when a poll
    /// returns, not only when the call ends. A poll that never returns shows in
    /// [`oldest_request_age_seconds`](Self::oldest_request_age_seconds).
    pub fn slow_polls_total(mut self, bound: Duration) -> Self {
        self.options.settings.slow_polls = Some(bound);
        self
    }

    /// Calls `hear` after each call has ended and is counted: for an access log, a log of slow calls, or statsd. Defaults to
    /// none.
    ///
    /// `hear` runs where the call ends: usually in the task that serves the response, sometimes in a destructor. It should be
    /// quick. A panic of `hear` is caught and has no effect on the call. Each call then costs an allocation.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_openmetrics::{CallOutcome, MetricsLayer};
    ///
    /// # fn main() -> Result<(), tower_openmetrics::Error> {
    /// let layer = MetricsLayer::builder()
    ///     .on_end(|call| {
    ///         if call.duration() > Duration::from_secs(1) || call.outcome() != CallOutcome::Completed {
    ///             eprintln!("{call:?}");
    ///         }
    ///     })
    ///     .build([("endpoint", "cart")])?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Layers with the same labels on one registry must have the same function. If it is a closure that captures something,
    /// build them from clones of one builder.
    pub fn on_end<F>(mut self, hear: F) -> Self
    where
        F: Fn(&EndedCall<'_>) + Send + Sync + 'static,
    {
        self.options.settings.on_end = Some(OnEnd {
            hear: Hear::new::<F>(Arc::new(hear)),
            constant: Labels::default(),
        });
        self
    }
}
