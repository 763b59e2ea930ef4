//! The address of the server, set by code or by environment variables.

use crate::client::{Client, within};
use crate::{patient, start_empty};
use std::error::Error as _;
use std::time::Duration;
use std::{env, io, net, process};
use tower_openmetrics::MetricsRegistry;
use tower_openmetrics::server::StatusServer;

#[tokio::test]
async fn local_addr_returns_the_port_picked_for_port_0() {
    let any = ([127, 0, 0, 1], 0).into();
    let bound = StatusServer::new()
        .addr(any)
        .bind(MetricsRegistry::new().exporter());
    let bound = bound.await.unwrap();
    let addr = bound.local_addr();
    assert_ne!(addr.port(), 0);
    let server = bound.spawn();
    assert_eq!(server.local_addr(), addr);
    let mut client = Client::connect(addr).await;
    assert_eq!(client.get("/live").await.status, 200);
}

#[tokio::test]
async fn local_addr_is_unspecified_by_default() {
    let server = StatusServer::new().bind(MetricsRegistry::new().exporter());
    let server = server.await.unwrap();
    assert!(server.local_addr().ip().is_unspecified());
}

#[tokio::test]
async fn an_ipv6_address_may_be_in_brackets() {
    if net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("there is no IPv6 here");
        return;
    }
    for host in ["::1", "[::1]"] {
        let server = start_empty(patient().host(host)).await;
        assert_eq!(server.local_addr().ip(), net::Ipv6Addr::LOCALHOST);
        let mut client = Client::connect(server.local_addr()).await;
        assert_eq!(client.get("/live").await.status, 200);
    }
}

#[tokio::test]
async fn an_error_names_a_path_that_is_wrong() {
    let bad = [
        "",
        "health",
        "/a b",
        "/health?full",
        "/health#1",
        "*",
        "http://a/b",
    ];
    for path in bad.into_iter().chain(["/metrics"]) {
        for (setting, server) in [
            ("health_path", patient().health_path(path)),
            ("live_path", patient().live_path(path)),
        ] {
            let bound = server.bind(MetricsRegistry::new().exporter()).await;
            let error = bound.unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("{setting} is {path:?}")),
                "{error}"
            );
        }
    }
    let same = patient().health_path("/live");
    let error = same.bind(MetricsRegistry::new().exporter()).await;
    let error = error.unwrap_err().to_string();
    assert_eq!(
        error,
        "health_path is \"/live\": this is the path of another page"
    );
}

#[cfg(feature = "dashboard")]
#[tokio::test]
async fn the_dashboards_path_is_taken() {
    let server = patient().health_path("/dashboard");
    let error = server.bind(MetricsRegistry::new().exporter()).await;
    assert!(error.unwrap_err().to_string().contains("\"/dashboard\""));
}

#[tokio::test]
async fn an_error_names_a_port_in_use() {
    let server = start_empty(patient()).await;
    let addr = server.local_addr();
    let again = patient()
        .port(addr.port())
        .bind(MetricsRegistry::new().exporter());
    let error = again.await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("the status server can't listen on {addr}")
    );
    let source = error.source().unwrap().downcast_ref::<io::Error>().unwrap();
    assert_eq!(source.kind(), io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn an_error_names_an_invalid_address() {
    for (host, named) in [
        ("300.1.2.3", "300.1.2.3:7"),
        ("", ":7"),
        ("a host", "a host:7"),
        ("::zz", "[::zz]:7"),
        ("\0", "\0:7"),
    ] {
        let server = StatusServer::new().host(host).port(7);
        let error = server
            .bind(MetricsRegistry::new().exporter())
            .await
            .unwrap_err();
        let message = format!("the status server can't listen on {named}");
        assert_eq!(error.to_string(), message);
        assert!(error.source().is_some());
    }
}

#[tokio::test]
async fn zero_connections_are_an_error() {
    let none = patient()
        .max_connections(0)
        .bind(MetricsRegistry::new().exporter());
    let error = none.await.unwrap_err().to_string();
    assert!(error.contains("max_connections is 0"), "{error}");
}

#[tokio::test]
async fn extreme_limits_do_not_panic() {
    for limit in [Duration::MAX, Duration::ZERO] {
        let server = StatusServer::new()
            .host("127.0.0.1")
            .max_connections(usize::MAX)
            .read_timeout(limit)
            .write_timeout(limit)
            .shutdown_grace(limit);
        let server = start_empty(server).await;
        let mut client = Client::connect(server.local_addr()).await;
        if limit == Duration::MAX {
            assert_eq!(client.get("/live").await.status, 200);
        } else {
            client.closed().await;
        }
        within(server.shutdown()).await;
    }
}

/// Runs itself in a child process, because a test must not change the environment of others.
#[tokio::test]
async fn from_env_reads_the_environment_of_the_process() {
    const NAME: &str = "listen::from_env_reads_the_environment_of_the_process";
    if env::var_os("STATUS_CHILD").is_none() {
        let status = process::Command::new(env::current_exe().unwrap())
            .args(["--exact", NAME])
            .env("STATUS_CHILD", "")
            .env("GOOD_ENABLED", "TRUE")
            .env("GOOD_HOST", "localhost")
            .env("GOOD_PORT", "0")
            .env("GOOD_STARTING_HEALTH_STATUS", "ready")
            .env("BAD_ENABLED", "1")
            .env("BAD_PORT", "eighty")
            .env("ALONE_PORT", "0")
            .env("MINUS_PORT", "-1")
            .env("SERVICE_PORT", "tcp://10.3.4.5:80")
            .status();
        assert!(status.unwrap().success());
        return;
    }
    assert!(StatusServer::from_env("ALONE").unwrap().is_some());
    for prefix in ["NO", "MINUS", "SERVICE"] {
        assert!(StatusServer::from_env(prefix).unwrap().is_none());
    }
    let error = StatusServer::from_env("BAD").unwrap_err().to_string();
    assert_eq!(error, r#"BAD_PORT is "eighty": use a port, 0 to 65535"#);

    let server = StatusServer::from_env("GOOD").unwrap().unwrap();
    let server = start_empty(server).await;
    assert!(server.local_addr().ip().is_loopback());
    let mut client = Client::connect(server.local_addr()).await;
    assert_eq!(client.get("/health").await.status, 200);
}
