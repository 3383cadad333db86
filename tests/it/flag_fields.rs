//! Every field of a flag, refused and accepted as management-api 3.1 and 3.3 say.

use http::Method;
use serde_json::{Value, json};

use crate::support::{
    FLAGS, Service,
    edges::{EDGES, Failure, Write},
};

both_databases! {
    a_wrong_field_is_refused_by_name_and_nothing_is_written,
    a_new_flag_needs_a_key_of_its_own,
    the_first_wrong_field_is_reported_and_fields_come_before_rules,
    what_a_field_may_hold_is_stored_and_shown,
    labels_are_normalised_and_replaced,
    write_only_fields_are_never_returned,
    switching_on_forgets_a_rollback,
    a_creation_instant_is_taken_once,
    persistence_and_device_bucketing_exclude_each_other,
    encryption_needs_a_remote_configuration,
    a_full_project_takes_no_more_flags,
    a_project_can_require_contexts,
}

const BOOLEAN: &str = "Must be a valid boolean.";
const STRING: &str = "Not a valid string.";
const NULL: &str = "This field may not be null.";
const DATETIME: &str = "Datetime has wrong format. Use one of these formats instead: \
                        YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z].";

fn not_a_list(found: &str) -> String {
    format!("Expected a list of items but got type \"{found}\".")
}

fn not_a_choice(value: &str) -> String {
    format!("\"{value}\" is not a valid choice.")
}

/// The body, with a key where a creation needs one.
fn keyed(body: &Value) -> Value {
    let mut keyed = json!({"key": "wanted"});
    keyed.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    keyed
}

async fn a_wrong_field_is_refused_by_name_and_nothing_is_written(service: &Service) {
    let (project, _) = service.new_project("Other");
    let path = format!("/api/projects/{project}/feature_flags/");
    let (_, elsewhere) = service.rest(Method::POST, &path, json!({"key": "theirs"})).await;
    let foreign = elsewhere["usage_dashboard"].as_i64().unwrap();
    let (id, _) = service.create(json!({"key": "steady", "tags": ["kept"]})).await;
    let long = "x".repeat(401);
    let no_dashboard = |id: i64| format!("Invalid pk \"{id}\" - object does not exist.");
    let at = Failure::field;
    let letters = "Only letters, numbers, hyphens (-) & underscores (_) are allowed.";
    let cases = [
        (json!({"key": null}), at("key", "null", NULL)),
        (json!({"key": ""}), at("key", "blank", "This field may not be blank.")),
        (json!({"key": " \t "}), at("key", "blank", "This field may not be blank.")),
        (
            json!({"key": long}),
            at("key", "max_length", "Ensure this field has no more than 400 characters."),
        ),
        (json!({"key": "a b"}), at("key", "invalid_key", letters)),
        (json!({"key": "caf\u{e9}"}), at("key", "invalid_key", letters)),
        (json!({"key": "a/b"}), at("key", "invalid_key", letters)),
        (json!({"key": ["x"]}), at("key", "invalid_input", STRING)),
        (json!({"key": true}), at("key", "invalid_input", STRING)),
        (json!({"name": null}), at("name", "null", NULL)),
        (json!({"name": {}}), at("name", "invalid_input", STRING)),
        (json!({"deleted": "maybe"}), at("deleted", "invalid_input", BOOLEAN)),
        (json!({"deleted": null}), at("deleted", "null", NULL)),
        (json!({"active": 2}), at("active", "invalid_input", BOOLEAN)),
        (json!({"active": null}), at("active", "null", NULL)),
        (json!({"created_at": "yesterday"}), at("created_at", "invalid_input", DATETIME)),
        (json!({"version": "x"}), at("version", "invalid_input", "A valid integer is required.")),
        (json!({"version": 1.5}), at("version", "invalid_input", "A valid integer is required.")),
        (
            json!({"ensure_experience_continuity": "maybe"}),
            at("ensure_experience_continuity", "invalid_input", BOOLEAN),
        ),
        (json!({"performed_rollback": []}), at("performed_rollback", "invalid_input", BOOLEAN)),
        (
            json!({"has_enriched_analytics": {}}),
            at("has_enriched_analytics", "invalid_input", BOOLEAN),
        ),
        (
            json!({"is_remote_configuration": 7}),
            at("is_remote_configuration", "invalid_input", BOOLEAN),
        ),
        (
            json!({"has_encrypted_payloads": "x"}),
            at("has_encrypted_payloads", "invalid_input", BOOLEAN),
        ),
        (json!({"tags": null}), at("tags", "null", NULL)),
        (json!({"tags": "a"}), at("tags", "not_a_list", &not_a_list("str"))),
        (json!({"tags": {}}), at("tags", "not_a_list", &not_a_list("dict"))),
        (json!({"tags": 1.5}), at("tags", "not_a_list", &not_a_list("float"))),
        (json!({"tags": ["a", 1]}), at("tags", "invalid_input", STRING)),
        (json!({"evaluation_contexts": null}), at("evaluation_contexts", "null", NULL)),
        (
            json!({"evaluation_contexts": "a"}),
            at("evaluation_contexts", "not_a_list", &not_a_list("str")),
        ),
        (
            json!({"evaluation_contexts": (0..51).map(|n| n.to_string()).collect::<Vec<_>>()}),
            Failure::rule("evaluation_contexts must be a list of at most 50 items."),
        ),
        (
            json!({"evaluation_contexts": ["fine", " "]}),
            Failure::rule("Invalid evaluation context name."),
        ),
        (json!({"evaluation_contexts": [1]}), Failure::rule("Invalid evaluation context name.")),
        (
            json!({"evaluation_contexts": ["x".repeat(256)]}),
            Failure::rule("Invalid evaluation context name."),
        ),
        (json!({"analytics_dashboards": null}), at("analytics_dashboards", "null", NULL)),
        (
            json!({"analytics_dashboards": 5}),
            at("analytics_dashboards", "not_a_list", &not_a_list("int")),
        ),
        (
            json!({"analytics_dashboards": [999_999]}),
            at("analytics_dashboards", "does_not_exist", &no_dashboard(999_999)),
        ),
        (
            json!({"analytics_dashboards": [foreign]}),
            at("analytics_dashboards", "does_not_exist", &no_dashboard(foreign)),
        ),
        (
            json!({"creation_context": "elsewhere"}),
            at("creation_context", "invalid_choice", &not_a_choice("elsewhere")),
        ),
        (
            json!({"evaluation_runtime": "both"}),
            at("evaluation_runtime", "invalid_choice", &not_a_choice("both")),
        ),
        (
            json!({"bucketing_identifier": "user_id"}),
            at("bucketing_identifier", "invalid_choice", &not_a_choice("user_id")),
        ),
        (json!({"last_called_at": "soon"}), at("last_called_at", "invalid_input", DATETIME)),
        (json!({"_create_in_folder": []}), at("_create_in_folder", "invalid_input", STRING)),
        (
            json!({"_should_create_usage_dashboard": "maybe"}),
            at("_should_create_usage_dashboard", "invalid_input", BOOLEAN),
        ),
    ];
    for (body, expected) in &cases {
        service.refuses(Write::Create, &keyed(body), expected).await;
        service.refuses(Write::Patch(id), body, expected).await;
    }
}

async fn a_new_flag_needs_a_key_of_its_own(service: &Service) {
    let (id, _) = service.create(json!({"key": "taken"})).await;
    let (other, _) = service.create(json!({"key": "Taken"})).await;
    let required = Failure::field("key", "required", "This field is required.");
    let unique = "There is already a feature flag with this key.";
    let unique = Failure::field("key", "unique", unique);
    service.refuses(Write::Create, &json!({"name": "x"}), &required).await;
    service.refuses(Write::Put(id), &json!({"name": "x"}), &required).await;
    for key in ["taken", "  taken "] {
        service.refuses(Write::Create, &json!({"key": key}), &unique).await;
        service.refuses(Write::Patch(other), &json!({"key": key}), &unique).await;
        service.refuses(Write::Put(other), &json!({"key": key}), &unique).await;
    }
    let longest = "k".repeat(400);
    for (write, key) in [(Write::Patch(id), "taken"), (Write::Put(id), &longest)] {
        for edge in EDGES {
            let flag = service.write(edge, write, &json!({"key": key})).await.unwrap().unwrap();
            assert_eq!(flag["key"], key, "its own key is not in its way");
        }
    }
}

async fn the_first_wrong_field_is_reported_and_fields_come_before_rules(service: &Service) {
    let (id, _) = service.create(json!({"key": "taken"})).await;
    let clash = json!({"bucketing_identifier": "device_id", "ensure_experience_continuity": true});
    let with = |body: Value| {
        let mut all = clash.clone();
        all.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        all
    };
    let groups = "groups must be a list, got int";
    let cases = [
        (json!({"tags": null, "name": null}), Failure::field("name", "null", NULL)),
        (
            json!({"active": null, "filters": {"groups": 1}}),
            Failure::field("filters", "invalid_input", groups),
        ),
        (
            with(json!({"last_called_at": "x"})),
            Failure::field("last_called_at", "invalid_input", DATETIME),
        ),
        (
            with(json!({"has_encrypted_payloads": true})),
            Failure::rule(
                "Cannot enable 'persist across authentication steps' when using device ID \
                 bucketing. These features are incompatible.",
            ),
        ),
    ];
    for (body, expected) in cases {
        service.refuses(Write::Create, &keyed(&body), &expected).await;
        service.refuses(Write::Patch(id), &body, &expected).await;
    }
}

async fn what_a_field_may_hold_is_stored_and_shown(service: &Service) {
    let (id, made) = service.create(json!({"key": "open"})).await;
    let dashboard = made["usage_dashboard"].clone();
    let deep = json!({"a": [1, 2.50, {"b": null}]});
    let cases = [
        ("name", json!(""), json!("")),
        ("name", json!("  Trimmed "), json!("Trimmed")),
        ("name", json!(7), json!("7")),
        ("active", json!("False"), json!(false)),
        ("active", json!("1"), json!(true)),
        ("ensure_experience_continuity", json!(null), json!(null)),
        ("ensure_experience_continuity", json!(true), json!(true)),
        ("rollback_conditions", deep.clone(), deep),
        ("rollback_conditions", json!(null), json!(null)),
        ("performed_rollback", json!(true), json!(true)),
        ("performed_rollback", json!(null), json!(null)),
        ("has_enriched_analytics", json!(true), json!(true)),
        ("has_enriched_analytics", json!(null), json!(null)),
        ("is_remote_configuration", json!(true), json!(true)),
        ("is_remote_configuration", json!(null), json!(null)),
        ("has_encrypted_payloads", json!(null), json!(null)),
        ("evaluation_runtime", json!("server"), json!("server")),
        ("evaluation_runtime", json!("client"), json!("client")),
        ("evaluation_runtime", json!(null), json!(null)),
        ("evaluation_runtime", json!("all"), json!("all")),
        ("bucketing_identifier", json!(null), json!(null)),
        ("bucketing_identifier", json!("distinct_id"), json!("distinct_id")),
        ("last_called_at", json!("2026-04-01T10:00:00+02:00"), json!("2026-04-01T08:00:00Z")),
        ("last_called_at", json!(null), json!(null)),
        ("analytics_dashboards", json!([dashboard, dashboard]), json!([dashboard])),
        ("analytics_dashboards", json!([]), json!([])),
        ("no_such_field", json!(1), json!(null)),
    ];
    for (field, sent, shown) in &cases {
        let (status, flag) = service.patch(id, json!({*field: sent})).await;
        assert_eq!((status, &flag[field]), (200, shown), "{field}: {sent}");
        assert_eq!(service.get(&format!("{FLAGS}{id}/")).await.1, flag, "{field}: {sent}");
    }
    for context in ["experiments", "early_access_features", "web_experiments", "product_tours"] {
        assert_eq!(service.patch(id, json!({"creation_context": context})).await.0, 200);
    }
}

async fn labels_are_normalised_and_replaced(service: &Service) {
    for (field, table) in [("tags", "tag"), ("evaluation_contexts", "evaluation_context")] {
        let longest = "x".repeat(255);
        let (id, flag) = service.create(json!({"key": table, field: [" B ", "a", "b", "A"]})).await;
        assert_eq!(flag[field], json!(["a", "b"]), "trimmed, lower-cased, once each");
        let (_, flag) = service.patch(id, json!({"name": "x"})).await;
        assert_eq!(flag[field], json!(["a", "b"]), "absent is unchanged");
        let (_, flag) = service.patch(id, json!({field: [longest, "b"]})).await;
        assert_eq!(flag[field], json!(["b", longest]), "a list replaces");
        let (_, flag) = service.patch(id, json!({field: []})).await;
        assert_eq!((&flag[field], &flag["version"]), (&json!([]), &json!(4)));
    }
    let left = service.stored("SELECT CAST(count(*) AS TEXT) FROM tag").await;
    assert_eq!(left.as_deref(), Some("0"), "what nobody carries is gone");
}

async fn write_only_fields_are_never_returned(service: &Service) {
    let body = json!({"key": "quiet", "creation_context": "surveys", "_create_in_folder": "",
        "_should_create_usage_dashboard": false, "original_flag": {"key": "quiet"}, "version": 9});
    let (id, made) = service.create(body).await;
    assert_eq!((&made["usage_dashboard"], &made["version"]), (&Value::Null, &json!(1)));
    let (_, list) = service.get(FLAGS).await;
    let (_, shown) = service.get(&format!("{FLAGS}{id}/")).await;
    for flag in [&made, &shown, &list["results"][0]] {
        for name in [
            "creation_context",
            "_create_in_folder",
            "_should_create_usage_dashboard",
            "original_flag",
        ] {
            assert!(flag.get(name).is_none(), "{name} in {flag}");
        }
    }
}

async fn switching_on_forgets_a_rollback(service: &Service) {
    let (id, _) = service.create(json!({"key": "rolled", "performed_rollback": true})).await;
    let cases = [
        (json!({"active": false}), true),
        (json!({"active": true}), false),
        (json!({"performed_rollback": true}), true),
        (json!({"active": true, "performed_rollback": true}), false),
    ];
    for (body, expected) in cases {
        let (_, flag) = service.patch(id, body.clone()).await;
        assert_eq!(flag["performed_rollback"], expected, "{body}");
    }
    let (_, flag) = service.create(json!({"key": "on", "active": true})).await;
    assert_eq!(flag["performed_rollback"], false);
}

async fn a_creation_instant_is_taken_once(service: &Service) {
    for edge in EDGES {
        let created_at = "2026-01-02T03:04:05.000006Z";
        let body = json!({"key": format!("{edge:?}"), "created_at": created_at});
        let flag = service.write(edge, Write::Create, &body).await.unwrap().unwrap();
        assert_eq!(flag["created_at"], created_at);
        let later = json!({"created_at": "2026-06-01T00:00:00Z", "name": "x"});
        let patch = Write::Patch(flag["id"].as_i64().unwrap());
        let flag = service.write(edge, patch, &later).await.unwrap().unwrap();
        assert_eq!((&flag["created_at"], &flag["name"]), (&json!(created_at), &json!("x")));
    }
}

async fn persistence_and_device_bucketing_exclude_each_other(service: &Service) {
    let clash = Failure::rule(
        "Cannot enable 'persist across authentication steps' when using device ID bucketing. \
         These features are incompatible.",
    );
    let device = json!({"bucketing_identifier": "device_id"});
    let persist = json!({"ensure_experience_continuity": true});
    let both = json!({"bucketing_identifier": "device_id", "ensure_experience_continuity": true});
    service.refuses(Write::Create, &keyed(&both), &clash).await;
    let (by_device, _) =
        service.create(json!({"key": "d", "bucketing_identifier": "device_id"})).await;
    let (persisting, _) =
        service.create(json!({"key": "p", "ensure_experience_continuity": true})).await;
    service.refuses(Write::Patch(by_device), &persist, &clash).await;
    service.refuses(Write::Patch(persisting), &device, &clash).await;
    let away = json!({"bucketing_identifier": "device_id", "ensure_experience_continuity": null});
    assert_eq!(service.patch(persisting, away).await.0, 200, "an explicit null is a value");
    service
        .execute(&format!(
            "UPDATE feature_flag SET ensure_experience_continuity = true WHERE id = {by_device}"
        ))
        .await;
    assert_eq!(service.patch(by_device, both).await.0, 200, "it had this very combination");
}

async fn encryption_needs_a_remote_configuration(service: &Service) {
    let alone = Failure::rule("Encrypted payloads require the flag to be a remote configuration.");
    let (id, _) = service.create(json!({"key": "plain"})).await;
    let body = json!({"has_encrypted_payloads": true});
    service.refuses(Write::Create, &keyed(&body), &alone).await;
    service.refuses(Write::Patch(id), &body, &alone).await;
    let (secret, _) = service
        .create(json!({"key": "secret", "is_remote_configuration": true,
            "has_encrypted_payloads": true,
            "filters": {"groups": [{}], "payloads": {"true": "1"}}}))
        .await;
    for value in [json!(false), json!(null)] {
        let body = json!({"is_remote_configuration": value});
        service.refuses(Write::Patch(secret), &body, &alone).await;
    }
}

async fn a_full_project_takes_no_more_flags(service: &Service) {
    let project = "/api/projects/1/";
    service.rest(Method::PATCH, project, json!({"feature_flag_limit": 2})).await;
    let (id, _) = service.create(json!({"key": "one"})).await;
    service.create(json!({"key": "two"})).await;
    let full = "Maximum of 2 feature flags allowed per team. \
                Please delete unused flags or contact support to increase this limit.";
    service.refuses(Write::Create, &json!({"key": "three"}), &Failure::rule(full)).await;
    assert_eq!(service.patch(id, json!({"name": "x"})).await.0, 200, "updates are not counted");
    assert_eq!(service.patch(id, json!({"deleted": true})).await.0, 200);
    service.create(json!({"key": "three"})).await;
    service.execute("UPDATE project SET flag_count = 2000, feature_flag_limit = 2000").await;
    let (status, error) = service.rest(Method::POST, FLAGS, json!({"key": "more"})).await;
    let detail = error["detail"].as_str().unwrap();
    assert!(status == 400 && detail.starts_with("Maximum of 2,000 feature flags"), "{error}");
}

async fn a_project_can_require_contexts(service: &Service) {
    let (free, _) = service.create(json!({"key": "free"})).await;
    let project = "/api/projects/1/";
    service.rest(Method::PATCH, project, json!({"require_evaluation_contexts": true})).await;
    let needed = "At least one evaluation context is required to create a new feature flag.";
    let needed = Failure::rule(needed);
    service.refuses(Write::Create, &json!({"key": "bare"}), &needed).await;
    let empty = json!({"key": "bare", "evaluation_contexts": []});
    service.refuses(Write::Create, &empty, &needed).await;
    service.create(json!({"key": "survey", "creation_context": "surveys"})).await;
    let (id, _) = service.create(json!({"key": "live", "evaluation_contexts": ["web"]})).await;
    for edge in EDGES {
        let body = json!({"evaluation_contexts": []});
        let error = service.write(edge, Write::Patch(id), &body).await.unwrap().unwrap_err();
        let told = (error.status, error.code.as_str(), error.attr);
        assert_eq!(told, (400, "invalid_input", None));
        assert!(error.detail.starts_with("Cannot remove all evaluation contexts."));
    }
    let (_, flag) = service.get(&format!("{FLAGS}{id}/")).await;
    assert_eq!((&flag["version"], &flag["evaluation_contexts"]), (&json!(1), &json!(["web"])));
    let (status, _) = service.patch(free, json!({"evaluation_contexts": []})).await;
    assert_eq!(status, 200, "there was none to remove");
}
