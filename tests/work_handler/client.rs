use crate::within;
use crate::work_handler::transport::{Failure, Frame, FrameCodec};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio_util::codec::Framed;
use tower_openmetrics::Message;

/// One connection. Dropping it closes it gracefully if everything sent has been read.
pub(crate) struct Client(Framed<TcpStream, FrameCodec>);

impl Client {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let stream = within(TcpStream::connect(addr)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(Framed::new(stream, FrameCodec::default()))
    }

    /// Sends a frame and returns its size.
    pub(crate) async fn send(&mut self, frame: Frame) -> u64 {
        let size = frame.size();
        within(self.0.send(frame)).await.unwrap();
        size
    }

    pub(crate) async fn ask(&mut self, request: Value) -> u64 {
        let json = request.to_string();
        self.send(Frame::Request(json.into())).await
    }

    pub(crate) async fn next(&mut self) -> Frame {
        let frame = within(self.0.next()).await.expect("a frame");
        frame.unwrap()
    }

    /// Reads `n` items and returns their total size.
    pub(crate) async fn items(&mut self, n: u64) -> u64 {
        let mut bytes = 0;
        for _ in 0..n {
            match self.next().await {
                Frame::Item(item) => bytes += item.size(),
                other => panic!("{other:?} instead of an item"),
            }
        }
        bytes
    }

    pub(crate) async fn end(&mut self) {
        assert_eq!(self.next().await, Frame::End);
    }

    pub(crate) async fn failure_and_end(&mut self) -> Failure {
        let Frame::Failure(failure) = self.next().await else {
            panic!("no failure");
        };
        self.end().await;
        failure
    }

    /// Resets the connection. Reading and writing then fail at the other end.
    pub(crate) fn reset(self) {
        self.0.get_ref().set_zero_linger().unwrap();
    }
}
