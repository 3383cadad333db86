//! Two people edit one flag (management-api 3.8).

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tonic::Code;

use crate::support::{
    FLAGS, Service,
    edges::{EDGES, Failure, Write},
    grpc::{reason, said},
};

both_databases! {
    only_a_disagreement_on_one_field_is_a_conflict,
    a_conflict_names_the_editor_and_leaves_no_trace,
    what_the_server_owns_is_not_compared,
    an_echo_does_not_undo_what_somebody_else_did,
    two_hundred_edits_at_once_are_all_kept,
}

/// A flag that a second person has renamed and tagged since the first read it: its number, and
/// what the first saw.
async fn edited(service: &Service, key: &str) -> (i64, Value) {
    let filters = json!({"groups": [{"rollout_percentage": 50}]});
    let body = json!({"key": key, "name": "before", "tags": ["a"], "filters": filters});
    let (id, seen) = service.create(body).await;
    let (status, _) = service.patch(id, json!({"name": "theirs", "tags": ["b"]})).await;
    assert_eq!(status, 200);
    (id, seen)
}

async fn only_a_disagreement_on_one_field_is_a_conflict(service: &Service) {
    // A write on version 1 of a flag that is at 2, whether it comes with what its author saw,
    // and the name that it leads to, or none for a conflict.
    let cases = [
        (
            "the last write wins without the original",
            json!({"name": "mine", "version": 1}),
            false,
            Some("mine"),
        ),
        ("both changed it, differently", json!({"name": "mine", "version": 1}), true, None),
        ("both changed it alike", json!({"name": "theirs", "version": 1}), true, Some("theirs")),
        ("only they changed it", json!({"name": "before", "version": 1}), true, Some("theirs")),
        ("only I changed it", json!({"active": false, "version": 1}), true, Some("theirs")),
        (
            "the version is the present one",
            json!({"name": "mine", "version": 2}),
            true,
            Some("mine"),
        ),
        ("minus one asks for no check", json!({"name": "mine", "version": -1}), true, Some("mine")),
        ("no version asks for none", json!({"name": "mine"}), true, Some("mine")),
        ("a list is compared whole", json!({"tags": ["c"], "version": 1}), true, None),
        (
            "one field of many is enough",
            json!({"active": false, "name": "mine", "version": 1}),
            true,
            None,
        ),
        (
            "JSON is compared by value",
            json!({"filters": {"aggregation_group_type_index": null, "groups": [
                {"aggregation_group_type_index": null, "rollout_percentage": 50.0}]}, "version": 1}),
            true,
            Some("theirs"),
        ),
    ];
    for edge in EDGES {
        for (n, (name, body, with_original, expected)) in cases.iter().enumerate() {
            let (id, seen) = edited(service, &format!("{edge:?}-{n}")).await;
            let mut body = body.clone();
            if *with_original {
                body["original_flag"] = seen;
            }
            let outcome = service.write(edge, Write::Patch(id), &body).await.unwrap();
            match expected {
                Some(expected) => {
                    let flag = outcome.unwrap_or_else(|error| panic!("{edge:?} {name}: {error:?}"));
                    assert_eq!(flag["name"], *expected, "{edge:?} {name}");
                    assert_eq!(flag["version"], 3, "{edge:?} {name}");
                }
                None => assert_eq!(outcome.unwrap_err().status, 409, "{edge:?} {name}"),
            }
        }
    }
}

async fn a_conflict_names_the_editor_and_leaves_no_trace(service: &Service) {
    let (id, seen) = edited(service, "contested").await;
    let mail = seen["created_by"]["email"].as_str().unwrap().to_owned();
    let body = json!({"name": "mine", "active": false, "version": 1, "original_flag": seen});
    let conflict = |editor: &str| Failure {
        status: 409,
        kind: "server_error".into(),
        code: "conflict".into(),
        detail: format!(
            "The feature flag was updated by {editor} since you started editing it. \
             Please refresh and try again."
        ),
        attr: None,
    };
    service.refuses(Write::Patch(id), &body, &conflict(&mail)).await;
    let mut put = body.clone();
    put["key"] = json!("contested");
    service.refuses(Write::Put(id), &put, &conflict(&mail)).await;
    let error = service.write_grpc(Write::Patch(id), &body).await.unwrap().unwrap_err();
    assert_eq!((error.code(), reason(&error)), (Code::Aborted, "conflict".into()));
    assert_eq!(said(&error, "http_status").as_deref(), Some("409"));
    assert_eq!(service.history(id).await.len(), 2, "a conflict leaves no row");
    service.execute("UPDATE feature_flag SET last_modified_by_id = NULL").await;
    service.refuses(Write::Patch(id), &body, &conflict("another user")).await;
}

async fn what_the_server_owns_is_not_compared(service: &Service) {
    let (id, mut seen) = edited(service, "owned").await;
    seen["performed_rollback"] = json!(true);
    seen["last_modified_by"] = json!({"email": "ann@example.com"});
    let body = json!({"performed_rollback": false, "last_modified_by": null, "version": 1,
        "original_flag": seen});
    let (status, flag) = service.patch(id, body).await;
    assert_eq!((status, &flag["performed_rollback"]), (200, &json!(false)), "{flag}");
}

async fn an_echo_does_not_undo_what_somebody_else_did(service: &Service) {
    for edge in EDGES {
        let (id, seen) = edited(service, &format!("{edge:?}")).await;
        let mut body = json!({"active": false, "version": 1, "original_flag": seen});
        for field in ["key", "name", "filters", "tags"] {
            body[field] = seen[field].clone();
        }
        for (write, version) in [(Write::Patch(id), 3), (Write::Put(id), 4)] {
            let flag = service.write(edge, write, &body).await.unwrap().unwrap();
            let state = (&flag["name"], &flag["tags"], &flag["active"], &flag["version"]);
            let wanted = (&json!("theirs"), &json!(["b"]), &json!(false), &json!(version));
            assert_eq!(state, wanted, "{edge:?} {write:?}");
        }
    }
    // A PUT must bring a key, and what it echoes does not take a new key back.
    let (id, seen) = service.create(json!({"key": "first"})).await;
    service.patch(id, json!({"key": "second"})).await;
    let body = json!({"key": "first", "name": "x", "version": 1, "original_flag": seen});
    let flag = service.write(EDGES[0], Write::Put(id), &body).await.unwrap().unwrap();
    assert_eq!((&flag["key"], &flag["name"]), (&json!("second"), &json!("x")));
}

async fn two_hundred_edits_at_once_are_all_kept(service: &Service) {
    const EDITS: usize = 200;
    let (id, _) = service.create(json!({"key": "busy"})).await;
    let edits = (0..EDITS).map(async |n| {
        let body = match n % 2 {
            0 => json!({"name": format!("n{n}")}),
            _ => json!({"rollback_conditions": [n]}),
        };
        // What a client may retry, it retries.
        loop {
            match service.patch(id, body.clone()).await {
                (200, flag) => break (n, flag),
                (status, error) => assert!([429, 503].contains(&status), "{status} {error}"),
            }
        }
    });
    let mut answers = futures::future::join_all(edits).await;
    answers.sort_by_key(|(_, flag)| flag["version"].as_i64());
    let versions: Vec<_> = answers.iter().map(|(_, flag)| flag["version"].as_i64()).collect();
    let consecutive: Vec<_> = (2..).take(EDITS).map(Some).collect();
    assert_eq!(versions, consecutive);
    // Each answer holds its own edit and the one before it of the other field.
    let (mut name, mut conditions) = (json!(""), Value::Null);
    for (n, flag) in &answers {
        match n % 2 {
            0 => name = json!(format!("n{n}")),
            _ => conditions = json!([n]),
        }
        assert_eq!((&flag["name"], &flag["rollback_conditions"]), (&name, &conditions));
    }
    let (_, flag) = service.get(&format!("{FLAGS}{id}/")).await;
    assert_eq!((&flag["name"], &flag["rollback_conditions"]), (&name, &conditions));
    let (_, page) = service.get(&format!("{FLAGS}{id}/activity/?limit=1000")).await;
    let rows = page["results"].as_array().unwrap();
    assert_eq!((rows.len(), &page["total_count"]), (EDITS + 1, &json!(EDITS + 1)));
    let after = |row: &Value| {
        let changes = row["detail"]["changes"].as_array().unwrap().clone();
        changes.iter().find(|c| c["field"] == "version").map(|c| c["after"].as_i64().unwrap())
    };
    let told: BTreeSet<_> = rows.iter().filter_map(after).collect();
    assert_eq!(told.len(), EDITS, "a row for each version");
}
