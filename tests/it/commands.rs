//! What the commands print, for people and for programs (architecture 1).

use serde_json::{Value, json};

use crate::support::{FLAGS, Service};

both_databases! {
    a_new_project_is_printed_with_its_secret_once,
    a_new_key_is_printed_alone_and_works,
    keys_are_listed_without_themselves,
    bad_keys_are_refused,
    a_flag_is_evaluated_with_its_reason,
    nothing_that_a_terminal_acts_on_is_printed,
}

fn json_line(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

async fn a_new_project_is_printed_with_its_secret_once(service: &Service) {
    let said = service.flagstaff(&["projects", "create", "--name", "Näme \"2\""]).run();
    let project = json_line(&said.last_line());
    let fields: Vec<_> = project.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["id", "name", "organization_id", "api_token", "secret_api_token"]);
    assert_eq!(project["name"], "Näme \"2\"");
    let secret = project["secret_api_token"].as_str().unwrap();
    assert!(
        secret.starts_with("phs_") && project["api_token"].as_str().unwrap().starts_with("phc_")
    );

    let listed = service.flagstaff(&["projects", "list"]).run().last_line();
    assert!(!listed.contains("phs_"), "{listed}");
    let projects = json_line(&listed);
    assert_eq!(projects.as_array().unwrap().len(), 2);
    assert_eq!(projects[1]["api_token"], project["api_token"]);
    let refused = service.flagstaff(&["projects", "create", "--name", " "]).outcome();
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""), "{refused:?}");
}

async fn a_new_key_is_printed_alone_and_works(service: &Service) {
    let arguments = [
        "keys",
        "create",
        "--project",
        "1",
        "--scopes",
        "feature_flag:read",
        "--user",
        "ann@example.com",
        "--label",
        "Ann's",
    ];
    let key = service.flagstaff(&arguments).run().last_line();
    assert!(key.starts_with("phx_") && key.len() == 44, "{key}");
    let answer = service.call(http::Method::GET, FLAGS, Some(&key), None).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let writer =
        service.new_key("--all-projects --scopes feature_flag:write --user ann@example.com");
    let body = json!({"key": "anns"});
    let flag = service.call(http::Method::POST, FLAGS, Some(&writer), Some(&body)).await.json();
    assert_eq!(flag["created_by"]["email"], "ann@example.com", "changes are signed");
}

async fn keys_are_listed_without_themselves(service: &Service) {
    let key = service.new_key("--project 1 --scopes feature_flag:read,person:write --expires 30d");
    let listed = service.flagstaff(&["keys", "list"]).run().last_line();
    for secret in [&key, &service.key, &service.secret] {
        assert!(!listed.contains(secret.as_str()), "{listed}");
    }
    let keys = json_line(&listed);
    let last = keys.as_array().unwrap().last().unwrap();
    assert_eq!(last["scopes"], json!(["feature_flag:read", "person:write"]));
    assert_eq!((&last["projects"], &last["revoked_at"]), (&json!([1]), &Value::Null));
    assert!(last["expires_at"].is_string() && last["hint"].as_str().unwrap().ends_with(&key[40..]));
    service.flagstaff(&["keys", "revoke", &last["id"].to_string()]).run();
    let keys = json_line(&service.flagstaff(&["keys", "list"]).run().last_line());
    assert!(keys.as_array().unwrap().last().unwrap()["revoked_at"].is_string(), "{keys}");
}

async fn bad_keys_are_refused(service: &Service) {
    let before = service.flagstaff(&["keys", "list"]).run().last_line();
    let cases = [
        ("create --project 1 --scopes flags:read", "scopes"),
        ("create --project 999999 --scopes *", "project"),
        ("create --project 1 --scopes * --expires never", "--expires"),
        ("create --project 1 --scopes * --user nobody", "user"),
        ("create --project 1 --all-projects --scopes *", "--all-projects"),
        ("revoke 999999", "999999"),
        ("revoke x", "x"),
    ];
    for (words, named) in cases {
        let words: Vec<_> = words.split_whitespace().collect();
        let outcome = service.flagstaff(&[&["keys"], &words[..]].concat()).outcome();
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{words:?} {outcome:?}");
        assert_eq!(outcome.stderr.trim_end().lines().count(), 1, "{outcome:?}");
        assert!(outcome.stderr.contains(named), "{named}: {outcome:?}");
    }
    let after = service.flagstaff(&["keys", "list"]).run().last_line();
    let ids = |listed: &str| json_line(listed).as_array().unwrap().len();
    assert_eq!(ids(&after), ids(&before));
}

async fn a_flag_is_evaluated_with_its_reason(service: &Service) {
    let condition = json!({"key": "plan", "operator": "exact", "value": "pro", "type": "person"});
    let filters = json!({"groups": [{"properties": [condition], "rollout_percentage": 100}],
        "payloads": {"true": "[1]"}});
    service.create(json!({"key": "pro-only", "filters": filters})).await;
    let eval = |property: &str| {
        let arguments = [
            "eval",
            "--project",
            "1",
            "--flag",
            "pro-only",
            "--distinct-id",
            "d",
            "--property",
            property,
        ];
        json_line(&service.flagstaff(&arguments).run().last_line())
    };
    let on = eval("plan=\"pro\"");
    assert_eq!((&on["enabled"], &on["payload"]), (&json!(true), &json!("[1]")));
    assert_eq!(on["reason"]["code"], "condition_match");
    assert_eq!(on["reason"]["condition_index"], 0);
    let off = eval("plan=\"free\"");
    assert_eq!((&off["enabled"], &off["payload"]), (&json!(false), &Value::Null));
    assert_eq!(off["reason"]["code"], "no_condition_match");
    for (project, flag, named) in [("999999", "pro-only", "999999"), ("1", "unknown", "unknown")] {
        let arguments = ["eval", "--project", project, "--flag", flag, "--distinct-id", "d"];
        let outcome = service.flagstaff(&arguments).outcome();
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        assert!(outcome.stderr.contains(named), "{outcome:?}");
    }
}

async fn nothing_that_a_terminal_acts_on_is_printed(service: &Service) {
    let name = "\u{1b}]0;owned\u{7}\u{9b}2J\u{7f}\u{202e}";
    let evil = json!({"name": name});
    assert_eq!(service.rest(http::Method::PATCH, "/api/projects/1/", evil).await.0, 200);
    let payload = json!({"groups": [{"rollout_percentage": 100}],
        "payloads": {"true": json!(name).to_string()}});
    service.create(json!({"key": "owned", "filters": payload})).await;
    let commands: [&[&str]; 6] = [
        &["projects", "list"],
        &["projects", "create", "--name", name],
        &["keys", "create", "--project", "1", "--scopes", "*", "--label", name],
        &["keys", "list"],
        &["eval", "--project", "1", "--flag", "owned", "--distinct-id", name],
        &["eval", "--project", "1", "--flag", name, "--distinct-id", "x"],
    ];
    let is_active = |c: &char| (c.is_control() && *c != '\n') || *c == '\u{202e}';
    for command in commands {
        let said = service.flagstaff(command).outcome();
        let text = said.stdout.clone() + &said.stderr;
        assert_eq!(text.chars().find(is_active), None, "{command:?}: {said:?}");
    }
    let listed = json_line(&service.flagstaff(&["projects", "list"]).run().last_line());
    assert_eq!(listed[0]["name"], name, "programs read the name as it is");
}
