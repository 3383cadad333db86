//! The conformance vectors of the classic flag format, through the built binary and through a
//! running service; the engine's own tests ask the engine.
//!
//! The files lie beside the repository. Where they are not, each test says so and passes, unless
//! `FLAGSTAFF_REQUIRE_VECTORS=1`.

use std::{collections::HashMap, io::Write};

use http::Method;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::support::{Service, cli::Flagstaff};

both_databases! {
    a_running_service_answers_as_recorded,
    a_running_service_hashes_as_recorded,
    each_shape_says_an_outcome_as_recorded,
}

/// Definitions as in the feed, a question, and what is to be answered.
#[derive(Debug)]
struct Case {
    name: String,
    definitions: Value,
    context: Value,
    /// By key: what the record has to say, whatever else it says.
    flags: HashMap<String, Value>,
    /// Keys that must not be answered.
    omitted: Vec<String>,
}

impl Case {
    fn assert_answered(&self, answer: &Value, edge: &str) {
        let name = &self.name;
        let flags = answer["flags"].as_object().unwrap_or_else(|| panic!("{name}: {answer}"));
        assert_eq!(flags.len(), self.flags.len(), "{name}, {edge}: {answer}");
        for (key, expected) in &self.flags {
            assert_says(&flags[key], expected, &format!("{name}, {edge}: {key}"));
        }
        for key in &self.omitted {
            assert!(!flags.contains_key(key), "{name}, {edge}: {key} is left out");
        }
    }
}

/// Every member that is expected is there; more may be.
fn assert_says(actual: &Value, expected: &Value, name: &str) {
    match expected {
        Value::Object(fields) => {
            for (field, expected) in fields {
                assert_says(&actual[field], expected, &format!("{name}.{field}"));
            }
        }
        expected => assert_eq!(actual, expected, "{name}"),
    }
}

fn file(name: &str) -> Option<Value> {
    let path = format!("{}/../shared/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(serde_json::from_str(&text).unwrap()),
        Err(error) => {
            assert!(!are_required(), "{path}: {error}");
            // Past the test harness, which hides what passing tests print.
            let _ = writeln!(std::io::stderr(), "skipped: no conformance vectors at {path}");
            None
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this setting is for the tests, not the service")]
fn are_required() -> bool {
    std::env::var("FLAGSTAFF_REQUIRE_VECTORS").is_ok_and(|said| said == "1")
}

fn items<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().unwrap()
}

/// What was recorded of a flag, as the second version's record says it.
fn record(expected: &Value, stored: &Value) -> Value {
    json!({
        "key": stored["key"],
        "enabled": expected["enabled"],
        "variant": expected["variant"],
        "reason": expected["reason"],
        "metadata": {"version": stored["version"], "payload": expected["payload"]},
    })
}

/// The recorded evaluations.
fn evaluations() -> Option<Vec<Case>> {
    let vectors = file("v1_evaluation.json")?;
    let case = |case: &Value| {
        let stored = |key: &str| {
            items(&case["definitions"], "flags").iter().find(|flag| flag["key"] == key).unwrap()
        };
        let expected = case["expected"]["flags"].as_object().unwrap().iter();
        let omitted = items(&case["expected"], "omitted_flags").iter();
        Case {
            name: case["id"].as_str().unwrap().to_owned(),
            definitions: case["definitions"].clone(),
            context: case["context"].clone(),
            flags: expected.map(|(key, said)| (key.clone(), record(said, stored(key)))).collect(),
            omitted: omitted.map(|key| key.as_str().unwrap().to_owned()).collect(),
        }
    };
    let cases: Vec<Case> = items(&vectors, "cases").iter().map(case).collect();
    assert_eq!(cases.len(), 31);
    Some(cases)
}

/// The recorded hashes, each as a question whose answer turns at the hash: a share that ends just
/// before it, and one that ends just behind.
fn hashes() -> Option<Vec<Case>> {
    let vectors = file("hash_sha1_60_v1.json")?;
    let cases: Vec<Case> = items(&vectors, "vectors").iter().flat_map(turning).collect();
    assert!(cases.len() >= 20, "{}", cases.len());
    Some(cases)
}

fn turning(vector: &Value) -> Vec<Case> {
    const A_LITTLE: f64 = 1e-9;
    let text = |name: &str| vector[name].as_str();
    let percent = vector["hash01"].as_f64().unwrap() * 100.0;
    let (prefix, salt) = (text("prefix").unwrap(), text("salt").unwrap());
    let id = text("identifier_before_truncation").or(text("identifier")).unwrap();
    let key = prefix.strip_suffix('.').unwrap_or("held-out");
    let sides = [(percent - A_LITTLE, false), (percent + A_LITTLE, true)];
    let case = |(share, inside): (f64, bool)| {
        // The rule for an empty identifier: it is not hashed, and lies in every share.
        let inside = inside || id.is_empty();
        let (filters, expected) = match (prefix, salt) {
            ("holdout-", _) => (
                json!({"groups": [{}], "holdout": {"id": 7, "exclusion_percentage": share}}),
                json!({"variant": inside.then_some("holdout-7")}),
            ),
            (_, "variant") => (
                json!({"groups": [{}], "multivariate": {"variants": [
                    {"key": "a", "rollout_percentage": share},
                    {"key": "b", "rollout_percentage": 100.0 - share}]}}),
                json!({"variant": if inside { "a" } else { "b" }}),
            ),
            _ => (json!({"groups": [{"rollout_percentage": share}]}), json!({"enabled": inside})),
        };
        Case {
            name: format!("{} at {share} %", text("id").unwrap()),
            definitions: json!({"flags": [{"id": 1, "key": key, "active": true, "filters": filters}]}),
            context: json!({"distinct_id": id}),
            flags: HashMap::from([(key.to_owned(), expected)]),
            omitted: Vec::new(),
        }
    };
    sides.map(case).into()
}

fn offline(arguments: &[&str], lines: &[Value]) -> Vec<Value> {
    let input: Vec<String> = lines.iter().map(Value::to_string).collect();
    let command = Flagstaff::new(&[&["eval", "--offline"], arguments].concat());
    let outcome = command.input(input.join("\n")).run();
    outcome.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn offline_evaluation_answers_as_recorded() {
    let Some(cases) = evaluations() else { return };
    let all: Vec<Case> = cases.into_iter().chain(hashes().unwrap()).collect();
    let line = |case: &Case| json!({"definitions": case.definitions, "request": case.context});
    let lines: Vec<Value> = all.iter().map(line).collect();
    let answers = offline(&[], &lines);
    assert_eq!(answers.len(), all.len());
    for (case, answer) in all.iter().zip(&answers) {
        case.assert_answered(answer, "with definitions on the line");
        for stored in items(&case.definitions, "flags") {
            let record = &answer["flags"][stored["key"].as_str().unwrap()];
            assert!(record.is_null() || record["metadata"]["id"] == stored["id"], "{record}");
        }
    }
    for case in all.iter().take(31) {
        let mut given = NamedTempFile::new().unwrap();
        given.write_all(case.definitions.to_string().as_bytes()).unwrap();
        let arguments = ["--definitions", given.path().to_str().unwrap()];
        let answer = offline(&arguments, std::slice::from_ref(&case.context)).remove(0);
        case.assert_answered(&answer, "with definitions in a file");
    }
}

/// A project that holds the flags of a case, and its token.
///
/// What the write API takes is written through it, the rest straight into the database.
async fn project_of(service: &Service, case: &Case) -> String {
    let (project, token) = service.new_project(&case.name);
    let path = format!("/api/projects/{project}/feature_flags/");
    let mut ids: HashMap<String, i64> = HashMap::new();
    let types = case.definitions["group_type_mapping"].as_object();
    for (index, name) in types.into_iter().flatten() {
        let row = format!("({project}, {index}, '{}')", name.as_str().unwrap());
        let into = "group_type (project_id, group_type_index, name)";
        service.execute(&format!("INSERT INTO {into} VALUES {row}")).await;
    }
    for flag in items(&case.definitions, "flags") {
        let key = flag["key"].as_str().unwrap();
        let filters = with_ids(&flag["filters"], &ids);
        let body = json!({"key": key, "active": flag["active"], "filters": filters});
        let (status, _) = service.rest(Method::POST, &path, body).await;
        if status != 201 {
            service.stored_flag(project, key, &filters).await;
        }
        let version = flag["version"].as_i64().unwrap_or(1);
        let this = format!("project_id = {project} AND key = '{key}'");
        service.execute(&format!("UPDATE feature_flag SET version = {version} WHERE {this}")).await;
        let query = format!("SELECT CAST(id AS TEXT) FROM feature_flag WHERE {this}");
        let id = service.stored(&query).await.unwrap();
        ids.insert(key.to_owned(), id.parse().unwrap());
    }
    // A setting that changes makes the service read all of the project anew.
    let (status, _) = service
        .rest(Method::PATCH, &format!("/api/projects/{project}/"), json!({"name": "Whole"}))
        .await;
    assert_eq!(status, 200);
    token
}

/// Filters as they are stored, with ids in place of keys; what is not there has the id of nobody.
fn with_ids(filters: &Value, ids: &HashMap<String, i64>) -> Value {
    let mut filters = filters.clone();
    let conditions = filters["groups"].as_array_mut();
    for condition in conditions.into_iter().flatten() {
        let properties = condition["properties"].as_array_mut();
        for property in properties.into_iter().flatten().filter(|p| p["type"] == "flag") {
            let id = property["key"].as_str().and_then(|key| ids.get(key)).unwrap_or(&999_999);
            property["key"] = json!(id.to_string());
            property.as_object_mut().unwrap().remove("dependency_chain");
        }
    }
    filters
}

async fn ask(service: &Service, path: &str, token: &str, context: &Value) -> Value {
    let mut body = context.clone();
    body["token"] = json!(token);
    let answer = service.call(Method::POST, path, None, Some(&body)).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer.json()
}

async fn a_running_service_answers_as_recorded(service: &Service) {
    for case in evaluations().unwrap_or_default() {
        let token = project_of(service, &case).await;
        for path in ["/flags?v=2", "/flags?v=4"] {
            let answer = ask(service, path, &token, &case.context).await;
            case.assert_answered(&answer, path);
        }
    }
}

async fn a_running_service_hashes_as_recorded(service: &Service) {
    for case in hashes().unwrap_or_default() {
        let token = project_of(service, &case).await;
        let answer = ask(service, "/flags?v=2", &token, &case.context).await;
        case.assert_answered(&answer, "/flags");
    }
}

/// A recorded evaluation that comes to this outcome. None is recorded that fails, so one with
/// filters of no sense stands for it.
fn leading_to(outcome: &Value, evaluations: &[Case]) -> Case {
    let key = outcome["key"].as_str().unwrap();
    let found = |case: &&Case| match outcome["omitted"] == true {
        true => case.omitted.iter().any(|omitted| omitted == key),
        false => case.flags.get(key).is_some_and(|said| {
            let same = |name: &str| said[name] == outcome[name];
            same("enabled")
                && same("variant")
                && same("reason")
                && said["metadata"]["payload"] == outcome["payload"]
        }),
    };
    let (definitions, context) = match outcome["failed"] == true {
        true => (
            json!([{"id": outcome["flag_id"], "key": key, "active": true, "filters": {"groups": 1}}]),
            json!({"distinct_id": "x"}),
        ),
        false => {
            let case = evaluations.iter().find(found).unwrap_or_else(|| panic!("{outcome}"));
            (case.definitions["flags"].clone(), case.context.clone())
        }
    };
    let mut flags = definitions;
    for flag in flags.as_array_mut().unwrap().iter_mut().filter(|flag| flag["key"] == key) {
        flag["version"] = outcome["flag_version"].clone();
    }
    Case {
        name: key.to_owned(),
        definitions: json!({"flags": flags, "group_type_mapping": {"0": "organization"}}),
        context,
        flags: HashMap::new(),
        omitted: Vec::new(),
    }
}

async fn each_shape_says_an_outcome_as_recorded(service: &Service) {
    let (Some(vectors), Some(evaluations)) = (file("legacy_projection.json"), evaluations()) else {
        return;
    };
    let cases = items(&vectors, "cases");
    assert_eq!(cases.len(), 11);
    for vector in cases {
        let (outcome, projections) = (&vector["outcome"], &vector["projections"]);
        let case = leading_to(outcome, &evaluations);
        let token = project_of(service, &case).await;
        let shapes = [
            ("flags_v2", "/flags?v=2"),
            ("flags_v2", "/decide?v=4"),
            ("flags_v1", "/flags?v=1"),
            ("flags_v1", "/decide?v=3"),
            ("decide_v2", "/decide?v=2"),
            ("decide_v1", "/decide"),
        ];
        for (shape, path) in shapes {
            let answer = ask(service, path, &token, &case.context).await;
            let name = format!("{} at {path}", vector["id"]);
            assert_projected(&answer, &projections[shape], outcome, &name);
        }
        let line = json!({"definitions": case.definitions, "request": case.context});
        let answer = offline(&[], &[line]).remove(0);
        let expected = &projections["flags_v2"]["flags"][&case.name];
        let record = &answer["flags"][&case.name];
        assert_says(record, &without_timeout(expected), &format!("{} offline", vector["id"]));
    }
}

/// Compares what is said of the one flag; others may be there, which the outcome needs.
fn assert_projected(answer: &Value, expected: &Value, outcome: &Value, name: &str) {
    let key = outcome["key"].as_str().unwrap();
    if let Some(errors) = expected.get("errorsWhileComputingFlags") {
        assert_eq!(&answer["errorsWhileComputingFlags"], errors, "{name}");
    }
    for map in ["flags", "featureFlags", "featureFlagPayloads"] {
        assert_eq!(answer.get(map).is_some(), expected.get(map).is_some(), "{name}: {map}");
        match &expected[map] {
            Value::Array(keys) => {
                let said = items(answer, map).contains(&json!(key));
                assert_eq!(said, keys.contains(&json!(key)), "{name}");
            }
            Value::Object(said) => match said.get(key) {
                Some(said) => {
                    let mut said = without_timeout(said);
                    // The service gives ids of its own.
                    if let Some(metadata) = said.get_mut("metadata") {
                        metadata.as_object_mut().unwrap().remove("id");
                    }
                    assert_says(&answer[map][key], &said, name);
                }
                None => assert_eq!(answer[map].get(key), None, "{name}: {map}"),
            },
            _ => {}
        }
    }
}

/// The record without the code of a failure, of which the vectors say that it is one of many.
fn without_timeout(record: &Value) -> Value {
    let mut record = record.clone();
    if record["failed"] == true {
        record["reason"].as_object_mut().unwrap().remove("code");
    }
    record
}
