use super::bounded;
use super::server::Server;
use std::mem;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A client that writes and reads raw bytes.
pub(crate) struct Http1 {
    socket: TcpStream,
    received: Vec<u8>,
}

impl Http1 {
    pub(crate) async fn connect(server: &Server) -> Self {
        Self::connect_to(server.address()).await
    }

    pub(crate) async fn connect_to(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        Self {
            socket,
            received: Vec::new(),
        }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = self.socket.write_all(bytes.as_ref());
        bounded("sending", sent).await.unwrap();
    }

    /// Reads at least one byte.
    pub(crate) async fn receive_some(&mut self) {
        let read = self.socket.read_buf(&mut self.received);
        assert_ne!(bounded("receiving", read).await.unwrap(), 0);
    }

    /// Closes the sending half.
    pub(crate) async fn stop_sending(&mut self) {
        bounded("closing", self.socket.shutdown()).await.unwrap();
    }

    /// Reads until the received bytes end in this text. Returns what was received since the last call.
    pub(crate) async fn receive_until(&mut self, end: &str) -> String {
        while !self.received.ends_with(end.as_bytes()) {
            let read = self.socket.read_buf(&mut self.received);
            let bytes = bounded("receiving", read).await.unwrap();
            assert_ne!(bytes, 0, "no `{end}` in {:?}", self.text());
        }
        let text = self.text();
        self.received.clear();
        text
    }

    /// Reads until the server closes. Returns what was received since the last call.
    pub(crate) async fn receive_all(&mut self) -> Vec<u8> {
        let read = self.socket.read_to_end(&mut self.received);
        // A server that closes before it has read the whole upload resets the connection.
        let _ = bounded("the end", read).await;
        mem::take(&mut self.received)
    }

    /// Closes the connection in an orderly way (FIN).
    pub(crate) fn close(self) {}

    /// Closes the connection abruptly (RST).
    pub(crate) fn reset(self) {
        self.socket.set_zero_linger().unwrap();
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.received).into_owned()
    }
}
