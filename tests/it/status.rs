//! Whether a flag is in use, as its status and its representation tell it (management-api 4.3).

use chrono::TimeDelta;
use flagstaff::{
    clock::Clock,
    wire::v1::{FeatureFlagRollout, FeatureFlagStatus, GetFeatureFlagStatusRequest},
};
use serde_json::{Value, json};

use crate::support::{
    FLAGS, Service,
    edges::{EDGES, Edge, Failure},
    grpc::mask,
};

both_databases! {
    every_rule_has_its_state_and_its_sentence,
    the_representation_shows_the_state_in_upper_case,
    the_rollout_is_summarized_beside_the_status,
    a_flag_that_is_not_there_has_no_status,
}

/// State and reason, as REST spells them.
async fn status(service: &Service, edge: Edge, id: i64) -> Result<(String, String), Failure> {
    match edge {
        Edge::Rest => {
            let (status, body) = service.get(&format!("{FLAGS}{id}/status/")).await;
            if status != 200 {
                return Err(Failure::of_rest(status, &body));
            }
            let members: Vec<_> = body.as_object().unwrap().keys().collect();
            assert_eq!(members, ["status", "reason", "rollout"]);
            let text = |name: &str| body[name].as_str().unwrap().to_owned();
            Ok((text("status"), text("reason")))
        }
        Edge::Grpc => {
            let request = GetFeatureFlagStatusRequest { id, ..Default::default() };
            let answer = service.flags().get_feature_flag_status(request).await;
            let answer = answer.map_err(|status| Failure::of_grpc(&status))?.into_inner();
            let name = answer.status().as_str_name().to_owned();
            let state = name.strip_prefix("FEATURE_FLAG_STATUS_").unwrap().to_lowercase();
            Ok((state, answer.reason))
        }
    }
}

fn ago(age: TimeDelta) -> String {
    (Clock::system().now() - age).to_rfc3339()
}

fn full() -> Value {
    json!({"groups": [{"rollout_percentage": 100}]})
}

/// A flag that was made some days ago, and was called some time ago or never.
async fn made(service: &Service, days: i64, called: Option<TimeDelta>, filters: Value) -> i64 {
    let key = format!("made-{}", service.totals().await.0);
    let body = json!({"key": key, "filters": filters, "created_at": ago(TimeDelta::days(days)),
        "last_called_at": called.map(ago)});
    service.create(body).await.0
}

async fn every_rule_has_its_state_and_its_sentence(service: &Service) {
    let days = TimeDelta::days;
    let month_and_second = days(30) + TimeDelta::seconds(1);
    let half = json!({"groups": [{"rollout_percentage": 50}]});
    let implied = json!({"groups": [{"rollout_percentage": null}]});
    let variants = json!({"variants": [{"key": "a", "rollout_percentage": 0},
        {"key": "b", "rollout_percentage": 100}]});
    let one_variant = json!({"groups": [{"rollout_percentage": 100}], "multivariate": variants});
    let forced =
        json!({"groups": [{"rollout_percentage": 100, "variant": "a"}], "multivariate": variants});
    let boolean = "This boolean flag will always evaluate to \"true\"";
    let unused = "Flag has no usage data yet";
    let cases = [
        (
            "never called, 31 days, for everyone",
            made(service, 31, None, full()).await,
            "stale",
            boolean,
        ),
        (
            "never called, 29 days, for everyone",
            made(service, 29, None, full()).await,
            "active",
            unused,
        ),
        ("never called, 31 days, for half", made(service, 31, None, half).await, "active", unused),
        (
            "an absent percentage is not 100",
            made(service, 31, None, implied).await,
            "active",
            unused,
        ),
        (
            "one variant takes all",
            made(service, 31, None, one_variant).await,
            "stale",
            "This flag will always use the variant \"b\"",
        ),
        (
            "an override takes all",
            made(service, 31, None, forced).await,
            "stale",
            "This flag will always use the variant \"a\"",
        ),
        (
            "called just now",
            made(service, 99, Some(days(0)), full()).await,
            "active",
            "Flag was called today",
        ),
        (
            "called yesterday",
            made(service, 99, Some(days(1)), full()).await,
            "active",
            "Flag was last called 1 day ago",
        ),
        (
            "called twelve days ago",
            made(service, 99, Some(days(12)), full()).await,
            "active",
            "Flag was last called 12 days ago",
        ),
        (
            "called a month and a second ago",
            made(service, 99, Some(month_and_second), json!({"groups": [{}]})).await,
            "stale",
            "Flag has not been called in 30 days",
        ),
    ];
    for (name, id, state, reason) in cases {
        for edge in EDGES {
            let told = status(service, edge, id).await.unwrap();
            assert_eq!((told.0.as_str(), told.1.as_str()), (state, reason), "{name}, {edge:?}");
        }
    }
    let (id, _) = (cases[0].1, ());
    service.patch(id, json!({"active": false})).await;
    for edge in EDGES {
        let told = status(service, edge, id).await.unwrap();
        let disabled = "Flag is disabled (not evaluated for staleness)";
        assert_eq!(told, ("active".to_owned(), disabled.to_owned()), "{edge:?}");
    }
    service.patch(id, json!({"archived": true})).await;
    for edge in EDGES {
        let told = status(service, edge, id).await.unwrap();
        assert_eq!(told, ("archived".to_owned(), "Flag has been archived".to_owned()), "{edge:?}");
    }
    service.patch(id, json!({"deleted": true})).await;
    for edge in EDGES {
        let told = status(service, edge, id).await.unwrap();
        assert_eq!(told, ("deleted".to_owned(), "Flag has been deleted".to_owned()), "{edge:?}");
    }
}

async fn the_representation_shows_the_state_in_upper_case(service: &Service) {
    let id = made(service, 31, None, full()).await;
    let shown = async || service.get(&format!("{FLAGS}{id}/")).await.1["status"].clone();
    assert_eq!(shown().await, "STALE");
    let request = flagstaff::wire::v1::GetFeatureFlagRequest { id, ..Default::default() };
    let flag = service.flags().get_feature_flag(request).await.unwrap().into_inner();
    assert_eq!(flag.feature_flag.unwrap().status(), FeatureFlagStatus::Stale);
    service.patch(id, json!({"active": false})).await;
    assert_eq!(shown().await, "ACTIVE");
    let deleted = flagstaff::wire::v1::UpdateFeatureFlagRequest {
        id,
        feature_flag: Some(flagstaff::wire::v1::FeatureFlagInput {
            deleted: Some(true),
            ..Default::default()
        }),
        update_mask: mask(&["deleted"]),
        ..Default::default()
    };
    service.flags().update_feature_flag(deleted).await.unwrap();
    assert_eq!(shown().await, "DELETED");
}

async fn the_rollout_is_summarized_beside_the_status(service: &Service) {
    let targeted = json!({"rollout_percentage": 33.5,
        "properties": [{"key": "plan", "type": "person", "value": "pro"}]});
    let variants = json!({"variants": [{"key": "a", "rollout_percentage": 100}]});
    let cases = [
        (json!({"groups": [{"rollout_percentage": 100}]}), (true, false, Some(100.0), false)),
        (json!({"groups": [{}]}), (false, false, Some(100.0), false)),
        (
            json!({"groups": [targeted, {"rollout_percentage": 0}]}),
            (false, true, Some(33.5), false),
        ),
        (
            json!({"groups": [{"rollout_percentage": 100}], "multivariate": variants}),
            (true, false, Some(100.0), true),
        ),
    ];
    let mut ids = Vec::new();
    for (filters, expected) in cases {
        ids.push((made(service, 1, None, filters).await, expected));
    }
    let without = service.create(json!({"key": "without-conditions"})).await.0;
    ids.push((without, (true, false, None, false)));
    for (id, (full, targeted, most, multivariate)) in ids {
        let (_, body) = service.get(&format!("{FLAGS}{id}/status/")).await;
        let rollout = &body["rollout"];
        assert_eq!(rollout["max_rollout_percentage"].as_f64(), most, "{rollout}");
        let shape = json!({"effectively_full_rollout": full, "has_targeting_conditions": targeted,
            "max_rollout_percentage": rollout["max_rollout_percentage"],
            "is_multivariate": multivariate});
        assert_eq!(rollout, &shape);
        let request = GetFeatureFlagStatusRequest { id, ..Default::default() };
        let answer = service.flags().get_feature_flag_status(request).await.unwrap().into_inner();
        let expected = FeatureFlagRollout {
            effectively_full_rollout: full,
            has_targeting_conditions: targeted,
            max_rollout_percentage: most,
            is_multivariate: multivariate,
        };
        assert_eq!(answer.rollout, Some(expected));
    }
}

async fn a_flag_that_is_not_there_has_no_status(service: &Service) {
    for edge in EDGES {
        assert_eq!(status(service, edge, 999_999).await, Err(Failure::not_found()), "{edge:?}");
    }
    let (status, body) = service.get(&format!("{FLAGS}some-key/status/")).await;
    assert_eq!(Failure::of_rest(status, &body), Failure::not_found(), "keys are no ids here");
}
