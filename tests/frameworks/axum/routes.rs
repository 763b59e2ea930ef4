use crate::client::Client;
use crate::layer;
use crate::tally::Tally;
use crate::wire_support::Server;
use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;

fn app() -> Router {
    let deep = Router::new().route(
        "/{a}/{b}",
        get(async |Path((a, b)): Path<(String, String)>| a + &b),
    );
    let api = Router::new()
        .route(
            "/items/{id}",
            get(async |Path(id): Path<u64>| format!("item {id}")).put(async |body: Bytes| body),
        )
        .route("/broken", get(async || StatusCode::INTERNAL_SERVER_ERROR))
        .nest("/deep", deep)
        .fallback(async || (StatusCode::NOT_FOUND, "not of this API"));
    Router::new()
        .route("/", get(async || "hello"))
        .nest("/api", api)
        .fallback(async || (StatusCode::NOT_FOUND, "nothing here"))
        .method_not_allowed_fallback(async || (StatusCode::METHOD_NOT_ALLOWED, "another method"))
}

#[tokio::test]
async fn nested_routes_and_fallbacks() {
    let (layer, mut tally) = (layer(), Tally::default());
    let server = Server::start(app().layer(layer.clone())).await;
    for client in Client::all(&server) {
        for (method, path, body, route, status) in [
            ("GET", "/", "", "/", 200),
            ("GET", "/?a=1", "", "/", 200),
            ("HEAD", "/", "", "/", 200),
            ("POST", "/", "", "/", 405),
            ("GET", "/api/items/7", "", "/api/items/{id}", 200),
            ("GET", "/api/items/8", "", "/api/items/{id}", 200),
            ("GET", "/api/items/x", "", "/api/items/{id}", 400),
            ("PUT", "/api/items/7", "abcde", "/api/items/{id}", 200),
            ("DELETE", "/api/items/7", "", "/api/items/{id}", 405),
            ("GET", "/api/deep/1/2", "", "/api/deep/{a}/{b}", 200),
            ("GET", "/api/broken", "", "/api/broken", 500),
            ("GET", "/api/nowhere", "", "none", 404),
            ("GET", "/nowhere", "", "none", 404),
            ("PUT", "/%22%5C%0A", "", "none", 404),
        ] {
            let seen = client.ask(method, path, &[], body).await;
            assert_eq!(seen.status, status, "{method} {path}");
            tally.count(route, &seen);
        }
        let seen = client.ask("POST", "/nowhere", &[], "abcde").await;
        tally.count("none", &seen.unread());
        // An unknown method is not a label value, although axum responds to it.
        let mut seen = client.ask("BREW", "/", &[], "").await;
        assert_eq!(seen.status, 405);
        seen.method = "_OTHER".parse().unwrap();
        tally.count("/", &seen);
    }
    server.stop().await;
    tally.assert(&layer).await;
}
