//! Who asks for the page.

use crate::certificates::{Authority, Signed};
use crate::server::{SECRET, Server};
use crate::within;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::BoxError;

/// All that came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

/// One end of TLS.
pub(crate) struct TlsClient {
    connector: TlsConnector,
}

/// How a request goes over a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Http {
    One,
    Two,
}

// === impl Answer ===

impl Answer {
    #[track_caller]
    pub(crate) fn assert_page(&self) {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        assert!(self.text.contains(SECRET), "{self:?}");
    }

    /// That it says how to be let in, and nothing else.
    #[track_caller]
    pub(crate) fn assert_refused(&self, challenges: &[&str]) {
        let Self {
            status,
            headers,
            text,
        } = self;
        assert_eq!(
            (*status, &**text),
            (StatusCode::UNAUTHORIZED, ""),
            "{self:?}"
        );
        let said: Vec<_> = headers.get_all("www-authenticate").iter().collect();
        assert_eq!(said, challenges);
        let said = |name: &&str| !["content-length", "date", "www-authenticate"].contains(name);
        let more: Vec<_> = headers
            .keys()
            .map(|name| name.as_str())
            .filter(said)
            .collect();
        assert!(more.is_empty(), "{more:?}");
    }
}

// === impl TlsClient ===

impl TlsClient {
    /// One that trusts servers of this authority, and shows a certificate if it has one.
    pub(crate) fn new(trusts: &Authority, shows: Option<&Signed>) -> Self {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_file(&trusts.file).unwrap();
        roots.add(root).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match shows {
            None => config.with_no_client_auth(),
            Some(signed) => {
                let certificate = CertificateDer::from_pem_file(&signed.certificate).unwrap();
                let key = PrivateKeyDer::from_pem_file(&signed.key).unwrap();
                config
                    .with_client_auth_cert(vec![certificate], key)
                    .unwrap()
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let connector = TlsConnector::from(Arc::new(config));
        Self { connector }
    }

    pub(crate) async fn connect(&self, server: &Server) -> Result<TlsStream<TcpStream>, BoxError> {
        let socket = TcpStream::connect(server.addr).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        Ok(within(self.connector.connect(name, socket)).await?)
    }

    pub(crate) async fn get(
        &self,
        server: &Server,
        http: Http,
        authorization: &[&str],
    ) -> Result<Answer, BoxError> {
        let stream = self.connect(server).await?;
        ask(
            stream,
            http,
            request(Method::GET, "/metrics", authorization),
        )
        .await
    }
}

pub(crate) fn request(method: Method, path: &str, authorization: &[&str]) -> Request<Empty<Bytes>> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("https://localhost{path}"))
        .header("host", "localhost");
    for value in authorization {
        request = request.header(AUTHORIZATION, *value);
    }
    request.body(Empty::new()).unwrap()
}

/// Without TLS.
pub(crate) async fn ask_plainly(
    server: &Server,
    request: Request<Empty<Bytes>>,
) -> Result<Answer, BoxError> {
    let socket = TcpStream::connect(server.addr).await.unwrap();
    ask(socket, Http::One, request).await
}

async fn ask<S>(stream: S, http: Http, request: Request<Empty<Bytes>>) -> Result<Answer, BoxError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    within(async {
        let stream = TokioIo::new(stream);
        let response = match http {
            Http::One => {
                let (mut client, connection) =
                    hyper::client::conn::http1::handshake(stream).await?;
                tokio::spawn(connection);
                client.send_request(request).await?
            }
            Http::Two => {
                let (mut client, connection) =
                    hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await?;
                tokio::spawn(connection);
                client.send_request(request).await?
            }
        };
        let (head, body) = response.into_parts();
        let text = body.collect().await?.to_bytes();
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            text: String::from_utf8(text.into())?,
        })
    })
    .await
}
