//! TLS, and TLS with a certificate of the client's.

use crate::certificates::{Authority, Directory};
use crate::client::{Http, TlsClient, ask_plainly, request};
use crate::secure_exporter::access::Credentials;
use crate::server::{Server, tls};
use http::Method;
use tokio::net::TcpStream;

fn bearer() -> Credentials {
    Credentials::default().bearer("a-token").unwrap()
}

const RIGHT: &[&str] = &["Bearer a-token"];

/// Starts a server that needs the token, with a certificate. Returns the authority and the directory of its files, too.
async fn behind_tls() -> (Server, Authority, Directory) {
    let directory = Directory::new();
    let authority = Authority::new(&directory, "authority");
    let certificate = authority.server(&directory);
    let server = Server::start(bearer(), Some(tls(&certificate, None))).await;
    (server, authority, directory)
}

#[tokio::test]
async fn a_page_behind_tls() {
    let (server, authority, _directory) = behind_tls().await;
    let client = TlsClient::new(&authority, None);
    for http in [Http::One, Http::Two] {
        let answer = client.get(&server, http, RIGHT).await.unwrap();
        answer.assert_page();
        let answer = client.get(&server, http, &[]).await.unwrap();
        assert_eq!(answer.status, 401, "{http:?}");
    }
    assert_eq!(server.stop().await, 2);
}

#[tokio::test]
async fn both_protocols_are_offered() {
    let (server, authority, _directory) = behind_tls().await;
    let stream = TlsClient::new(&authority, None).connect(&server).await;
    let stream = stream.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    drop(stream);
    server.stop().await;
}

#[tokio::test]
async fn without_tls_there_is_no_page() {
    let (server, _authority, directory) = behind_tls().await;
    let plain = request(Method::GET, "/metrics", RIGHT);
    ask_plainly(&server, plain).await.unwrap_err();
    // Nor for who does not believe that this is the server.
    let another = Authority::new(&directory, "another");
    let client = TlsClient::new(&another, None);
    client.get(&server, Http::One, RIGHT).await.unwrap_err();
    assert_eq!(server.stop().await, 0);
}

#[tokio::test]
async fn clients_need_a_certificate_of_the_right_authority() {
    let directory = Directory::new();
    let authority = Authority::new(&directory, "authority");
    let another = Authority::new(&directory, "another");
    let certificate = authority.server(&directory);
    let mutual = tls(&certificate, Some(&authority.file));
    let server = Server::start(Credentials::default(), Some(mutual)).await;

    let strangers = [
        ("without one", None),
        (
            "of another authority",
            Some(another.client(&directory, "foreign")),
        ),
        ("that has expired", Some(authority.expired(&directory))),
        ("that is a server's", Some(certificate)),
    ];
    for (who, shows) in &strangers {
        let client = TlsClient::new(&authority, shows.as_ref());
        let answer = client.get(&server, Http::One, &[]).await;
        assert!(answer.is_err(), "{who}: {answer:?}");
    }

    let shows = authority.client(&directory, "client");
    let client = TlsClient::new(&authority, Some(&shows));
    for http in [Http::One, Http::Two] {
        let answer = client.get(&server, http, &[]).await.unwrap();
        answer.assert_page();
    }
    assert_eq!(server.stop().await, 2);
}

#[tokio::test]
async fn a_certificate_does_not_stand_in_for_a_token() {
    let directory = Directory::new();
    let authority = Authority::new(&directory, "authority");
    let mutual = tls(&authority.server(&directory), Some(&authority.file));
    let server = Server::start(bearer(), Some(mutual)).await;
    let shows = authority.client(&directory, "client");
    let client = TlsClient::new(&authority, Some(&shows));
    let refused = client.get(&server, Http::One, &["Bearer wrong"]).await;
    refused.unwrap().assert_refused(&["Bearer"]);
    let answer = client.get(&server, Http::One, RIGHT).await.unwrap();
    answer.assert_page();
    let none = TlsClient::new(&authority, None);
    none.get(&server, Http::One, RIGHT).await.unwrap_err();
    assert_eq!(server.stop().await, 1);
}

#[tokio::test]
async fn who_never_shakes_hands_keeps_nobody_waiting() {
    let (server, authority, _directory) = behind_tls().await;
    let silent = TcpStream::connect(server.addr).await.unwrap();
    let client = TlsClient::new(&authority, None);
    let answer = client.get(&server, Http::One, RIGHT).await.unwrap();
    answer.assert_page();
    // Nor those who wait for the process to stop.
    assert_eq!(server.stop().await, 1);
    drop(silent);
}
