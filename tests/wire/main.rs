//! Calls over hyper on real connections, and their numbers.

mod connections;
mod http1;
mod http2;
mod upgrades;
#[path = "../wire_support/mod.rs"]
mod wire_support;

use http::{Response, StatusCode, header};
use wire_support::Scripted;

/// A response with status 200.
fn ok(body: Scripted) -> Response<Scripted> {
    Response::new(body)
}

/// A response with this status.
fn status(status: u16, body: Scripted) -> Response<Scripted> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

/// A response whose length is in its header only.
fn promising(length: u64, body: Scripted) -> Response<Scripted> {
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, length.into());
    response
}
