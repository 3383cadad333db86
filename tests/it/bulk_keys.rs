//! Keys of many flags by their ids (management-api 4.8).

use flagstaff::wire::v1::BulkGetFeatureFlagKeysRequest;
use http::Method;
use serde_json::{Value, json};

use crate::support::{
    FLAGS, Service,
    edges::{EDGES, Edge, Failure, texts},
};

both_databases! {
    ids_are_turned_into_keys,
    what_is_no_id_is_warned_of_or_refused,
    what_is_not_there_is_left_out,
    there_may_be_very_many,
}

/// The answer as REST shapes it; `None` where a message cannot say the ids.
async fn keys(service: &Service, edge: Edge, ids: &Value) -> Option<Result<Value, Failure>> {
    match edge {
        Edge::Rest => {
            let path = format!("{FLAGS}bulk_keys/");
            let (status, body) = service.rest(Method::POST, &path, json!({"ids": ids})).await;
            Some(if status == 200 { Ok(body) } else { Err(Failure::of_rest(status, &body)) })
        }
        Edge::Grpc => {
            let request = BulkGetFeatureFlagKeysRequest { ids: texts(ids)?, ..Default::default() };
            let answer = match service.flags().bulk_get_feature_flag_keys(request).await {
                Ok(answer) => answer.into_inner(),
                Err(status) => return Some(Err(Failure::of_grpc(&status))),
            };
            let mut body = json!({"keys": answer.keys});
            if let Some(warning) = answer.warning {
                body["warning"] = json!(warning);
            }
            Some(Ok(body))
        }
    }
}

async fn each_edge(service: &Service, ids: &Value, expected: &Result<Value, Failure>) {
    for edge in EDGES {
        let Some(answer) = keys(service, edge, ids).await else { continue };
        assert_eq!(&answer, expected, "{edge:?} {ids}");
    }
}

async fn ids_are_turned_into_keys(service: &Service) {
    let (a, _) = service.create(json!({"key": "alpha"})).await;
    let (b, _) = service.create(json!({"key": "beta"})).await;
    let both = Ok(json!({"keys": {a.to_string(): "alpha", b.to_string(): "beta"}}));
    each_edge(service, &json!([a, b.to_string()]), &both).await;
    each_edge(service, &json!([a.to_string(), b.to_string(), b.to_string()]), &both).await;
    each_edge(service, &json!([]), &Ok(json!({"keys": {}}))).await;
    let (status, body) = service.rest(Method::POST, &format!("{FLAGS}bulk_keys/"), json!({})).await;
    assert_eq!((status, body), (200, json!({"keys": {}})), "no ids at all");
}

async fn what_is_no_id_is_warned_of_or_refused(service: &Service) {
    let (a, _) = service.create(json!({"key": "alpha"})).await;
    let found = json!({a.to_string(): "alpha"});
    let warned = |warning: &str| Ok(json!({"keys": found, "warning": warning}));
    let cases = [
        (json!([a, "2000000", "x"]), warned("Invalid flag IDs ignored: ['x']")),
        (json!([a.to_string(), "x", "1.5"]), warned("Invalid flag IDs ignored: ['x', '1.5']")),
        (
            json!([null, a, true, 1.5, "it's", []]),
            warned("Invalid flag IDs ignored: [None, True, 1.5, \"it's\", []]"),
        ),
        (json!(["x"]), Err(Failure::bare(400, "Invalid flag IDs provided"))),
        (json!(["x", "-1", ""]), Err(Failure::bare(400, "Invalid flag IDs provided"))),
        (json!([true, null]), Err(Failure::bare(400, "Invalid flag IDs provided"))),
        (
            json!({"1": 2}),
            Err(Failure::field(
                "ids",
                "not_a_list",
                "Expected a list of items but got type \"dict\".",
            )),
        ),
        (
            json!("1"),
            Err(Failure::field(
                "ids",
                "not_a_list",
                "Expected a list of items but got type \"str\".",
            )),
        ),
    ];
    for (ids, expected) in cases {
        each_edge(service, &ids, &expected).await;
    }
}

async fn what_is_not_there_is_left_out(service: &Service) {
    let (deleted, _) = service.create(json!({"key": "deleted"})).await;
    service.patch(deleted, json!({"deleted": true})).await;
    let (other, _) = service.new_project("Other");
    let path = format!("/api/projects/{other}/feature_flags/");
    let (_, foreign) = service.rest(Method::POST, &path, json!({"key": "foreign"})).await;
    let (here, _) = service.create(json!({"key": "here"})).await;
    let ids = [deleted, foreign["id"].as_i64().unwrap(), 999_999, here].map(|id| id.to_string());
    let ids = [&ids[..], &["99999999999999999999".into()]].concat();
    let expected = Ok(json!({"keys": {here.to_string(): "here"}}));
    each_edge(service, &json!(ids), &expected).await;
}

async fn there_may_be_very_many(service: &Service) {
    let ids = service.seed_flags(3_000).await;
    let all: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let nowhere = (1_000_000..1_070_000).map(|id: i64| id.to_string());
    let asked: Vec<String> = all.iter().cloned().chain(nowhere).collect();
    for edge in EDGES {
        let answer = keys(service, edge, &json!(asked)).await.unwrap().unwrap();
        let keys = answer["keys"].as_object().unwrap();
        assert_eq!(keys.len(), all.len(), "{edge:?}");
        assert_eq!(keys[&all[2_999]], "seed-3000");
    }
}
