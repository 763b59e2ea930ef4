use super::bounded;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tower::{BoxError, Service};

/// A server for HTTP/1 and HTTP/2, as the client chooses. It sends no `Date`.
pub(crate) struct Server {
    address: SocketAddr,
    stopping: watch::Sender<bool>,
    ended: mpsc::Receiver<Infallible>,
}

/// A handle in each task. When all are dropped, no task is left.
#[derive(Clone)]
struct Tasks(mpsc::Sender<Infallible>);

// === impl Server ===

impl Server {
    pub(crate) async fn start<S, B>(service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: Body<Error: Into<BoxError>, Data: Send> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stopping, stop) = watch::channel(false);
        let (tasks, ended) = mpsc::channel(1);
        let tasks = Tasks(tasks);
        tasks.clone().execute(async move {
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let (socket, _) = accepted.unwrap();
                        let connection = serve(socket, service.clone(), tasks.clone(), stop.clone());
                        tasks.execute(connection);
                    }
                    () = stopped(stop.clone()) => return,
                }
            }
        });
        Self {
            address,
            stopping,
            ended,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts no more connections, and no more requests on open ones.
    pub(crate) fn begin_to_stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Waits until all connections and calls have ended.
    pub(crate) async fn stop(mut self) {
        self.begin_to_stop();
        let ended = bounded("the end of all connections", self.ended.recv()).await;
        assert!(ended.is_none());
    }
}

async fn serve<S, B>(socket: TcpStream, service: S, tasks: Tasks, stop: watch::Receiver<bool>)
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body<Error: Into<BoxError>, Data: Send> + Send + 'static,
{
    let mut server = auto::Builder::new(tasks);
    server.http1().auto_date_header(false);
    server
        .http2()
        .auto_date_header(false)
        .enable_connect_protocol();
    let service = TowerToHyperService::new(service);
    let connection = server.serve_connection_with_upgrades(TokioIo::new(socket), service);
    let mut connection = pin!(connection);
    tokio::select! {
        // The client checks how a connection ends.
        _ = connection.as_mut() => return,
        () = stopped(stop) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that the server has already stopped.
    let _ = stop.wait_for(|stop| *stop).await;
}

// === impl Tasks ===

impl<F> Executor<F> for Tasks
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        let alive = self.clone();
        tokio::spawn(async move {
            let _alive = alive; // outlives the future, even if that panics
            future.await;
        });
    }
}
