//! What proxies tell of their clients counts for those that are trusted alone.

use http::Method;
use serde_json::json;

use crate::support::{FLAGS, Service, rest::send};

/// Where the next page of two flags is said to be, to a client behind a proxy.
async fn next(service: &Service) -> String {
    for key in ["one", "two"] {
        service.create(json!({"key": key})).await;
    }
    let request = service
        .request(Method::GET, &format!("{FLAGS}?limit=1"))
        .bearer_auth(&service.key)
        .header("x-forwarded-for", "203.0.113.9")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "flags.example.com");
    send(request).await.json()["next"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_says_how_the_service_is_reached() {
    let service = Service::on_sqlite_with(&["--trusted-proxies", "127.0.0.0/8,::1/128"]).await;
    let expected = format!("https://flags.example.com{FLAGS}?limit=1&offset=1");
    assert_eq!(next(&service).await, expected);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anybody_else_is_not_believed() {
    for trusted in [&[][..], &["--trusted-proxies", "10.0.0.0/8"]] {
        let service = Service::on_sqlite_with(trusted).await;
        let expected = service.url(&format!("{FLAGS}?limit=1&offset=1"));
        assert_eq!(next(&service).await, expected, "{trusted:?}");
        service.stop().await;
    }
}
