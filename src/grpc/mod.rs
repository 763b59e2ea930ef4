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
mod status;
mod trailers;

pub(crate) use self::messages::Messages;
pub(crate) use self::status::{Status, StatusOrLength};

use crate::body;
use crate::classify::HttpStatus;

/// The body of a gRPC request, which counts the messages and bytes that the service reads.
///
/// At a server, an error of an unknown type cancels the call, because a gRPC body usually fails when its client went away. The
/// errors of tonic's server are `tonic::Status`, which the feature `tonic` makes known. At a
/// [client](crate::MetricsLayer::grpc_client), an error of an unknown type is an
/// [`INVALID_MESSAGE`](crate::ErrorType::INVALID_MESSAGE), as for a message that can't be encoded.
///
/// For a service that takes tonic's own body, such as its `Channel`, use [`boxed`](crate::MetricsLayer::boxed). It costs one
/// allocation and counts everything.
pub type RequestBody<B> = body::RequestBody<B, Messages>;

/// The body of a gRPC response, which counts the messages and bytes that the caller reads and ends the call with its status.
///
/// The response to a request that is not gRPC ends as that of HTTP.
pub type ResponseBody<B, C = HttpStatus> = body::ResponseBody<B, C, StatusOrLength>;
