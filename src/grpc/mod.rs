//! Bodies of gRPC calls: they count messages, and see the status.
//!
//! A message is seen by the five bytes before it, a flag and a length
//! ([gRPC over HTTP/2](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md)), which are read where they
//! pass through: nothing is decoded, copied or held back, and frames may be cut anywhere. A message counts
//! when its last byte has come. What follows a prefix that is none is not counted, but its bytes are.
//!
//! Bodies of [gRPC-Web](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md) end in a frame of their own
//! that holds the trailers: it gives the status and is not a message. In `application/grpc-web-text` all that is in
//! base64, which is read as it passes.

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
