#[allow(dead_code, reason = "the process around it is not used")]
#[path = "../../examples/client.rs"]
mod client;

use crate::wire_support::bounded;

#[tokio::test]
async fn its_page_shows_answers_a_404_and_a_connection_that_was_refused() {
    let page = bounded("the calls", client::run()).await.unwrap();
    for line in [
        r#"requests_total{endpoint="stock",method="GET",status="200"} 2"#,
        r#"requests_total{endpoint="stock",method="GET",status="404"} 1"#,
        r#"requests_total{endpoint="stock",method="GET",status="none"} 1"#,
        r#"errors_total{endpoint="stock",error_type="rejected",method="GET"} 1"#,
        r#"errors_total{endpoint="stock",error_type="connect",method="GET"} 1"#,
        r#"response_bytes_total{endpoint="stock",method="GET",status="200"} 16"#,
        r#"response_bytes_total{endpoint="stock",method="GET",status="404"} 12"#,
        r#"concurrent_requests{endpoint="stock",method="GET"} 0"#,
    ] {
        assert!(
            page.lines().any(|one| one == line),
            "{line} is not in\n{page}"
        );
    }
}
