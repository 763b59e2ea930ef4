//! Bodies of gRPC calls, which count messages and read the status.
//!
//! Each message has a prefix of five bytes, a flag and a length
//! ([gRPC over HTTP/2](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md)). The bodies read the prefixes
//! as the data passes through. They decode, copy and delay nothing, and HTTP frames may split a message anywhere. A
//! message counts when its last byte has passed. After an invalid prefix, bytes count and messages do not.
//!
//! A body of [gRPC-Web](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md) ends with a frame that holds the
//! trailers. It has the status and is not a message. The whole body of `application/grpc-web-text` is in base64, which
//! is decoded to read the prefixes.

mod base64;
mod framing;
mod messages;
mod request;
mod response;
mod trailers;

pub(crate) use self::messages::Messages;
pub use self::request::RequestBody;
pub(crate) use self::response::Progress;
pub use self::response::ResponseBody;
