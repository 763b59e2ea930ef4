//! A custom transport: frames over TCP.
//!
//! A frame is a length (4 bytes, big-endian) and as many bytes. The first one is its kind:
//!
//! | kind | sent by | what follows |
//! |---|---|---|
//! | `R` | the client | a request, in JSON |
//! | `C` | the client | nothing: cancels the current response |
//! | `I` | the worker | an item of the response, in JSON |
//! | `F` | the worker | a [`Failure`], in JSON |
//! | `.` | the worker | nothing: the response has ended |
//!
//! A client sends its requests one after another. The worker responds to each with items, at most one failure, and the
//! end. A client that closes the connection cancels the current response. The worker closes the connection if no request
//! comes for ten seconds.
#![allow(dead_code, unused_imports, reason = "each example uses some of it")]

mod client;
mod server;

pub(crate) use self::client::{Answer, call};
pub(crate) use self::server::{REQUEST, error_type, json, serve_connection};

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::fmt;
use std::io;
use tokio_util::codec::{Decoder, Encoder, LengthDelimitedCodec};
use tower_openmetrics::Message;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Frame {
    Request(Bytes),
    Cancel,
    Item(Bytes),
    Failure(Failure),
    End,
    /// None of the above.
    Other(Bytes),
}

/// Why a response failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "failure", content = "why", rename_all = "snake_case")]
pub(crate) enum Failure {
    NotARequest,
    Undecodable(String),
    Work(String),
}

/// Encodes and decodes frames.
#[derive(Debug, Default)]
pub(crate) struct FrameCodec(LengthDelimitedCodec);

// === impl Frame ===

/// The size of a frame is that of its content. Kind and length belong to the transport.
impl Message for Frame {
    fn size(&self) -> u64 {
        match self {
            Self::Request(bytes) | Self::Item(bytes) | Self::Other(bytes) => bytes.size(),
            Self::Cancel | Self::Failure(_) | Self::End => 0,
        }
    }

    fn error(&self) -> Option<&dyn Any> {
        match self {
            Self::Failure(failure) => Some(failure),
            _ => None,
        }
    }
}

// === impl Failure ===

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotARequest => write!(f, "not a request"),
            Self::Undecodable(why) => write!(f, "the request can't be decoded: {why}"),
            Self::Work(why) => write!(f, "the work failed: {why}"),
        }
    }
}

impl std::error::Error for Failure {}

// === impl FrameCodec ===

impl Decoder for FrameCodec {
    type Item = Frame;
    type Error = io::Error;

    fn decode(&mut self, bytes: &mut BytesMut) -> io::Result<Option<Frame>> {
        let Some(frame) = self.0.decode(bytes)? else {
            return Ok(None);
        };
        let frame = frame.freeze();
        Ok(Some(match frame.split_first() {
            Some((b'R', _)) => Frame::Request(frame.slice(1..)),
            Some((b'C', [])) => Frame::Cancel,
            Some((b'I', _)) => Frame::Item(frame.slice(1..)),
            Some((b'F', json)) => Frame::Failure(serde_json::from_slice(json)?),
            Some((b'.', [])) => Frame::End,
            _ => Frame::Other(frame),
        }))
    }
}

impl Encoder<Frame> for FrameCodec {
    type Error = io::Error;

    fn encode(&mut self, frame: Frame, bytes: &mut BytesMut) -> io::Result<()> {
        let (kind, content) = match frame {
            Frame::Request(json) => (b'R', json),
            Frame::Cancel => (b'C', Bytes::new()),
            Frame::Item(json) => (b'I', json),
            Frame::Failure(failure) => (b'F', serde_json::to_vec(&failure)?.into()),
            Frame::End => (b'.', Bytes::new()),
            Frame::Other(frame) => return self.0.encode(frame, bytes),
        };
        let mut frame = BytesMut::with_capacity(1 + content.len());
        frame.put_u8(kind);
        frame.put(content);
        self.0.encode(frame.freeze(), bytes)
    }
}
