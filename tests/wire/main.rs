//! What hyper makes of calls on real connections, and what is counted for it.

mod connections;
mod http1;
mod http2;
mod upgrades;
#[path = "../wire_support/mod.rs"]
mod wire_support;

use http::{Response, StatusCode, header};
use wire_support::Scripted;

/// An answer of which nothing is said.
fn ok(body: Scripted) -> Response<Scripted> {
    Response::new(body)
}

/// An answer with this status.
fn status(status: u16, body: Scripted) -> Response<Scripted> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

/// An answer whose header promises this length, and which has nothing else to say of it.
fn promising(length: u64, body: Scripted) -> Response<Scripted> {
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, length.into());
    response
}
