//! What is refused before anything is served.

use crate::certificates::{Authority, Directory, Signed};
use crate::secure_exporter::access::{Credentials, Tls};
use crate::secure_exporter::{Access, SecureExporter};
use crate::server::tls;
use tower_openmetrics::MetricsRegistry;

fn refused(credentials: Credentials, tls: Option<Tls>) -> String {
    let page = MetricsRegistry::new().exporter();
    let exporter = SecureExporter::new(page, &Access { credentials, tls });
    exporter.err().expect("an error").to_string()
}

#[test]
fn a_page_that_anybody_could_read() {
    let error = refused(Credentials::default(), None);
    assert!(error.contains("METRICS_BEARER_TOKEN"), "{error}");
    // TLS alone keeps nobody out.
    let directory = Directory::new();
    let authority = Authority::new(&directory, "authority");
    let tls = tls(&authority.server(&directory), None);
    let error = refused(Credentials::default(), Some(tls));
    assert!(error.contains("METRICS_TLS_CLIENT_CA"), "{error}");
}

#[test]
fn files_that_are_not_what_they_should_be() {
    let directory = Directory::new();
    let authority = Authority::new(&directory, "authority");
    let server = authority.server(&directory);
    let missing = directory.path().join("missing.pem");
    let empty = directory.write("empty.pem", "");
    let broken = "-----BEGIN CERTIFICATE-----\n%\n-----END CERTIFICATE-----\n";
    let broken = directory.write("broken.pem", broken);
    let right = tls(&server, Some(&authority.file));
    let mut cases = Vec::new();
    for file in [&missing, &empty, &broken] {
        let file = || file.clone();
        cases.extend([
            (
                file(),
                Tls {
                    certificate: file(),
                    ..right.clone()
                },
            ),
            (
                file(),
                Tls {
                    key: file(),
                    ..right.clone()
                },
            ),
            (
                file(),
                Tls {
                    client_ca: Some(file()),
                    ..right.clone()
                },
            ),
        ]);
    }
    for (file, tls) in cases {
        let error = refused(Credentials::default(), Some(tls.clone()));
        assert!(error.contains(file.to_str().unwrap()), "{tls:?}: {error}");
    }
}

#[test]
fn a_key_of_another_certificate() {
    let directory = Directory::new();
    let authority = Authority::new(&directory, "authority");
    let another = authority.client(&directory, "client");
    let mixed = Signed {
        key: another.key,
        ..authority.server(&directory)
    };
    let error = refused(
        Credentials::default(),
        Some(tls(&mixed, Some(&authority.file))),
    );
    assert!(error.to_lowercase().contains("key"), "{error}");
}

#[test]
fn half_of_what_tls_needs() {
    let some = || Some("file.pem".into());
    for (certificate, key, client_ca) in [
        (some(), None, None),
        (None, some(), None),
        (None, None, some()),
    ] {
        let error = Tls::of(certificate, key, client_ca).unwrap_err();
        assert!(error.to_string().contains("both"), "{error}");
    }
    assert!(Tls::of(None, None, None).unwrap().is_none());
    assert!(Tls::of(some(), some(), some()).unwrap().is_some());
}
