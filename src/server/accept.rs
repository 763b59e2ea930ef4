use super::config::Limits;
use super::connection::{self, Notice};
use super::routes::Routes;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long to wait when the process can't take a connection at all, most
/// often for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The connections of one server, each on a task of its own. To drop them is
/// to end the tasks.
struct Connections {
    tasks: JoinSet<()>,
    // Only those get a notice that were there before it.
    notices: watch::Sender<Notice>,
    routes: Arc<Routes>,
    limits: Limits,
    runtime: Handle,
}

/// Accepts and serves connections until `shutdown` is ready, then lets them
/// finish for as long as the grace lasts.
pub(super) async fn serve(
    listener: TcpListener,
    routes: Routes,
    limits: Limits,
    runtime: Handle,
    shutdown: impl Future<Output = ()>,
) {
    let mut shutdown = pin!(shutdown);
    let mut connections = Connections::new(routes, limits, runtime);
    // One connection is accepted past the limit: it is how a crowd shows.
    let mut waiting: Option<TcpStream> = None;
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.tasks.join_next() => {
                if let Some(stream) = waiting.take() {
                    connections.serve(stream);
                }
            }
            stream = accept(&listener), if waiting.is_none() => {
                if connections.has_room() {
                    connections.serve(stream);
                } else {
                    connections.notify(Notice::MakeRoom);
                    waiting = Some(stream);
                }
            }
        }
    }
    // Whoever connects from here on is refused at once instead of left waiting.
    drop(listener);
    drop(waiting);
    connections.shutdown().await;
}

// === impl Connections ===

impl Connections {
    fn new(routes: Routes, limits: Limits, runtime: Handle) -> Self {
        Self {
            tasks: JoinSet::new(),
            // Nobody listens yet, so it says nothing.
            notices: watch::Sender::new(Notice::MakeRoom),
            routes: Arc::new(routes),
            limits,
            runtime,
        }
    }

    fn has_room(&self) -> bool {
        self.tasks.len() < self.limits.max_connections
    }

    fn serve(&mut self, stream: TcpStream) {
        let routes = Arc::clone(&self.routes);
        let connection = connection::serve(stream, routes, self.limits, self.notices.subscribe());
        self.tasks.spawn_on(connection, &self.runtime);
    }

    fn notify(&self, notice: Notice) {
        self.notices.send_replace(notice);
    }

    async fn shutdown(mut self) {
        self.notify(Notice::Stop);
        let all_done = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(self.limits.shutdown_grace, all_done).await.is_err() {
            self.tasks.shutdown().await;
        }
    }
}

/// The next connection. An error is not the listener's end: either one client
/// went away before it was accepted, or the process lacks something that it
/// may have again later.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) if is_of_one_client(&error) => {}
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

fn is_of_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
    )
}
