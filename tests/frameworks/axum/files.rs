use crate::client::Client;
use crate::layer;
use crate::tally::Tally;
use crate::wire_support::Server;
use axum::Router;
use axum::routing::get;
use std::path::{Path, PathBuf};
use tower::Layer;
use tower_http::services::ServeDir;

/// More than hyper or tower-http pass on in one frame.
const BYTES: usize = 300_000;

fn directory() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("files");
    std::fs::create_dir_all(&directory).unwrap();
    let bytes: Vec<u8> = (0..BYTES).map(|i| (i % 251) as u8).collect();
    std::fs::write(directory.join("data.bin"), bytes).unwrap();
    directory
}

#[tokio::test]
async fn whole_files_ranges_and_304() {
    const FILE: &str = "/static/data.bin";
    let (layer, mut tally) = (layer(), Tally::default());
    let app = Router::new()
        .route("/", get(async || "hello"))
        .layer(layer.clone())
        .nest_service("/static", layer.layer(ServeDir::new(directory())));
    let server = Server::start(app).await;
    for client in Client::all(&server) {
        let whole = client.get(FILE).await;
        assert_eq!((whole.status.as_u16(), whole.body.len()), (200, BYTES));
        let modified = whole.headers["last-modified"].to_str().unwrap().to_owned();
        tally.count("/static", &whole);
        for (method, path, header, status, received) in [
            ("GET", FILE, ("range", "bytes=100-299"), 206, Some(200)),
            ("GET", FILE, ("range", "bytes=-50"), 206, Some(50)),
            ("GET", FILE, ("range", "bytes=1-"), 206, Some(BYTES - 1)),
            ("GET", FILE, ("range", "bytes=300000-"), 416, None),
            ("GET", FILE, ("if-modified-since", &*modified), 304, Some(0)),
            ("HEAD", FILE, ("accept", "*/*"), 200, Some(0)),
            ("HEAD", FILE, ("range", "bytes=0-9"), 206, Some(0)),
            ("GET", "/static/none", ("accept", "*/*"), 404, None),
            ("POST", FILE, ("accept", "*/*"), 405, None),
        ] {
            let seen = client.ask(method, path, &[header], "").await;
            assert_eq!(seen.status, status, "{method} {path} {header:?}");
            if let Some(received) = received {
                assert_eq!(seen.body.len(), received, "{method} {path} {header:?}");
            }
            tally.count("/static", &seen);
        }
        tally.count("/", &client.get("/").await);
    }
    server.stop().await;
    tally.assert(&layer).await;
}
