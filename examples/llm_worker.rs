//! The worker of `llm_frontend`: streams tokens over the transport of `work_handler`. In place of a model it repeats the
//! prompt.
//!
//! ```text
//! $ DYN_SYSTEM_ENABLED=true DYN_SYSTEM_PORT=8082 \
//!       cargo run --release --features http2,server --example llm_worker
//! ```
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `DYN_WORKER_PORT` | the worker's port; 0 picks a free one | 8090 |
//! | `DYN_TOKEN_DELAY_MS` | how long each token takes | 20 |
//! | `DYN_SYSTEM_*` | the status server, see `StatusServer::from_env` | none |
//! | `DRAIN_MS` | how long to take requests after Ctrl-C or SIGTERM, with 503 at `/health` | 2000 |

pub(crate) mod llm;
mod process;
pub(crate) mod serving;
mod status;
pub(crate) mod transport;

use self::llm::{FinishReason, Prompt, Token};
use self::process::Stop;
use futures_util::stream::{self, Stream, StreamExt};
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::sleep;
use tower::{BoxError, Layer, service_fn};
use tower_openmetrics::classify::by_error;
use tower_openmetrics::{MetricsLayer, buckets};

const ENDPOINT: &str = "generate";

// === the model ===

/// Repeats the prompt, word by word.
pub(crate) async fn generate(
    prompt: Prompt,
    delay: Duration,
) -> Result<impl Stream<Item = Result<Token, Infallible>>, Infallible> {
    let text = format!("You said: {}", prompt.text);
    let words: Vec<_> = text.split_inclusive(' ').map(str::to_owned).collect();
    let (count, finish_reason) = match prompt.max_tokens {
        Some(max) if max < words.len() => (max.max(1), FinishReason::Length),
        _ => (words.len(), FinishReason::Stop),
    };
    let words = words.into_iter().enumerate().take(count);
    Ok(stream::iter(words).then(move |(i, text)| async move {
        sleep(delay).await;
        let finish_reason = (i + 1 == count).then_some(finish_reason);
        Ok(Token {
            text,
            finish_reason,
        })
    }))
}

// === the process ===

#[tokio::main]
async fn main() -> ExitCode {
    process::report(run()).await
}

async fn run() -> Result<(), BoxError> {
    let stop = Stop::on_signals()?;
    let delay = process::variable("DYN_TOKEN_DELAY_MS")?.unwrap_or(20);
    let delay = Duration::from_millis(delay);

    let metrics = MetricsLayer::streaming_builder()
        .classifier(by_error(transport::error_type))
        .buckets(buckets::INFERENCE)
        .items_total(true) // each message of a response is a token
        .first_item_seconds(true)
        .item_gap_seconds(true)
        .time_per_item_seconds(true)
        .build([
            ("namespace", "dyn_example_namespace"),
            ("component", "worker"),
            ("endpoint", ENDPOINT),
        ])?;
    let model = transport::json(service_fn(move |prompt| generate(prompt, delay)));
    let page = metrics.exporter();
    let handler = metrics.layer(model);

    let listener = process::listen(Ipv4Addr::UNSPECIFIED, "DYN_WORKER_PORT", 8090).await?;
    let status = status::serve(page, ENDPOINT, &stop.asked).await?;
    println!("worker:        {}", listener.local_addr()?);

    serving::accept(listener, stop.closing.clone(), |io, _, _| {
        transport::serve_connection(io, handler.clone(), stop.closing.clone())
    })
    .await;
    if let Some(status) = status {
        status.shutdown().await;
    }
    Ok(())
}
