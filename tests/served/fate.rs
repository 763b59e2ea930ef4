//! How a call ends that is told to:
//!
//! | fate | the call |
//! |---|---|
//! | a number | completes after as many milliseconds, with as many bytes |
//! | `generate`, `overloaded`, `timeout`, `deserialization` | fails so |
//! | `panic` | panics |
//! | `events` | completes as a stream of events |
//! | `wait` | begins its answer and never ends it |

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::stream::{StreamExt, once, pending};
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::sleep;

pub(crate) async fn answer(fate: &str) -> Response {
    match fate {
        "generate" => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        "overloaded" => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        "timeout" => StatusCode::GATEWAY_TIMEOUT.into_response(),
        "deserialization" => StatusCode::BAD_REQUEST.into_response(),
        "panic" => panic!("as it was asked to"),
        "events" => ([(CONTENT_TYPE, "text/event-stream")], "data: one\n\n").into_response(),
        "wait" => {
            let first = once(async { Ok::<_, Infallible>(Bytes::from("so far\n")) });
            Body::from_stream(first.chain(pending())).into_response()
        }
        millis => match millis.parse() {
            Ok(millis) => {
                sleep(Duration::from_millis(millis)).await;
                "x".repeat(millis as usize).into_response()
            }
            Err(_) => StatusCode::NOT_FOUND.into_response(),
        },
    }
}
