use crate::client::Client;
use crate::numbers::Numbers;
use crate::work_handler::{Item, Request, work};
use crate::work_handler::{serving, transport};
use crate::{BOUND, within};
use futures_util::FutureExt;
use futures_util::stream::{self, Stream, StreamExt};
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet, yield_now};
use tokio_util::sync::CancellationToken;
use tower::{Layer, service_fn};
use tower_openmetrics::classify::{Classify, by_error};
use tower_openmetrics::message::Own;
use tower_openmetrics::protocol::{One, Streaming};
use tower_openmetrics::{MetricsLayer, MetricsRegistry};

pub(crate) struct Worker {
    pub(crate) addr: SocketAddr,
    registry: MetricsRegistry,
    pub(crate) stop: CancellationToken,
    task: JoinHandle<()>,
}

/// A connection of the worker that reports when the worker has seen that it is broken.
struct Watched {
    io: TcpStream,
    broken: CancellationToken,
}

/// After the items of these texts, the work waits until the worker has seen that the connection is
/// broken. The additional item is flushed before the end.
pub(crate) const THEN_THE_END: &str = "then the end";
pub(crate) const THEN_AN_ITEM: &str = "then an item";

pub(crate) fn layer() -> MetricsLayer<Streaming<One, Own, impl Classify + Copy + Send + 'static>> {
    let builder = MetricsLayer::streaming_builder().messages_total(true);
    let builder = builder.classifier(by_error(transport::error_type));
    builder.build([("endpoint", "work")]).unwrap()
}

/// The example's work, which waits at two texts.
async fn watched_work(
    request: Request,
    broken: CancellationToken,
) -> Result<impl Stream<Item = Result<Item, String>>, String> {
    let wait = [THEN_THE_END, THEN_AN_ITEM].contains(&&*request.text);
    let one_more = (request.text == THEN_AN_ITEM).then_some(Item { data: '!' });
    let rest = async move {
        if wait {
            broken.cancelled().await;
        }
        let the_end = yield_now().map(|()| stream::empty()).flatten_stream();
        stream::iter(one_more.map(Ok)).chain(the_end)
    };
    Ok(work(request).await?.chain(rest.flatten_stream()))
}

// === impl Worker ===

impl Worker {
    /// Starts the example's worker as its process does.
    pub(crate) async fn start() -> Self {
        let layer = layer();
        let registry = layer.registry().clone();
        let handler = layer.layer(transport::json(service_fn(work)));
        Self::spawn(registry, async move |listener, stop: CancellationToken| {
            serving::accept(listener, stop.clone(), |io, _, _| {
                transport::serve_connection(io, handler.clone(), stop.clone())
            })
            .await;
        })
        .await
    }

    /// Starts a worker whose work can wait until it has seen a connection break.
    pub(crate) async fn start_watched() -> Self {
        let layer = layer();
        let registry = layer.registry().clone();
        Self::spawn(registry, |listener, stop| async move {
            let mut connections = JoinSet::new();
            while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
                let (io, _) = accepted.unwrap();
                io.set_nodelay(true).unwrap();
                let broken = CancellationToken::new();
                let engine = service_fn({
                    let broken = broken.clone();
                    move |request| watched_work(request, broken.clone())
                });
                let handler = layer.layer(transport::json(engine));
                let io = Watched { io, broken };
                connections.spawn(transport::serve_connection(io, handler, stop.clone()));
            }
            connections.join_all().await;
        })
        .await
    }

    async fn spawn<F>(
        registry: MetricsRegistry,
        serve: impl FnOnce(TcpListener, CancellationToken) -> F,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(listener, stop.clone()));
        Self {
            addr,
            registry,
            stop,
            task,
        }
    }

    pub(crate) async fn connect(&self) -> Client {
        Client::connect(self.addr).await
    }

    /// Returns the numbers once `calls` calls have begun and all have ended.
    pub(crate) async fn at_rest(&self, calls: u64) -> Numbers {
        let deadline = Instant::now() + BOUND;
        loop {
            let numbers = Numbers::read(&self.registry).await;
            let open = numbers.get("concurrent_requests");
            if numbers.get("requests_total") >= calls && open == 0 {
                return numbers;
            }
            assert!(Instant::now() < deadline, "not at rest: {numbers:#?}");
            yield_now().await;
        }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        within(self.task).await.unwrap();
    }
}

// === impl Watched ===

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if let Poll::Ready(Err(_)) = &read {
            self.broken.cancel();
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
