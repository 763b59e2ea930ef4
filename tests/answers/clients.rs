//! Clients of an exporter: through the service, over HTTP/1 and over HTTP/2.

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;
use tower_openmetrics::MetricsExporter;

pub(crate) enum Client {
    Service(MetricsExporter),
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

/// A response with its whole body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Longer than any response takes.
const BOUND: Duration = Duration::from_secs(20);

/// Makes a test for each [`Client`] that calls `check` with its constructor.
macro_rules! over_each_client {
    ($check:ident) => {
        #[tokio::test]
        async fn through_the_service() {
            $check(Client::service).await;
        }

        #[tokio::test]
        async fn over_http1() {
            $check(Client::http1).await;
        }

        #[tokio::test]
        async fn over_http2() {
            $check(Client::http2).await;
        }
    };
}
pub(crate) use over_each_client;

// === impl Client ===

impl Client {
    pub(crate) async fn service(exporter: MetricsExporter) -> Self {
        Self::Service(exporter)
    }

    pub(crate) async fn http1(exporter: MetricsExporter) -> Self {
        let socket = connect(exporter).await;
        let (client, connection) = http1::handshake(socket).await.expect("HTTP/1.1");
        tokio::spawn(connection);
        Self::Http1(client)
    }

    pub(crate) async fn http2(exporter: MetricsExporter) -> Self {
        let socket = connect(exporter).await;
        let executor = TokioExecutor::new();
        let (client, connection) = http2::handshake(executor, socket).await.expect("HTTP/2");
        tokio::spawn(connection);
        Self::Http2(client)
    }

    pub(crate) async fn ask(&mut self, request: Request<()>) -> Answer {
        let asked = tokio::time::timeout(BOUND, self.ask_unbounded(request));
        asked.await.expect("an answer in time")
    }

    async fn ask_unbounded(&mut self, mut request: Request<()>) -> Answer {
        *request.uri_mut() = "http://test/metrics".parse().expect("a URI");
        let request = request.map(|()| Empty::new());
        match self {
            Self::Service(exporter) => {
                let Ok(response) = exporter.clone().oneshot(request).await;
                Answer::read(response).await
            }
            Self::Http1(client) => {
                client.ready().await.expect("a connection");
                Answer::of_connection(client.send_request(request).await).await
            }
            Self::Http2(client) => {
                client.ready().await.expect("a connection");
                Answer::of_connection(client.send_request(request).await).await
            }
        }
    }
}

// === impl Answer ===

impl Answer {
    /// Returns the `Content-Length`.
    pub(crate) fn length(&self) -> Option<u64> {
        let length = self.headers.get(CONTENT_LENGTH)?;
        length.to_str().ok()?.parse().ok()
    }

    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    async fn of_connection(response: hyper::Result<Response<Incoming>>) -> Self {
        Self::read(response.expect("a response")).await
    }

    async fn read<B>(response: Response<B>) -> Self
    where
        B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
    {
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("the whole body");
        Self {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
        }
    }
}

/// Returns the client's end of a connection. Its server ends with the connection.
async fn connect(exporter: MetricsExporter) -> TokioIo<TcpStream> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.expect("a client");
        let service = TowerToHyperService::new(exporter);
        let server = auto::Builder::new(TokioExecutor::new());
        let _ = server.serve_connection(TokioIo::new(socket), service).await;
    });
    TokioIo::new(TcpStream::connect(address).await.expect("a connection"))
}
