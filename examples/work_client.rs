//! A client of `work_handler`. It sends each of its arguments as a request, one after another on one connection, and
//! prints the items that come back.
//!
//! ```text
//! $ cargo run --release --example work_client -- '{"text":"hi","delay_ms":200}' 'not JSON'
//! ```
//!
//! `DYN_WORKER` is the worker's address. It defaults to 127.0.0.1:8090.

mod transport;

use self::transport::{Frame, FrameCodec};
use futures_util::{SinkExt, StreamExt};
use std::env;
use tokio::net::TcpStream;
use tokio_util::codec::Framed;
use tower::BoxError;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let worker = env::var("DYN_WORKER").unwrap_or_else(|_| "127.0.0.1:8090".to_owned());
    let stream = TcpStream::connect(worker).await?;
    let mut connection = Framed::new(stream, FrameCodec::default());
    for request in env::args().skip(1) {
        connection.send(Frame::Request(request.into())).await?;
        loop {
            match connection.next().await.ok_or("the worker hung up")?? {
                Frame::Item(json) => println!("{}", String::from_utf8_lossy(&json)),
                Frame::Failure(failure) => eprintln!("error: {failure}"),
                Frame::End => break,
                other => return Err(format!("unexpected: {other:?}").into()),
            }
        }
    }
    Ok(())
}
