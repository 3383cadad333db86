//! Limits on how often a token and an address may ask, on both edges.

use flagstaff::wire::v1::{
    BatchEvaluateFlagsRequest, EvaluateFlagRequest, EvaluateFlagsRequest, EvaluationSubject, Event,
    IngestEventsRequest, WatchFlagsRequest,
};
use http::{Method, header::RETRY_AFTER};
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::support::{FLAGS, Service, events::event, rest::Answer};

/// Far more calls than a second's worth of the rates in these tests, whatever the machine does.
const MANY: usize = 1_000;

async fn flags(service: &Service, token: &str) -> Answer {
    let body = json!({"token": token, "distinct_id": "ann"});
    service.call(Method::POST, "/flags?v=2", None, Some(&body)).await
}

async fn sent(service: &Service, token: &str, events: usize) -> Answer {
    let batch: Vec<Value> = (0..events).map(|_| event("x", "ann", json!({}))).collect();
    service.send_events("/batch/", &json!({"api_key": token, "batch": batch})).await
}

/// Calls until it is refused, and checks the refusal.
async fn until_throttled(mut call: impl AsyncFnMut() -> Answer) {
    for _ in 0..MANY {
        let answer = call().await;
        if answer.status == 429 {
            let seconds: u64 = answer.headers[RETRY_AFTER].to_str().unwrap().parse().unwrap();
            assert!((1..=60).contains(&seconds), "{seconds}");
            assert_eq!(answer.error().1, "throttled");
            return;
        }
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    panic!("nobody is ever refused");
}

fn assert_throttled(refused: &Status) {
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    let delay = refused.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!((1..=60).contains(&delay.as_secs()), "{delay:?}");
}

/// Calls until it is refused, and checks the refusal.
async fn until_throttled_over_grpc<T>(mut call: impl AsyncFnMut() -> Result<T, Status>) {
    for _ in 0..MANY {
        if let Err(refused) = call().await {
            return assert_throttled(&refused);
        }
    }
    panic!("nobody is ever refused");
}

fn subject() -> EvaluationSubject {
    EvaluationSubject { distinct_id: "ann".into(), ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn evaluations_of_a_token_have_a_rate_on_every_edge() {
    let service = Service::on_sqlite_with(&["--evaluation-rate", "1"]).await;
    service.create_for_everyone("flag").await;
    until_throttled(async || flags(&service, &service.token).await).await;
    let mut calls = service.evaluation_as(Some(&service.token));
    let project_id = String::from("1");
    until_throttled_over_grpc(async || {
        let (flag_key, subject) = ("flag".into(), Some(subject()));
        let request =
            EvaluateFlagRequest { project_id: "1".into(), flag_key, subject, ..Default::default() };
        calls.evaluate_flag(request).await
    })
    .await;
    let mut calls = service.evaluation_as(Some(&service.token));
    until_throttled_over_grpc(async || {
        let request = EvaluateFlagsRequest {
            project_id: project_id.clone(),
            subject: Some(subject()),
            ..Default::default()
        };
        calls.evaluate_flags(request).await
    })
    .await;
    let mut calls = service.evaluation_as(Some(&service.token));
    until_throttled_over_grpc(async || {
        let request = WatchFlagsRequest { project_id: "1".into(), ..Default::default() };
        calls.watch_flags(request).await
    })
    .await;
    // A batch counts for each of its subjects, so that the next call waits for long.
    let mut others = service.evaluation_as(Some(&service.secret));
    let subjects = vec![subject(); 50];
    let request =
        BatchEvaluateFlagsRequest { project_id: "1".into(), subjects, ..Default::default() };
    let mut answers = others.batch_evaluate_flags(request.clone()).await.unwrap().into_inner();
    for _ in 0..50 {
        assert!(answers.message().await.unwrap().is_some(), "a batch that was let in ends well");
    }
    let refused = others.batch_evaluate_flags(request).await.unwrap_err();
    assert_throttled(&refused);
    assert_eq!(sent(&service, &service.token, 1).await.status, 200, "events are counted apart");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_token_have_a_rate_on_every_edge() {
    let service = Service::on_sqlite_with(&["--ingestion-rate", "2"]).await;
    let (_, other_token) = service.new_project("Other");
    until_throttled(async || sent(&service, &service.token, 1).await).await;
    assert_eq!(sent(&service, &other_token, 100).await.status, 200, "another token is not held up");
    assert_eq!(
        sent(&service, &other_token, 1).await.status,
        429,
        "before it has paid for its batch"
    );
    let mut calls = service.ingestion_as(Some(&service.key));
    until_throttled_over_grpc(async || {
        let event = Event { event: "x".into(), distinct_id: "ann".into(), ..Default::default() };
        let events = vec![event; 10];
        calls.ingest_events(IngestEventsRequest { project_id: "1".into(), events }).await
    })
    .await;
    assert_eq!(flags(&service, &service.token).await.status, 200, "evaluations are counted apart");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_a_rate_for_all_that_it_asks() {
    let service = Service::on_sqlite_with(&["--address-rate", "1"]).await;
    until_throttled(async || flags(&service, &service.token).await).await;
    until_throttled(async || service.call(Method::GET, FLAGS, Some(&service.key), None).await)
        .await;
    let mut calls = service.evaluation_as(Some(&service.secret));
    until_throttled_over_grpc(async || {
        let request = EvaluateFlagsRequest {
            project_id: "1".into(),
            subject: Some(subject()),
            ..Default::default()
        };
        calls.evaluate_flags(request).await
    })
    .await;
    for _ in 0..MANY {
        let refused = flags(&service, &service.token).await;
        if refused.status == 429 {
            let allowed = &refused.headers["access-control-allow-origin"];
            assert_eq!(allowed, "*", "pages may read why");
            break;
        }
    }
    let livez = format!("http://{}/livez", service.ops_address());
    assert_eq!(service.call(Method::GET, &livez, None, None).await.status, 200);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_counted_is_answered_and_shows_in_the_metric() {
    let rates = ["--evaluation-rate", "1", "--ingestion-rate", "1", "--address-rate", "1"];
    for (mode, is_counted) in [("count", true), ("off", false)] {
        let settings = [&rates[..], &["--rate-limits", mode]].concat();
        let service = Service::on_sqlite_with(&settings).await;
        for _ in 0..20 {
            assert_eq!(flags(&service, &service.token).await.status, 200);
            assert_eq!(sent(&service, &service.token, 5).await.status, 200);
        }
        for limit in ["evaluation", "ingestion", "address"] {
            let metrics = service.metrics().await;
            let line = metrics.lines().find(|line| {
                let is_it = line.starts_with("flagstaff_rate_limits_exceeded_total");
                is_it && line.contains(&format!("limit=\"{limit}\""))
            });
            let count = line.and_then(|line| line.rsplit(' ').next()).unwrap_or("0");
            assert_eq!(count.parse::<u64>().unwrap() > 0, is_counted, "{limit} {mode}");
        }
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_do_not_hold_are_refused_after_a_while_and_those_that_do_are_not() {
    let service = Service::on_sqlite().await;
    let list = async |key: &str| service.call(Method::GET, FLAGS, Some(key), None).await;
    assert_eq!(list(&service.key).await.status, 200);
    let mut guesses = 0..10 * MANY;
    let refused = loop {
        let guess = guesses.next().expect("nobody is ever refused");
        let answer = list(&format!("phx_guess_number_{guess}")).await;
        if answer.status != 401 {
            break answer;
        }
    };
    assert_eq!((refused.status, refused.error().1.as_str()), (429, "throttled"));
    assert!(refused.headers.contains_key(RETRY_AFTER));
    let mut calls = service.evaluation_as(Some("phs_guess_over_grpc"));
    let request = EvaluateFlagsRequest {
        project_id: "1".into(),
        subject: Some(subject()),
        ..Default::default()
    };
    assert_throttled(&calls.evaluate_flags(request).await.unwrap_err());
    assert_eq!(list(&service.key).await.status, 200, "a key that is known to hold goes on");
    assert_eq!(flags(&service, &service.token).await.status, 200, "and so does a public token");
    service.stop().await;
}
