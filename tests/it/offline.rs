//! `flagstaff eval --offline`: JSON lines in, an answer a line out (architecture 1).

use std::io::Write;

use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::support::cli::{Flagstaff, Outcome};

const NOW: &str = "2026-01-31T12:00:00Z";

pub(crate) fn feed() -> Value {
    json!({
        "flags": [
            {"id": 1, "key": "base", "version": 2, "active": true, "filters": {"groups": [
                {"properties": [{"key": "plan", "type": "person", "value": "pro"}]}]}},
            {"id": 2, "key": "reader", "active": true, "filters": {"groups": [{"properties": [
                {"key": "base", "type": "flag", "operator": "flag_evaluates_to", "value": true,
                 "dependency_chain": ["base"]}]}]}},
            {"id": 3, "key": "recent", "active": true, "filters": {"groups": [{"properties": [
                {"key": "seen", "type": "person", "operator": "is_date_after", "value": "-7d"}]}]}},
            {"id": 4, "key": "in-cohort", "active": true, "filters": {"groups": [{"properties": [
                {"key": "id", "type": "cohort", "value": 9}]}]}},
            {"id": 5, "key": "off", "active": false, "filters": {"groups": [{}]}},
            {"id": 6, "key": "odd", "active": true, "filters": {"groups": "?"}}
        ],
        "cohorts": {"9": {"type": "AND", "values": [{"key": "beta", "type": "person", "operator": "is_set"}]}},
        "group_type_mapping": {},
        "property_matching_version": 1
    })
}

fn request() -> Value {
    json!({"distinct_id": "ann", "person_properties": {"plan": "pro", "beta": 1, "seen": "2026-01-30"}})
}

pub(crate) fn offline(arguments: &[&str], input: impl Into<String>) -> Outcome {
    Flagstaff::new(&[&["eval", "--offline"], arguments].concat()).input(input).outcome()
}

fn lines(outcome: &Outcome) -> Vec<Value> {
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    outcome.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[test]
fn both_forms_give_the_answer_of_the_second_version() {
    let given = file(&feed().to_string());
    let path = given.path().to_str().unwrap();
    let brought = json!({"definitions": feed(), "request": request()}).to_string();
    let answers = [
        lines(&offline(&["--now", NOW], brought)),
        lines(&offline(&["--definitions", path, "--now", NOW], request().to_string() + "\n")),
    ];
    for answer in answers {
        let [answer] = &answer[..] else { panic!("one line: {answer:?}") };
        let names: Vec<_> = answer.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, ["errorsWhileComputingFlags", "flags", "requestId", "evaluatedAt"]);
        assert_eq!(answer["evaluatedAt"], 1_769_860_800_000_i64);
        assert_eq!(answer["errorsWhileComputingFlags"], true, "one flag cannot be understood");
        let enabled = |key: &str| answer["flags"][key]["enabled"] == true;
        assert!(["base", "reader", "recent", "in-cohort"].into_iter().all(enabled), "{answer}");
        assert_eq!(answer["flags"]["odd"]["failed"], true);
        assert_eq!(answer["flags"]["off"], Value::Null, "an inactive flag is not answered");
        assert_eq!(answer["flags"]["base"]["metadata"]["version"], 2);
    }
}

#[test]
fn each_line_is_answered_whatever_the_others_are() {
    let good = json!({"definitions": feed(), "request": request()}).to_string();
    let cases = [
        (good.clone(), None),
        ("nonsense".to_owned(), Some("expected")),
        (String::new(), Some("EOF")),
        (json!({"request": request()}).to_string(), Some("definitions")),
        (json!({"definitions": {}, "request": request()}).to_string(), Some("flags")),
        (json!({"definitions": feed(), "request": {}}).to_string(), Some("distinct_id")),
        (json!({"definitions": feed(), "request": []}).to_string(), Some("object")),
        (good, None),
    ];
    let input: Vec<&str> = cases.iter().map(|(line, _)| line.as_str()).collect();
    let answers = lines(&offline(&[], input.join("\n")));
    assert_eq!(answers.len(), cases.len(), "{answers:?}");
    for ((line, problem), answer) in cases.iter().zip(answers) {
        match problem {
            None => assert_eq!(answer["flags"]["base"]["enabled"], true, "{line}"),
            Some(problem) => {
                assert_eq!(answer.as_object().unwrap().len(), 1, "{answer}");
                assert!(answer["error"].as_str().unwrap().contains(problem), "{line}: {answer}");
            }
        }
    }
}

#[test]
fn a_request_is_read_as_the_service_reads_it() {
    let given = file(&feed().to_string());
    let path = given.path().to_str().unwrap();
    let cases = [
        ("{distinct_id: 'ann', person_properties: {plan: 'pro', age: NaN}}", "base"),
        (r#"{"$distinct_id": 7, "$properties": {"plan": "pro"}, "flag_keys": ["base"]}"#, "base"),
        (r#"{"distinct_id": "ann", "$properties": {"plan": "pro"}, "api_key": "phc_x"}"#, "reader"),
    ];
    let input: Vec<&str> = cases.iter().map(|(line, _)| *line).collect();
    let answers = lines(&offline(&["--definitions", path], input.join("\n")));
    for ((line, key), answer) in cases.iter().zip(&answers) {
        assert_eq!(answer["flags"][key]["enabled"], true, "{line}: {answer}");
    }
    assert_eq!(answers[1]["flags"].as_object().unwrap().len(), 1);
    let nobody =
        lines(&offline(&["--definitions", path], r#"{"distinct_id": "x", "disable_flags": true}"#));
    assert_eq!(nobody[0]["flags"], json!({}));
}

#[test]
fn only_the_body_tells_the_kind_of_program() {
    let flag = |key: &str, runtime: &str| json!({"id": 1, "key": key, "filters": {"groups": [{}]}, "evaluation_runtime": runtime});
    let feed =
        json!({"flags": [flag("any", "all"), flag("server", "server"), flag("client", "client")]});
    for (runtime, expected) in [(None, vec!["any"]), (Some("server"), vec!["any", "server"])] {
        let request = json!({"distinct_id": "x", "evaluation_runtime": runtime});
        let line = json!({"definitions": feed, "request": request}).to_string();
        let answer = lines(&offline(&[], line)).remove(0);
        let keys: Vec<_> = answer["flags"].as_object().unwrap().keys().collect();
        assert_eq!(keys, expected, "{runtime:?}");
    }
}

#[test]
fn settings_that_make_no_sense_are_refused_in_one_sentence() {
    let (no_feed, no_json) = (file("{}"), file("{"));
    let path = |file: &NamedTempFile| file.path().to_str().unwrap().to_owned();
    let (no_feed_path, no_json_path) = (path(&no_feed), path(&no_json));
    let cases: [(&[&str], &str); 6] = [
        (&["--offline", "--definitions", "/nowhere/at/all"], "/nowhere/at/all"),
        (&["--offline", "--definitions", &no_feed_path], "flags"),
        (&["--offline", "--definitions", &no_json_path], "--definitions"),
        (&["--offline", "--now", "tomorrow"], "--now"),
        (&["--offline", "--flag", "x"], "--flag"),
        (&["--now", NOW, "--project", "1", "--flag", "x", "--distinct-id", "y"], "--offline"),
    ];
    for (arguments, named) in cases {
        let outcome = Flagstaff::new(&[&["eval"], arguments].concat()).input("").outcome();
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{outcome:?}");
        assert!(outcome.stderr.contains(named), "{outcome:?}");
        assert_eq!(outcome.stderr.trim().lines().count(), 1, "{outcome:?}");
    }
}
