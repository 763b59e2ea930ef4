use crate::wire_support::{Server, bounded};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::net::SocketAddr;

/// A client for one version of HTTP. It reads every response to its end.
pub(crate) struct Client {
    pool: Pool<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
}

/// A call as its client saw it.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    /// Bytes of the request body.
    pub(crate) sent: usize,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The response body, without HTTP framing.
    pub(crate) body: Bytes,
}

impl Client {
    /// Returns one client for each version.
    pub(crate) fn all(server: &Server) -> [Self; 2] {
        [false, true].map(|http2| Self {
            pool: Pool::builder(TokioExecutor::new())
                .http2_only(http2)
                .build_http(),
            address: server.address(),
        })
    }

    pub(crate) async fn get(&self, path: &str) -> Seen {
        self.ask("GET", path, &[], "").await
    }

    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Seen {
        let body = body.into();
        let sent = body.len();
        let uri = format!("http://{}{path}", self.address);
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).unwrap();
        let method = request.method().clone();
        let answer = bounded("an answer", self.pool.request(request)).await;
        let (head, body) = answer.unwrap().into_parts();
        let body = bounded("its end", body.collect()).await.unwrap();
        Seen {
            method,
            sent,
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
        }
    }
}

impl Seen {
    /// Returns the call for a handler that doesn't read the request body.
    pub(crate) fn unread(self) -> Self {
        Self { sent: 0, ..self }
    }
}
