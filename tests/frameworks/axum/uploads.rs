use crate::client::Client;
use crate::layer;
use crate::tally::Tally;
use crate::wire_support::Server;
use axum::Router;
use axum::extract::Multipart;
use axum::extract::multipart::MultipartError;
use axum::routing::post;

/// Responds with the name and the size of each part.
async fn upload(mut form: Multipart) -> Result<String, MultipartError> {
    let mut parts = String::new();
    while let Some(part) = form.next_field().await? {
        let name = part.name().unwrap_or("?").to_owned();
        let size = part.bytes().await?.len();
        parts += &format!("{name} {size}\n");
    }
    Ok(parts)
}

fn part(name: &str, content: &str) -> String {
    format!("--X\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{content}\r\n")
}

#[tokio::test]
async fn multipart_forms() {
    const FORM: [(&str, &str); 1] = [("content-type", "multipart/form-data; boundary=X")];
    // More than one HTTP/2 frame.
    let large = "x".repeat(100_000);
    let whole = part("text", "hello") + &part("file", &large) + "--X--\r\n";
    let broken_off = part("text", "hello") + "--X\r\ncontent-disposition: form-data";
    let (layer, mut tally) = (layer(), Tally::default());
    let app = Router::new().route("/upload", post(upload));
    let server = Server::start(app.layer(layer.clone())).await;
    for client in Client::all(&server) {
        let seen = client.ask("POST", "/upload", &FORM, whole.clone()).await;
        assert_eq!(seen.body, "text 5\nfile 100000\n");
        tally.count("/upload", &seen);

        // Read completely, and then invalid.
        let seen = client
            .ask("POST", "/upload", &FORM, broken_off.clone())
            .await;
        assert_eq!(seen.status, 400);
        tally.count("/upload", &seen);

        // Refused because of its head.
        let seen = client.ask("POST", "/upload", &[], whole.clone()).await;
        assert_eq!(seen.status, 400);
        tally.count("/upload", &seen.unread());
    }
    server.stop().await;
    tally.assert(&layer).await;
}
