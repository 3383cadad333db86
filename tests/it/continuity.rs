//! People keep their result when they log in (evaluation 10).

use serde_json::{Value, json};

use crate::support::Service;

both_databases! {
    what_is_hashed_is_fixed_for_all_flags_at_the_first_login,
    what_was_fixed_is_seen_at_once_and_stays,
    who_is_not_stored_is_hashed_by_the_anonymous_id_and_not_remembered,
    the_person_with_the_distinct_id_goes_before_the_anonymous_one,
    fixed_keys_do_not_count_where_continuity_is_off,
    the_first_of_many_who_log_in_at_once_wins,
}

/// A flag for half of everyone.
async fn half(service: &Service, key: &str, continued: bool) -> i64 {
    let filters = json!({"groups": [{"rollout_percentage": 50}]});
    let body = json!({"key": key, "filters": filters, "ensure_experience_continuity": continued});
    service.create(body).await.0
}

async fn on(service: &Service, key: &str, body: &Value) -> bool {
    let answer = service.flags_for(body).await;
    assert_eq!(answer["errorsWhileComputingFlags"], false, "{answer}");
    answer["flags"][key]["enabled"].as_bool().unwrap()
}

/// An id of nobody, whose own result is `wanted`.
async fn id_with(service: &Service, key: &str, wanted: bool) -> String {
    for n in 0..200 {
        let id = format!("anon-{n}");
        if on(service, key, &json!({"distinct_id": id})).await == wanted {
            return id;
        }
    }
    panic!("two hundred ids fell on one side of a half")
}

async fn fixed(service: &Service, person: i64, flag: &str) -> Option<String> {
    let query = format!(
        "SELECT hash_key FROM hash_key_override \
         WHERE project_id = 1 AND person_id = {person} AND feature_flag_key = '{flag}'"
    );
    service.stored(&query).await
}

async fn what_is_hashed_is_fixed_for_all_flags_at_the_first_login(service: &Service) {
    service.stored_person(7, &["ann"], &json!({})).await;
    half(service, "kept", true).await;
    half(service, "kept-too", true).await;
    half(service, "plain", false).await;
    let everyone = json!({"groups": [{"rollout_percentage": 100}]});
    let body =
        json!({"key": "everyones", "filters": everyone, "ensure_experience_continuity": true});
    service.create(body).await;
    let off = half(service, "off", true).await;
    service.patch(off, json!({"active": false})).await;
    let revision = "SELECT CAST(revision AS text) FROM project WHERE id = 1";
    let before = service.stored(revision).await;
    let body = json!({"distinct_id": "ann", "$anon_distinct_id": "visitor", "flag_keys": ["kept"]});
    service.flags_for(&body).await;
    for (flag, expected) in [
        ("kept", Some("visitor")),
        ("kept-too", Some("visitor")),
        ("everyones", Some("visitor")),
        ("plain", None),
        ("off", None),
    ] {
        assert_eq!(fixed(service, 7, flag).await.as_deref(), expected, "{flag}");
    }
    assert_eq!(service.stored(revision).await, before, "the definitions did not change");
    let nobody =
        json!({"distinct_id": "ann", "$anon_distinct_id": "v", "flag_keys": ["everyones"]});
    service.stored_person(8, &["bob"], &json!({})).await;
    service
        .flags_for(
            &json!({"distinct_id": "bob", "$anon_distinct_id": "v", "flag_keys": ["everyones"]}),
        )
        .await;
    service.flags_for(&nobody).await;
    assert_eq!(fixed(service, 8, "kept").await, None, "no flag that was asked for divides people");
}

async fn what_was_fixed_is_seen_at_once_and_stays(service: &Service) {
    service.stored_person(7, &["ann"], &json!({})).await;
    half(service, "kept", true).await;
    let own = on(service, "kept", &json!({"distinct_id": "ann"})).await;
    let other = id_with(service, "kept", !own).await;
    let ways = [
        json!({"distinct_id": "ann", "$anon_distinct_id": other}),
        json!({"distinct_id": "ann", "person_properties": {"$anon_distinct_id": other}}),
        json!({"distinct_id": "ann"}),
    ];
    for body in ways {
        assert_eq!(on(service, "kept", &body).await, !own, "{body}");
    }
    let later = id_with(service, "kept", own).await;
    let body = json!({"distinct_id": "ann", "$anon_distinct_id": later});
    assert_eq!(on(service, "kept", &body).await, !own, "the first one stays");
    assert_eq!(fixed(service, 7, "kept").await, Some(other));
}

async fn who_is_not_stored_is_hashed_by_the_anonymous_id_and_not_remembered(service: &Service) {
    half(service, "kept", true).await;
    let own = on(service, "kept", &json!({"distinct_id": "stranger"})).await;
    let other = id_with(service, "kept", !own).await;
    let body = json!({"distinct_id": "stranger", "$anon_distinct_id": other});
    assert_eq!(on(service, "kept", &body).await, !own);
    let count = service.stored("SELECT CAST(count(*) AS text) FROM hash_key_override").await;
    assert_eq!(count.as_deref(), Some("0"));
    assert_eq!(on(service, "kept", &json!({"distinct_id": "stranger"})).await, own);
    let unstorable = json!({"distinct_id": "stranger", "$anon_distinct_id": "a\0b"});
    on(service, "kept", &unstorable).await;
}

async fn the_person_with_the_distinct_id_goes_before_the_anonymous_one(service: &Service) {
    half(service, "kept", true).await;
    let (yes, no) = (id_with(service, "kept", true).await, id_with(service, "kept", false).await);
    service.stored_person(7, &["ann"], &json!({})).await;
    service.stored_person(8, &["visitor"], &json!({})).await;
    let key = |person: i64, hash_key: &str| {
        format!(
            "INSERT INTO hash_key_override \
             (project_id, person_id, feature_flag_key, hash_key, created_at) VALUES \
             (1, {person}, 'kept', '{hash_key}', '2026-01-01T00:00:00+00:00')"
        )
    };
    service.execute(&key(8, &yes)).await;
    let both = json!({"distinct_id": "ann", "$anon_distinct_id": "visitor"});
    assert!(on(service, "kept", &both).await, "only the anonymous person has one");
    assert_eq!(fixed(service, 7, "kept").await, None, "no flag lacks one");
    service.stored_person(9, &["eve"], &json!({})).await;
    service.execute(&key(9, &no)).await;
    let both = json!({"distinct_id": "eve", "$anon_distinct_id": "visitor"});
    assert!(!on(service, "kept", &both).await, "both have one");
}

async fn fixed_keys_do_not_count_where_continuity_is_off(service: &Service) {
    service.stored_person(7, &["ann"], &json!({})).await;
    let id = half(service, "kept", true).await;
    let own = on(service, "kept", &json!({"distinct_id": "ann"})).await;
    let other = id_with(service, "kept", !own).await;
    let body = json!({"distinct_id": "ann", "$anon_distinct_id": other});
    assert_eq!(on(service, "kept", &body).await, !own);
    service.patch(id, json!({"ensure_experience_continuity": false})).await;
    assert_eq!(on(service, "kept", &body).await, own);
    assert_eq!(fixed(service, 7, "kept").await.as_deref(), Some(&*other), "kept, and ignored");
    service.patch(id, json!({"ensure_experience_continuity": true})).await;
    assert_eq!(on(service, "kept", &json!({"distinct_id": "ann"})).await, !own);
}

async fn the_first_of_many_who_log_in_at_once_wins(service: &Service) {
    service.stored_person(7, &["ann"], &json!({})).await;
    half(service, "kept", true).await;
    let bodies: Vec<_> = (0..12)
        .map(|n| json!({"distinct_id": "ann", "$anon_distinct_id": format!("device-{n}")}))
        .collect();
    let answers = bodies.iter().map(|body| on(service, "kept", body));
    let answers = futures::future::join_all(answers).await;
    let winner = fixed(service, 7, "kept").await.unwrap();
    let expected = on(service, "kept", &json!({"distinct_id": winner})).await;
    assert_eq!(answers, [expected; 12], "{winner}");
}
