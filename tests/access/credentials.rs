//! Bearer tokens and passwords.

use crate::client::{Answer, ask_plainly, request};
use crate::secure_exporter::access::Credentials;
use crate::server::{SECRET, Server};
use http::{Method, StatusCode};

const BEARER: &str = "Bearer";
const BASIC: &str = r#"Basic realm="metrics", charset="UTF-8""#;

/// Of RFC 7617, section 2: the user `Aladdin` and the password `open sesame`.
const ALADDIN: &str = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";

fn bearer() -> Credentials {
    Credentials::default().bearer("a-token").unwrap()
}

fn basic() -> Credentials {
    let credentials = Credentials::default();
    credentials.basic("Aladdin", "open sesame").unwrap()
}

async fn get(server: &Server, authorization: &[&str]) -> Answer {
    let request = request(Method::GET, "/metrics", authorization);
    ask_plainly(server, request).await.unwrap()
}

/// That with any of these headers alone the page is there, and with any of those it is not.
async fn assert_lets_in(
    credentials: Credentials,
    right: &[&str],
    wrong: &[&[&str]],
    says: &[&str],
) {
    let server = Server::start(credentials, None).await;
    for authorization in wrong {
        get(&server, authorization).await.assert_refused(says);
    }
    for authorization in right {
        get(&server, &[authorization]).await.assert_page();
    }
    // Those who were refused never got as far.
    assert_eq!(server.stop().await, right.len() as u64);
}

#[tokio::test]
async fn a_bearer_token() {
    let wrong: &[&[&str]] = &[
        &[],
        &["Bearer wrong"],
        &["Bearer a-toke"],
        &["Bearer a-tokem"],
        &["Bearer a-token-"],
        &["Bearer A-TOKEN"],
        &["Bearer"],
        &["Bearer "],
        &["a-token"],
        &["Basic a-token"],
        &["Digest a-token"],
        &["Bearer a-token", "Bearer a-token"],
        &["Bearer a-token, Bearer b"],
        &[""],
    ];
    let right = ["Bearer a-token", "bearer a-token", "BEARER  a-token"];
    assert_lets_in(bearer(), &right, wrong, &[BEARER]).await;
}

#[tokio::test]
async fn a_name_and_password() {
    let wrong: &[&[&str]] = &[
        &[],
        // Another password, another name, and no password.
        &["Basic QWxhZGRpbjpjbG9zZSBzZXNhbWU="],
        &["Basic YWxhZGRpbjpvcGVuIHNlc2FtZQ=="],
        &["Basic QWxhZGRpbjo="],
        &["Basic Aladdin:open sesame"],
        &["Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ"],
        &["Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ=="],
        &["Basic"],
    ];
    let right = [ALADDIN, "basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="];
    assert_lets_in(basic(), &right, wrong, &[BASIC]).await;
}

#[tokio::test]
async fn either_of_them() {
    let both = bearer().basic("Aladdin", "open sesame").unwrap();
    let wrong: &[&[&str]] = &[
        &[],
        &["Basic a-token"],
        &["Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ=="],
    ];
    let right = ["Bearer a-token", ALADDIN];
    assert_lets_in(both, &right, wrong, &[BEARER, BASIC]).await;
}

#[tokio::test]
async fn a_stranger_learns_of_no_method_and_of_no_path() {
    let server = Server::start(bearer(), None).await;
    for (method, path, known) in [
        (Method::GET, "/metrics", StatusCode::OK),
        (Method::HEAD, "/metrics", StatusCode::OK),
        (Method::POST, "/metrics", StatusCode::METHOD_NOT_ALLOWED),
        (Method::GET, "/metrics?name[]=build_info", StatusCode::OK),
        (Method::GET, "/elsewhere", StatusCode::NOT_FOUND),
    ] {
        let of_stranger = request(method.clone(), path, &[]);
        let of_stranger = ask_plainly(&server, of_stranger).await.unwrap();
        of_stranger.assert_refused(&[BEARER]);
        let of_known = request(method, path, &["Bearer a-token"]);
        let of_known = ask_plainly(&server, of_known).await.unwrap();
        assert_eq!(of_known.status, known, "{path}");
    }
    server.stop().await;
}

#[test]
fn secrets_are_in_no_error_and_in_no_debug_output() {
    let shown = format!("{:?}", bearer().basic("Aladdin", SECRET).unwrap());
    assert_eq!(shown, r#"["bearer", "basic"]"#);
    for refused in [
        Credentials::default().bearer(&format!("{SECRET} ")),
        Credentials::default().bearer(""),
        Credentials::default().basic(&format!("{SECRET}:"), SECRET),
        Credentials::default().basic("", SECRET),
        Credentials::default().basic("Aladdin", ""),
    ] {
        let error = refused.unwrap_err().to_string();
        assert!(!error.contains(SECRET), "{error}");
    }
}
