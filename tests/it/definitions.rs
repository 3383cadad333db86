//! The feed of definitions: what it holds, who may have it, and how little it costs to find
//! that nothing changed (evaluation 15.1, management-api 5).

use std::time::Duration;

use flagstaff::wire::v1::{GetFlagDefinitionsRequest, GetLocalEvaluationRequest};
use http::Method;
use serde_json::{Value, json};

use crate::support::{
    FLAGS, Service, eventually,
    rest::{Answer, send},
};

const PATH: &str = "/flags/definitions";
const OLD: &str = "/api/feature_flag/local_evaluation";
const MANAGED: &str = "/api/projects/@current/feature_flags/local_evaluation";
const PATIENCE: Duration = Duration::from_secs(5);

both_databases! {
    flags_are_told_as_an_evaluator_needs_them,
    both_edges_and_all_paths_tell_the_same,
    cohorts_come_along_or_are_written_out,
    the_tag_follows_what_is_told,
    whoever_holds_the_newest_gets_nothing_again,
    credentials_open_their_own_projects_alone,
}

async fn feed(service: &Service, path: &str) -> Answer {
    let answer = service.call(Method::GET, path, Some(&service.secret), None).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer
}

fn tag(answer: &Answer) -> String {
    answer.headers["etag"].to_str().unwrap().to_owned()
}

async fn flags_are_told_as_an_evaluator_needs_them(service: &Service) {
    let base = service.create_for_everyone("m-base").await;
    let reads = json!({"groups": [{"properties": [{"key": base.to_string(), "type": "flag",
        "operator": "flag_evaluates_to", "value": true}]}]});
    let reader = json!({"key": "a-reader", "name": "Reads", "filters": reads, "active": false,
        "evaluation_contexts": ["web"], "tags": ["t"]});
    let (reader, _) = service.create(reader).await;
    let gone = service.create_for_everyone("gone").await;
    service.patch(gone, json!({"deleted": true})).await;
    let secret = json!({"groups": [{}], "payloads": {"true": "\"secret\""}});
    service
        .create(json!({"key": "encrypted", "filters": secret, "is_remote_configuration": true,
            "has_encrypted_payloads": true}))
        .await;
    let internal = service.create_for_everyone("internal").await;
    service
        .execute(&format!("UPDATE feature_flag SET internal = true WHERE id = {internal}"))
        .await;
    service.link(base, "experiment", 5, "running").await;

    let answer = feed(service, PATH).await;
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.headers["cache-control"], "private, must-revalidate");
    let told = answer.json();
    let stored = service.get(&format!("{FLAGS}{reader}/")).await.1;
    let mut filters = stored["filters"].clone();
    filters["groups"][0]["properties"][0]["key"] = json!("m-base");
    filters["groups"][0]["properties"][0]["dependency_chain"] = json!(["m-base"]);
    let expected = json!({
        "id": reader, "team_id": 1, "name": "Reads", "key": "a-reader", "filters": filters,
        "deleted": false, "active": false, "ensure_experience_continuity": false,
        "has_encrypted_payloads": false, "version": 1, "evaluation_runtime": "all",
        "evaluation_contexts": ["web"], "bucketing_identifier": "distinct_id",
        "has_experiment": false
    });
    assert_eq!(told["flags"][0], expected);
    assert_eq!(told["flags"][1]["has_experiment"], true);
    let keys: Vec<_> = told["flags"].as_array().unwrap().iter().map(|f| &f["key"]).collect();
    assert_eq!(keys, ["a-reader", "m-base"]);
    let rest = ["group_type_mapping", "cohorts", "minimal_flag_called_events"];
    assert_eq!(rest.map(|name| &told[name]), [&json!({}), &json!({}), &json!(false)]);
    assert_eq!(told["property_matching_version"], 1);
}

async fn both_edges_and_all_paths_tell_the_same(service: &Service) {
    service.create_for_everyone("one").await;
    service
        .execute(
            "INSERT INTO group_type (project_id, group_type_index, name) VALUES (1, 0, 'company')",
        )
        .await;
    let expected = feed(service, PATH).await;
    assert_eq!(expected.json()["group_type_mapping"], json!({"0": "company"}));
    let slashed = ["/flags/definitions/", "/flags/definitions?send_cohorts"];
    let older = [OLD, "/api/feature_flag/local_evaluation/?send_cohorts", MANAGED];
    for path in slashed.into_iter().chain(older) {
        let answer = feed(service, path).await;
        assert_eq!((tag(&answer), &answer.text), (tag(&expected), &expected.text), "{path}");
    }
    let mut client = service.evaluation_as(Some(&service.secret));
    let request = GetFlagDefinitionsRequest::default();
    let given = client.get_flag_definitions(request).await.unwrap().into_inner();
    assert_eq!((&given.etag, &given.definitions_json), (&tag(&expected), &expected.text));
    let definitions = given.definitions.unwrap();
    assert_eq!(definitions.group_type_mapping["0"], "company");
    let flag = &definitions.flags[0];
    assert_eq!((flag.key.as_str(), flag.active, flag.version), ("one", true, Some(1)));
    assert_eq!(flag.filters_json, expected.json()["flags"][0]["filters"].to_string());
    assert!(given.revision > 0);

    let if_none_match = Some(given.etag.clone());
    let request = GetFlagDefinitionsRequest { if_none_match, ..Default::default() };
    let again = client.get_flag_definitions(request).await.unwrap().into_inner();
    assert_eq!((again.not_modified, again.etag.as_str()), (true, given.etag.as_str()));
    assert_eq!((again.definitions, again.definitions_json.as_str()), (None, ""));
    assert_eq!(again.revision, given.revision);

    let request = GetLocalEvaluationRequest { project_id: "1".into(), ..Default::default() };
    let managed = service.flags().get_local_evaluation(request).await.unwrap().into_inner();
    assert_eq!(managed.definitions_json, expected.text);
}

async fn cohorts_come_along_or_are_written_out(service: &Service) {
    let tree = json!({"type": "OR", "values": [
        {"type": "AND", "values": [{"key": "plan", "type": "person", "value": "pro", "operator": "exact"}]},
        {"type": "AND", "values": [{"key": "beta", "type": "person", "operator": "is_set"}]}]});
    let nested = json!({"type": "OR", "values": [{"type": "cohort", "key": "id", "value": 901}]});
    for (id, is_static, filters) in [
        (901, false, json!({"properties": tree})),
        (902, false, json!({"properties": nested})),
        (903, true, json!({})),
        (904, false, json!({"properties": tree})),
    ] {
        service.cohort(1, id, is_static, &filters.to_string()).await;
    }
    let member = |id: i64| {
        json!({"groups": [{"rollout_percentage": 40, "properties": [
            {"key": "id", "type": "cohort", "value": id, "operator": "in"}]}]})
    };
    for (key, id) in [("simple", 901), ("nested", 902), ("static", 903)] {
        service.create(json!({"key": key, "filters": member(id)})).await;
    }
    let whole = feed(service, PATH).await.json();
    assert_eq!(whole["cohorts"], json!({"901": tree, "902": nested}));
    assert_eq!(feed(service, &format!("{OLD}?send_cohorts=1")).await.json(), whole);

    for path in [OLD.to_owned(), format!("{MANAGED}?send_cohorts=false")] {
        let expanded = feed(service, &path).await.json();
        assert_eq!(expanded["cohorts"], json!({}), "{path}");
        let groups = |at: usize| &expanded["flags"][at]["filters"]["groups"];
        let whole_groups = |at: usize| &whole["flags"][at]["filters"]["groups"];
        assert_eq!(expanded["flags"][1]["key"], "simple");
        let written = groups(1).as_array().unwrap();
        assert_eq!(written.len(), 2, "{path}: {written:?}");
        for (at, group) in written.iter().enumerate() {
            assert_eq!(group["properties"], tree["values"][at]["values"], "{path}");
            assert_eq!(group["rollout_percentage"], 40, "{path}");
        }
        assert_eq!((groups(0), groups(2)), (whole_groups(0), whole_groups(2)), "{path}");
    }
}

async fn the_tag_follows_what_is_told(service: &Service) {
    let id = service.create_for_everyone("one").await;
    let now = async || tag(&feed(service, PATH).await);
    let first = now().await;
    assert!(first.starts_with("W/\"") && first.ends_with('"'), "{first}");
    assert_eq!(now().await, first);

    service.patch(id, json!({"active": false})).await;
    let off = now().await;
    assert_ne!(off, first, "a writer sees its own write at once");
    let setting = json!({"property_matching_version": 2});
    assert_eq!(service.rest(Method::PATCH, "/api/projects/1/", setting).await.0, 200);
    let strict = now().await;
    assert_ne!(strict, off);
    assert_eq!(feed(service, PATH).await.json()["property_matching_version"], 2);
    let name = json!({"name": "Another name"});
    assert_eq!(service.rest(Method::PATCH, "/api/projects/1/", name).await.0, 200);
    assert_eq!(now().await, strict, "nobody who evaluates is told the project's name");
}

async fn whoever_holds_the_newest_gets_nothing_again(service: &Service) {
    let id = service.create_for_everyone("one").await;
    let ask = async |path: &str, held: &str| {
        let request = service.request(Method::GET, path).bearer_auth(&service.secret);
        send(request.header("if-none-match", held)).await
    };
    for path in [PATH, OLD, MANAGED] {
        let etag = tag(&feed(service, path).await);
        let strong = etag.trim_start_matches("W/");
        let bare = strong.trim_matches('"');
        for held in [&etag, strong, bare, "*", &format!("\"other\", {etag}")] {
            let answer = ask(path, held).await;
            assert_eq!((answer.status, answer.text.as_str()), (304, ""), "{path} {held}");
            assert_eq!(tag(&answer), etag, "{path} {held}");
            assert_eq!(answer.headers["cache-control"], "private, must-revalidate");
        }
        assert_eq!(ask(path, "\"other\"").await.status, 200, "{path}");
        service.patch(id, json!({"name": path})).await;
        assert_eq!(ask(path, &etag).await.status, 200, "{path}");
    }
}

/// What it shows, the credential, the token, and the status and code of the answer.
type Asked<'a> = (&'static str, Option<&'a str>, Option<&'a str>, u16, &'static str);

async fn credentials_open_their_own_projects_alone(service: &Service) {
    service.create_for_everyone("one").await;
    let (other, other_token) = service.new_project("Other");
    let reader = service.new_key("--project 1 --scopes feature_flag:read");
    let writer = service.new_key("--project 1 --scopes feature_flag:write");
    let person = service.new_key("--project 1 --scopes person:read");
    let own = service.token.as_str();
    let nobody = "phc_nobody_has_this";
    let cases: [Asked<'_>; 14] = [
        ("nothing", None, Some(own), 401, "not_authenticated"),
        ("nonsense", Some("nonsense"), Some(own), 401, "authentication_failed"),
        ("the public token", Some(own), Some(own), 403, "permission_denied"),
        ("a secret", Some(&service.secret), Some(own), 200, ""),
        ("a secret alone", Some(&service.secret), None, 200, ""),
        ("a secret elsewhere", Some(&service.secret), Some(&other_token), 403, "permission_denied"),
        ("a secret nowhere", Some(&service.secret), Some(nobody), 401, "authentication_failed"),
        ("a reader", Some(&reader), Some(own), 200, ""),
        ("a writer", Some(&writer), Some(own), 200, ""),
        ("a reader alone", Some(&reader), None, 400, "required"),
        ("a reader elsewhere", Some(&reader), Some(&other_token), 403, "permission_denied"),
        ("a key to all", Some(&service.key), Some(&other_token), 200, ""),
        ("a key for something else", Some(&person), Some(own), 403, "permission_denied"),
        ("that key alone", Some(&person), None, 403, "permission_denied"),
    ];
    for (name, key, token, status, code) in cases {
        for path in [PATH, OLD] {
            let query = token.map(|token| format!("?token={token}")).unwrap_or_default();
            let answer = service.call(Method::GET, &format!("{path}{query}"), key, None).await;
            let (got, said, detail) = answer.error();
            assert_eq!((got, said.as_str()), (status, code), "{name} at {path}: {}", answer.text);
            assert!(status != 400 || detail.contains("token"), "{detail}");
        }
    }
    let path = format!("/api/projects/{other}/feature_flags/local_evaluation");
    for (key, status) in [(&service.secret, 403), (&reader, 403), (&service.key, 200)] {
        assert_eq!(service.call(Method::GET, &path, Some(key), None).await.status, status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_verbs_have_their_documented_answers() {
    let service = Service::on_sqlite().await;
    for path in [PATH, OLD, "/flags/definitions/"] {
        let of = async |method: Method| service.call(method, path, None, None).await;
        // As GET, which wants a credential.
        assert_eq!(of(Method::HEAD).await.status, 401, "{path}");
        let options = of(Method::OPTIONS).await;
        let allowed = options.headers["allow"].to_str().unwrap();
        // Under /api it is 200 everywhere.
        let status = if path == OLD { 200 } else { 204 };
        assert_eq!((options.status, allowed), (status, "GET, OPTIONS, HEAD"), "{path}");
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            assert_eq!(of(method).await.status, 405, "{path}");
        }
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_replica_gives_the_same_feed() {
    let Some(first) = Service::on_postgres().await else { return };
    let second = first.replica().await;
    for number in 0..20 {
        first.create_for_everyone(&format!("flag-{number}")).await;
    }
    let wanted = feed(&first, PATH).await;
    let look = async || {
        let answer = feed(&second, PATH).await;
        (answer.text == wanted.text).then(|| tag(&answer))
    };
    let etag = eventually("the other has all flags", PATIENCE, look).await;
    assert_eq!(etag, tag(&wanted));
    second.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flag_that_is_damaged_is_left_out_alone() {
    let service = Service::on_sqlite().await;
    service.create_for_everyone("whole").await;
    let broken = service.create_for_everyone("broken").await;
    service.execute(&format!("UPDATE feature_flag SET filters = '{{' WHERE id = {broken}")).await;
    let told = feed(&service, PATH).await.json();
    let keys: Vec<&Value> = told["flags"].as_array().unwrap().iter().map(|f| &f["key"]).collect();
    assert_eq!(keys, ["whole"]);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_was_given_is_given_on_while_the_database_is_gone() {
    let Some(service) = Service::on_postgres().await else { return };
    service.create_for_everyone("one").await;
    let before = feed(&service, PATH).await;
    service.lose_database().await;
    let ask = async |path: &str, held: &str| {
        let request = service.request(Method::GET, path).bearer_auth(&service.secret);
        send(request.header("if-none-match", held)).await
    };
    let given = ask(PATH, "\"other\"").await;
    assert_eq!((given.status, given.text.as_str()), (200, before.text.as_str()));
    assert_eq!(ask(PATH, &tag(&before)).await.status, 304);
    let never_written = ask(OLD, "\"other\"").await;
    assert_eq!(never_written.status, 503, "{}", never_written.text);
    assert!(never_written.headers.contains_key("retry-after"));
    assert_eq!(service.evaluated(&service.token, "one").await["enabled"], true);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_stands_still_is_not_waited_for() {
    let Some((service, postgres)) = Service::on_own_postgres().await else { return };
    service.create_for_everyone("one").await;
    let status = async |path: &str| {
        // Far less than the database takes to give up a statement.
        let asked = service.call(Method::GET, path, Some(&service.secret), None);
        let answer = tokio::time::timeout(Duration::from_secs(15), asked).await;
        answer.expect("it is answered").status
    };
    // What the credential opens is known by this.
    assert_eq!(service.evaluated(&service.token, "one").await["enabled"], true);
    assert_eq!(service.call(Method::GET, FLAGS, Some(&service.secret), None).await.status, 403);
    let frozen = postgres.freeze();
    let both = futures::future::join_all([status(PATH), status(OLD), status(PATH)]).await;
    assert_eq!(both, [503; 3], "none waits for another");
    assert_eq!(status(PATH).await, 503, "known to be gone by now");
    drop(frozen);
    let back = async || (status(PATH).await == 200).then_some(());
    eventually("definitions are given again", Duration::from_secs(15), back).await;
    service.stop().await;
}
