//! What programs are answered about a flag that is switched off: over gRPC that it is, where they
//! name it; on PostHog's paths nothing.

use std::collections::BTreeMap;

use flagstaff::wire::v1::{
    BatchEvaluateFlagsRequest, EvaluateFlagRequest, EvaluateFlagsRequest, EvaluatedFlag,
    EvaluationSubject,
};
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::support::Service;

both_databases! {
    a_disabled_flag_is_answered_where_it_is_asked_for_by_key,
    a_flag_that_is_gone_or_filtered_is_not_found,
    contexts_are_stored_in_lower_case_and_compared_as_they_are,
}

fn subject() -> Option<EvaluationSubject> {
    Some(EvaluationSubject { distinct_id: "ann".into(), ..Default::default() })
}

async fn one(service: &Service, request: EvaluateFlagRequest) -> Result<EvaluatedFlag, Status> {
    let request = EvaluateFlagRequest { subject: subject(), ..request };
    let answer = service.evaluation_as(Some(&service.token)).evaluate_flag(request).await?;
    Ok(answer.into_inner().flag.unwrap())
}

/// By key, as one subject and as one of a batch, which answer alike.
async fn many(service: &Service, keys: &[&str]) -> BTreeMap<String, EvaluatedFlag> {
    let flag_keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
    let mut client = service.evaluation_as(Some(&service.token));
    let request = EvaluateFlagsRequest {
        subject: subject(),
        flag_keys: flag_keys.clone(),
        ..Default::default()
    };
    let answer = client.evaluate_flags(request).await.unwrap().into_inner();
    assert!(!answer.errors_while_computing_flags);
    let subjects = vec![subject().unwrap()];
    let request = BatchEvaluateFlagsRequest { subjects, flag_keys, ..Default::default() };
    let mut stream = client.batch_evaluate_flags(request).await.unwrap().into_inner();
    let of_batch = stream.message().await.unwrap().unwrap();
    assert_eq!(of_batch.flags, answer.flags, "{keys:?}");
    answer.flags.into_iter().collect()
}

fn asks(key: &str) -> EvaluateFlagRequest {
    EvaluateFlagRequest { flag_key: key.into(), ..Default::default() }
}

async fn a_disabled_flag_is_answered_where_it_is_asked_for_by_key(service: &Service) {
    let id = service.create_for_everyone("checkout").await;
    service.create_for_everyone("other").await;
    assert!(one(service, asks("checkout")).await.unwrap().enabled);
    service.patch(id, json!({"active": false})).await;
    let off = one(service, asks("checkout")).await.unwrap();
    let reason = off.reason.clone().unwrap();
    assert_eq!((off.enabled, off.failed, off.variant.as_ref()), (false, false, None));
    assert_eq!((reason.code.as_str(), reason.condition_index), ("flag_disabled", None));
    assert_eq!(reason.description, "Feature flag is disabled");
    assert_eq!((off.key.as_str(), off.metadata.as_ref().unwrap().id), ("checkout", id));
    let named = many(service, &["checkout", "checkout", "other", "unknown"]).await;
    assert_eq!(named.keys().collect::<Vec<_>>(), ["checkout", "other"]);
    assert_eq!(named["checkout"], off);
    let all = many(service, &[]).await;
    assert_eq!(all.keys().collect::<Vec<_>>(), ["other"], "without keys it is left out");
    let body = json!({"distinct_id": "ann", "flag_keys_to_evaluate": ["checkout", "other"]});
    let flags = service.flags_for(&body).await["flags"].clone();
    let keys: Vec<_> = flags.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["other"], "PostHog's paths leave it out");
    service.patch(id, json!({"active": true})).await;
    assert!(one(service, asks("checkout")).await.unwrap().enabled);
}

async fn a_flag_that_is_gone_or_filtered_is_not_found(service: &Service) {
    let made = async |key: &str, more: Value| {
        let mut body = json!({"key": key, "active": false});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        service.create(body).await.0
    };
    let deleted = made("deleted", json!({})).await;
    service.patch(deleted, json!({"deleted": true})).await;
    made("for-pages", json!({"evaluation_runtime": "client"})).await;
    made("in-app", json!({"evaluation_contexts": ["app"]})).await;
    let elsewhere = vec!["site".to_owned()];
    let cases = [
        ("unknown", asks("unknown"), true),
        ("deleted", asks("deleted"), true),
        ("for another runtime", asks("for-pages"), true),
        (
            "for this runtime",
            EvaluateFlagRequest { evaluation_runtime: Some("client".into()), ..asks("for-pages") },
            false,
        ),
        (
            "in another context",
            EvaluateFlagRequest { evaluation_contexts: elsewhere, ..asks("in-app") },
            true,
        ),
        (
            "in this context",
            EvaluateFlagRequest { evaluation_contexts: vec!["app".into()], ..asks("in-app") },
            false,
        ),
    ];
    for (name, request, is_missing) in cases {
        match one(service, request).await {
            Ok(flag) => {
                assert!(!is_missing, "{name}");
                assert_eq!(flag.reason.unwrap().code, "flag_disabled", "{name}");
            }
            Err(status) => {
                assert!(is_missing, "{name}: {status}");
                assert_eq!((status.code(), status.message()), (Code::NotFound, "Not found."));
            }
        }
    }
    let named = many(service, &["unknown", "deleted", "for-pages", "in-app"]).await;
    assert_eq!(named.keys().collect::<Vec<_>>(), ["in-app"]);
}

async fn contexts_are_stored_in_lower_case_and_compared_as_they_are(service: &Service) {
    let body = json!({"key": "on-web", "evaluation_contexts": [" Web "],
        "filters": {"groups": [{"rollout_percentage": 100}]}});
    let (_, flag) = service.create(body).await;
    assert_eq!(flag["evaluation_contexts"], json!(["web"]));
    for (context, is_answered) in [("web", true), ("Web", false), (" web", false)] {
        let request =
            EvaluateFlagRequest { evaluation_contexts: vec![context.into()], ..asks("on-web") };
        assert_eq!(one(service, request).await.is_ok(), is_answered, "{context:?}");
        let body = json!({"distinct_id": "ann", "evaluation_contexts": [context]});
        let flags = &service.flags_for(&body).await["flags"];
        assert_eq!(flags.get("on-web").is_some(), is_answered, "{context:?}");
    }
}
