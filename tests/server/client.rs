//! A raw HTTP/1.1 client that sends and returns the exact bytes on the wire. Every wait is bounded.

use serde_json::Value;
use std::future::Future;
use std::io::{self, Write};
use std::net::{self, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// Maximum time of a wait, after which the test fails.
pub(crate) const BOUND: Duration = Duration::from_secs(60);

pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    let result = timeout(BOUND, future).await;
    result.unwrap_or_else(|_| panic!("nothing happened within {BOUND:?}"))
}

/// One connection with one request at a time.
pub(crate) struct Client {
    stream: TcpStream,
    // Bytes that have been read but not parsed.
    buffer: Vec<u8>,
    head_only: bool,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

// === impl Client ===

impl Client {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        Self::new(within(TcpStream::connect(addr)).await.expect("a listener"))
    }

    /// Connects with a small receive buffer, so that most of a long response stays with the server.
    pub(crate) async fn connect_with_small_buffer(addr: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        Self::new(within(socket.connect(addr)).await.expect("a listener"))
    }

    /// Connects and sends a request before a server on the same thread can accept it.
    pub(crate) fn connect_and_send(addr: SocketAddr, request: &str) -> Self {
        let mut stream = net::TcpStream::connect(addr).expect("a listener");
        stream.write_all(request.as_bytes()).expect("sent");
        stream.set_nonblocking(true).unwrap();
        Self::new(TcpStream::from_std(stream).unwrap())
    }

    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            head_only: false,
        }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.request("GET", path).await
    }

    pub(crate) async fn request(&mut self, method: &str, path: &str) -> Answer {
        self.send_request(method, path).await.expect("sent");
        self.answer().await
    }

    pub(crate) async fn send_request(&mut self, method: &str, path: &str) -> io::Result<()> {
        self.head_only = method == "HEAD";
        self.send(&format!("{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
            .await
    }

    /// Sends raw bytes and reads one response.
    pub(crate) async fn ask(&mut self, request: &str) -> Answer {
        self.send(request).await.expect("sent");
        self.answer().await
    }

    pub(crate) async fn send(&mut self, bytes: &str) -> io::Result<()> {
        within(self.stream.write_all(bytes.as_bytes())).await
    }

    /// Like [`send`](Self::send), without a bound.
    pub(crate) async fn try_send(&mut self, bytes: &str) -> io::Result<()> {
        self.stream.write_all(bytes.as_bytes()).await
    }

    /// Closes the sending half of the connection.
    pub(crate) async fn half_close(&mut self) {
        within(self.stream.shutdown()).await.expect("connected");
    }

    /// Reads and drops some bytes. Returns whether there were any.
    pub(crate) async fn skip_some(&mut self) -> bool {
        self.buffer.clear();
        matches!(self.stream.read_buf(&mut self.buffer).await, Ok(1..))
    }

    /// Reads the first bytes of a response.
    pub(crate) async fn read_some(&mut self) {
        let n = within(self.stream.read_buf(&mut self.buffer)).await;
        assert_ne!(n.expect("a part of an answer"), 0);
    }

    /// Reads one whole response of the length in its head.
    pub(crate) async fn answer(&mut self) -> Answer {
        let end = loop {
            if let Some(at) = self
                .buffer
                .windows(4)
                .position(|bytes| bytes == b"\r\n\r\n")
            {
                break at + 4;
            }
            self.read_some().await;
        };
        let head = String::from_utf8(self.buffer.drain(..end).collect()).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let mut answer = Answer {
            status: status.unwrap().parse().unwrap(),
            headers: lines
                .map(|line| line.split_once(": ").unwrap())
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect(),
            body: Vec::new(),
        };
        if !self.head_only {
            let length = answer.header("content-length").expect("a length");
            let length = length.parse().unwrap();
            while self.buffer.len() < length {
                self.read_some().await;
            }
            answer.body = self.buffer.drain(..length).collect();
        }
        answer
    }

    /// Reads until the server has closed or reset the connection. Returns the number of bytes.
    pub(crate) async fn closed(&mut self) -> usize {
        within(self.read_to_end()).await
    }

    /// Like [`closed`](Self::closed), without a bound.
    pub(crate) async fn read_to_end(&mut self) -> usize {
        while let Ok(1..) = self.stream.read_buf(&mut self.buffer).await {}
        self.buffer.len()
    }
}

// === impl Answer ===

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(known, _)| known == name);
        header.map(|(_, value)| &**value)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}
