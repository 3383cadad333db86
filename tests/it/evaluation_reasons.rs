//! Why each flag is what it is for somebody (management-api 4.10).

use flagstaff::wire::v1::GetEvaluationReasonsRequest;
use prost_types::value::Kind;
use serde_json::{Value, json};

use crate::support::{
    FLAGS, Service,
    edges::{EDGES, Edge, Failure},
};

both_databases! {
    each_flag_has_a_value_and_a_reason,
    flags_of_every_kind_and_runtime_are_told,
    flags_that_are_off_are_disabled_and_deleted_ones_are_absent,
    flag_keys_limit_the_answer,
    parameters_are_judged_in_order,
    groups_are_an_object_as_text,
}

struct Question<'a> {
    distinct_id: &'a str,
    flag_keys: &'a [&'a str],
    groups: &'a [(&'a str, &'a str)],
}

const SOMEBODY: Question<'_> = Question { distinct_id: "somebody", flag_keys: &[], groups: &[] };

/// The answer as REST shapes it.
async fn reasons(service: &Service, edge: Edge, asked: &Question<'_>) -> Value {
    match edge {
        Edge::Rest => {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.append_pair("distinct_id", asked.distinct_id);
            query.extend_pairs(asked.flag_keys.iter().map(|key| ("flag_keys", key)));
            let groups: serde_json::Map<_, _> =
                asked.groups.iter().map(|(kind, key)| ((*kind).to_owned(), json!(key))).collect();
            if !groups.is_empty() {
                query.append_pair("groups", &json!(groups).to_string());
            }
            let path = format!("{FLAGS}evaluation_reasons/?{}", query.finish());
            let (status, body) = service.get(&path).await;
            assert_eq!(status, 200, "{body}");
            body
        }
        Edge::Grpc => {
            let own = |text: &str| text.to_owned();
            let request = GetEvaluationReasonsRequest {
                distinct_id: asked.distinct_id.into(),
                flag_keys: asked.flag_keys.iter().map(|key| own(key)).collect(),
                groups: asked.groups.iter().map(|(kind, key)| (own(kind), own(key))).collect(),
                ..Default::default()
            };
            let answer = service.flags().get_evaluation_reasons(request).await.unwrap();
            let shown = |(key, flag): (String, flagstaff::wire::v1::FlagValueReason)| {
                let why = flag.evaluation.unwrap();
                assert_eq!(why.description.is_none(), why.reason == "disabled");
                let why = json!({"reason": why.reason, "condition_index": why.condition_index});
                let value = match flag.value.unwrap().kind.unwrap() {
                    Kind::BoolValue(value) => json!(value),
                    Kind::StringValue(value) => json!(value),
                    other => panic!("{other:?}"),
                };
                (key, json!({"value": value, "evaluation": why}))
            };
            Value::Object(answer.into_inner().reasons.into_iter().map(shown).collect())
        }
    }
}

fn told(value: impl Into<Value>, reason: &str, index: Value) -> Value {
    json!({"value": value.into(), "evaluation": {"reason": reason, "condition_index": index}})
}

async fn each_flag_has_a_value_and_a_reason(service: &Service) {
    let nobody = json!({"properties": [{"key": "email", "type": "person", "operator": "exact", "value": "x"}]});
    let variants = json!({"variants": [{"key": "variant-a", "rollout_percentage": 100}]});
    let makes = [
        ("new-signup-flow", json!({"groups": [{"rollout_percentage": 100}]})),
        (
            "dark-mode",
            json!({"groups": [nobody, {"rollout_percentage": 100}], "multivariate": variants}),
        ),
        ("beta", json!({"groups": [nobody]})),
        ("rare", json!({"groups": [{"rollout_percentage": 0}]})),
    ];
    for (key, filters) in makes {
        service.create(json!({"key": key, "filters": filters})).await;
    }
    let expected = json!({
        "new-signup-flow": told(true, "condition_match", json!(0)),
        "dark-mode": told("variant-a", "condition_match", json!(1)),
        "beta": told(false, "no_condition_match", json!(0)),
        "rare": told(false, "out_of_rollout_bound", json!(0)),
    });
    for edge in EDGES {
        let got = reasons(service, edge, &SOMEBODY).await;
        for (key, expected) in expected.as_object().unwrap() {
            assert_eq!(got[key]["value"], expected["value"], "{edge:?} {key}");
            let reason = &got[key]["evaluation"]["reason"];
            assert_eq!(reason, &expected["evaluation"]["reason"], "{edge:?} {key}");
        }
        assert_eq!(got["dark-mode"], expected["dark-mode"], "{edge:?}");
        assert_eq!(got.as_object().unwrap().len(), 4, "{edge:?}");
    }
    assert_eq!(service.totals().await.1, 4, "nothing is logged");
}

async fn flags_of_every_kind_and_runtime_are_told(service: &Service) {
    for runtime in ["client", "server", "all"] {
        let id = service.create_for_everyone(runtime).await;
        service.patch(id, json!({"evaluation_runtime": runtime})).await;
    }
    let id = service.create_for_everyone("elsewhere").await;
    service.patch(id, json!({"evaluation_contexts": ["web"]})).await;
    let id = service.create_for_everyone("survey-targeting-1").await;
    service.execute(&format!("UPDATE feature_flag SET internal = true WHERE id = {id}")).await;
    let filters =
        json!({"groups": [{"rollout_percentage": 100}], "payloads": {"true": "\"hidden\""}});
    service
        .create(json!({"key": "secret", "is_remote_configuration": true,
            "has_encrypted_payloads": true, "filters": filters}))
        .await;
    for edge in EDGES {
        let got = reasons(service, edge, &SOMEBODY).await;
        for key in ["client", "server", "all", "elsewhere", "survey-targeting-1", "secret"] {
            assert_eq!(got[key], told(true, "condition_match", json!(0)), "{edge:?} {key}");
        }
        assert!(!got.to_string().contains("hidden") && !got.to_string().contains("gAAAA"));
    }
}

async fn flags_that_are_off_are_disabled_and_deleted_ones_are_absent(service: &Service) {
    let off = service.create_for_everyone("old").await;
    service.patch(off, json!({"active": false})).await;
    let gone = service.create_for_everyone("gone").await;
    service.patch(gone, json!({"deleted": true})).await;
    for edge in EDGES {
        let got = reasons(service, edge, &SOMEBODY).await;
        assert_eq!(got, json!({"old": told(false, "disabled", Value::Null)}), "{edge:?}");
    }
}

async fn flag_keys_limit_the_answer(service: &Service) {
    let base = service.create_for_everyone("base").await;
    let reads = json!({"groups": [{"properties": [{"key": base.to_string(), "type": "flag",
        "operator": "flag_evaluates_to", "value": true}], "rollout_percentage": 100}]});
    service.create(json!({"key": "reader", "filters": reads})).await;
    let off = service.create_for_everyone("off").await;
    service.patch(off, json!({"active": false})).await;
    for edge in EDGES {
        let keys = |flag_keys| Question { flag_keys, ..SOMEBODY };
        let got = reasons(service, edge, &keys(&["reader", "off", "nowhere"])).await;
        let expected = json!({"reader": told(true, "condition_match", json!(0)),
            "off": told(false, "disabled", Value::Null)});
        assert_eq!(got, expected, "{edge:?}: what a flag reads is evaluated and not told");
    }
    let as_text = Question { flag_keys: &["[\"base\"]"], ..SOMEBODY };
    let got = reasons(service, Edge::Rest, &as_text).await;
    assert_eq!(got.as_object().unwrap().keys().collect::<Vec<_>>(), ["base"]);
}

async fn parameters_are_judged_in_order(service: &Service) {
    let groups = |detail: &str| Failure::field("groups", "invalid_input", detail);
    let cases = [
        ("", Failure::field("distinct_id", "required", "This field is required.")),
        ("groups=%5B1%5D", Failure::field("distinct_id", "required", "This field is required.")),
        ("distinct_id=", Failure::field("distinct_id", "blank", "This field may not be blank.")),
        ("distinct_id=x&groups=%7B", groups("Invalid JSON in groups parameter")),
        ("distinct_id=x&groups=nonsense", groups("Invalid JSON in groups parameter")),
        ("distinct_id=x&groups=%5B1%5D", groups("groups must be a JSON object")),
        ("distinct_id=x&groups=1", groups("groups must be a JSON object")),
        (
            "distinct_id=x%00",
            Failure::field(
                "distinct_id",
                "null_characters_not_allowed",
                "Null characters are not allowed.",
            ),
        ),
    ];
    for (query, expected) in cases {
        let (status, body) = service.get(&format!("{FLAGS}evaluation_reasons/?{query}")).await;
        assert_eq!(Failure::of_rest(status, &body), expected, "{query}");
    }
    let request = GetEvaluationReasonsRequest::default();
    let status = service.flags().get_evaluation_reasons(request).await.unwrap_err();
    let blank = Failure::field("distinct_id", "blank", "This field may not be blank.");
    assert_eq!(Failure::of_grpc(&status), blank);
    for empty in ["distinct_id=x", "distinct_id=x&groups=", "distinct_id=x&groups=%7B%7D"] {
        let (status, body) = service.get(&format!("{FLAGS}evaluation_reasons/?{empty}")).await;
        assert_eq!((status, body), (200, json!({})), "{empty}: no flags, no reasons");
    }
}

async fn groups_are_an_object_as_text(service: &Service) {
    service
        .execute(
            "INSERT INTO group_type (project_id, group_type_index, name) VALUES (1, 0, 'company')",
        )
        .await;
    let replica = service.replica().await;
    let filters = json!({"groups": [{"rollout_percentage": 100, "aggregation_group_type_index": 0}],
        "aggregation_group_type_index": 0});
    let (_, made) = replica.create(json!({"key": "for-companies", "filters": filters})).await;
    assert_eq!(made["filters"]["aggregation_group_type_index"], 0, "{made}");
    for edge in EDGES {
        let got = reasons(&replica, edge, &SOMEBODY).await;
        assert_eq!(got["for-companies"]["value"], false, "{edge:?} without a group");
        let with = Question { groups: &[("company", "acme")], ..SOMEBODY };
        let got = reasons(&replica, edge, &with).await;
        assert_eq!(got["for-companies"], told(true, "condition_match", json!(0)), "{edge:?}");
    }
    replica.stop().await;
}
