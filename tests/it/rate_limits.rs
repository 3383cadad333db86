//! Limits on how often one credential may call (management-api 1.5).

use flagstaff::wire::v1::GetRemoteConfigRequest;
use http::{Method, header::RETRY_AFTER};
use serde_json::json;
use tonic::Code;
use tonic_types::StatusExt;

use crate::support::{FLAGS, Service, edges::Failure};

/// The documented limit of remote configurations in a minute.
const MOST: usize = 600;

both_databases! {
    the_call_beyond_the_limit_is_told_to_wait_on_both_edges,
}

async fn config(service: &Service, key: &str) -> crate::support::rest::Answer {
    service.call(Method::GET, &format!("{FLAGS}config/remote_config/"), Some(key), None).await
}

async fn make(service: &Service) {
    let filters = json!({"groups": [{"rollout_percentage": 100}], "payloads": {"true": "1"}});
    service
        .create(json!({"key": "config", "is_remote_configuration": true, "filters": filters}))
        .await;
}

/// Calls as fast as the service answers, until it is one too many.
async fn exhaust(service: &Service, key: &str) -> usize {
    for passed in 0..2 * MOST {
        if config(service, key).await.status == 429 {
            return passed;
        }
    }
    panic!("nobody is ever refused");
}

async fn the_call_beyond_the_limit_is_told_to_wait_on_both_edges(service: &Service) {
    make(service).await;
    assert!(exhaust(service, &service.secret).await >= MOST);
    let answer = config(service, &service.secret).await;
    let seconds: u64 = answer.headers[RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    let detail = format!("Request was throttled. Expected available in {seconds} seconds.");
    let expected =
        json!({"type": "throttled_error", "code": "throttled", "detail": detail, "attr": null});
    assert_eq!((answer.status, answer.json()), (429, expected));

    let request = GetRemoteConfigRequest { id: "config".into(), ..Default::default() };
    let refused = service.flags_as(Some(&service.secret)).get_remote_config(request).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let told = Failure::of_grpc(&refused);
    assert_eq!(
        (told.status, told.kind.as_str(), told.code.as_str()),
        (429, "throttled_error", "throttled")
    );
    let delay = refused.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!((1..=60).contains(&delay.as_secs()), "{delay:?}");

    assert_eq!(
        config(service, &service.key).await.status,
        200,
        "another credential is not held up"
    );
    let evaluated = service.evaluated(&service.token, "config").await;
    assert_eq!(evaluated["enabled"], true, "nor another operation");
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_are_counted_together_whatever_their_path() {
    let service = Service::on_sqlite().await;
    let paths = [
        format!("{FLAGS}local_evaluation/"),
        "/flags/definitions".to_owned(),
        "/api/feature_flag/local_evaluation".to_owned(),
    ];
    for call in 0..MOST {
        let path = &paths[call % paths.len()];
        let answer = service.call(Method::GET, path, Some(&service.secret), None).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    }
    for path in &paths {
        let mut passed = 0;
        let refused = loop {
            let answer = service.call(Method::GET, path, Some(&service.secret), None).await;
            if answer.status == 429 {
                break answer;
            }
            // As many as were called a minute ago may be let through meanwhile.
            passed += 1;
            assert!(passed <= MOST, "{path} is never refused");
        };
        assert_eq!(refused.error().1, "throttled", "{path}");
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_refused_with_limits_off() {
    let service = Service::on_sqlite_with(&["--rate-limits", "off"]).await;
    make(&service).await;
    for _ in 0..=MOST {
        assert_eq!(config(&service, &service.secret).await.status, 200);
    }
    service.stop().await;
}
