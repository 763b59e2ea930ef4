use super::bounded;
use super::server::Server;
use bytes::Bytes;
use h2::client::{Connection, ResponseFuture, SendRequest};
use h2::{Reason, SendStream};
use http::{HeaderMap, Request};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// A client that sends and receives single frames. Dropping it closes the connection.
pub(crate) struct Http2 {
    requests: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

/// One call. Dropping it before its end resets the stream.
pub(crate) struct Stream {
    response: ResponseFuture,
    upload: SendStream<Bytes>,
}

/// The received part of a response.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) data: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
    /// The reason of a reset.
    pub(crate) reset: Option<Reason>,
}

impl Http2 {
    pub(crate) async fn connect(server: &Server) -> Self {
        let socket = TcpStream::connect(server.address()).await.unwrap();
        Self::over(socket).await
    }

    pub(crate) async fn over<T>(socket: T) -> Self
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let handshake = h2::client::handshake(socket);
        let (requests, connection): (_, Connection<T, Bytes>) =
            bounded("the handshake", handshake).await.unwrap();
        Self {
            requests,
            connection: tokio::spawn(connection),
        }
    }

    /// Begins a stream. If it `ends`, the request has no body.
    pub(crate) async fn send(&mut self, request: Request<()>, ends: bool) -> Stream {
        let requests = self.requests.clone().ready();
        self.requests = bounded("room for a stream", requests).await.unwrap();
        let (response, upload) = self.requests.send_request(request, ends).unwrap();
        Stream { response, upload }
    }

    /// Closes the connection and all its streams.
    pub(crate) fn close(self) {}
}

impl Drop for Http2 {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Stream {
    /// Sends a frame of the request body. An empty one can end it.
    pub(crate) fn upload(&mut self, data: &'static [u8], ends: bool) {
        self.upload
            .send_data(Bytes::from_static(data), ends)
            .unwrap();
    }

    /// Receives the whole response.
    pub(crate) async fn receive(&mut self) -> Received {
        self.receive_up_to(usize::MAX).await
    }

    /// Receives the response head, and at least this many bytes of its body if there are as many.
    pub(crate) async fn receive_up_to(&mut self, bytes: usize) -> Received {
        let mut received = Received::default();
        if let Err(error) = self.receive_into(&mut received, bytes).await {
            received.reset = Some(error.reason().expect("a reset"));
        }
        received
    }

    async fn receive_into(
        &mut self,
        received: &mut Received,
        bytes: usize,
    ) -> Result<(), h2::Error> {
        let response = bounded("the head", &mut self.response).await?;
        let mut body = response.into_body();
        while received.data.len() < bytes {
            let Some(data) = bounded("a frame", body.data()).await.transpose()? else {
                received.trailers = bounded("the trailers", body.trailers()).await?;
                return Ok(());
            };
            body.flow_control().release_capacity(data.len())?;
            received.data.extend_from_slice(&data);
        }
        Ok(())
    }

    /// Resets the stream.
    pub(crate) fn reset(&mut self) {
        self.reset_as(Reason::CANCEL);
    }

    pub(crate) fn reset_as(&mut self, reason: Reason) {
        self.upload.send_reset(reason);
    }
}
