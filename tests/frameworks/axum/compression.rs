use crate::client::{Client, Seen};
use crate::layer;
use crate::tally::Tally;
use crate::wire_support::Server;
use axum::Router;
use axum::routing::get;
use flate2::read::GzDecoder;
use std::io::Read;
use tower_http::compression::CompressionLayer;

/// Returns text that compresses well.
const LINES: usize = 5_000;

fn unpacked(seen: &Seen) -> Seen {
    let mut body = Vec::new();
    GzDecoder::new(&*seen.body).read_to_end(&mut body).unwrap();
    Seen {
        method: seen.method.clone(),
        headers: seen.headers.clone(),
        body: body.into(),
        ..*seen
    }
}

#[tokio::test]
async fn a_layer_counts_compressed_bytes_only_outside_of_compression() {
    let (within, around) = (layer(), layer());
    let (mut plain, mut packed) = (Tally::default(), Tally::default());
    let app = Router::new()
        .route("/text", get(async || "a line of text\n".repeat(LINES)))
        .layer(within.clone())
        .layer(CompressionLayer::new())
        .layer(around.clone());
    let server = Server::start(app).await;
    for client in Client::all(&server) {
        let seen = client
            .ask("GET", "/text", &[("accept-encoding", "gzip")], "")
            .await;
        assert_eq!(seen.headers["content-encoding"], "gzip");
        let text = unpacked(&seen);
        assert_eq!(text.body.len(), 15 * LINES);
        assert!(seen.body.len() < text.body.len() / 2);
        // One layer is outside of compression, the other inside.
        packed.count("/text", &seen);
        plain.count("/text", &text);

        let seen = client.get("/text").await;
        assert_eq!(seen.body.len(), 15 * LINES);
        packed.count("/text", &seen);
        plain.count("/text", &seen);
    }
    server.stop().await;
    packed.assert(&around).await;
    plain.assert(&within).await;
}
