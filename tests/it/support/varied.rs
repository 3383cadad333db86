//! A project of sixty flags that differ in every way that flags can differ, and random subjects
//! whom they tell apart.

use std::collections::BTreeMap;

use flagstaff::wire::v1::EvaluationSubject;
use http::Method;
use prost_types::{ListValue, Struct, Value as Wire, value::Kind};
use rand::{RngExt, rngs::StdRng};
use serde_json::{Value, json};

use super::Service;

/// Who is listed in the static cohort of [`Service::varied_project`].
pub(crate) fn listed() -> Vec<String> {
    (0..1_000).map(|n| format!("user-{}", n * 3)).collect()
}

/// Operators on a property of persons, each with a value that some have.
fn tests_of_persons() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("plan", "exact", json!("pro")),
        ("plan", "exact", json!(["pro", "team"])),
        ("plan", "is_not", json!(["free"])),
        ("plan", "is_set", json!("is_set")),
        ("plan", "is_not_set", json!("is_not_set")),
        ("email", "icontains", json!("@EXAMPLE")),
        ("email", "not_icontains", json!("@example")),
        ("email", "icontains_multi", json!(["@example", "@acme"])),
        ("email", "not_icontains_multi", json!(["@example", "@other"])),
        ("email", "regex", json!("^[a-m].*@")),
        ("email", "not_regex", json!("\\d{3}@")),
        ("age", "gt", json!("40")),
        ("age", "gte", json!("40")),
        ("age", "lt", json!("20")),
        ("age", "lte", json!("20")),
        ("age", "exact", json!(["30", "31", "32"])),
        ("since", "is_date_after", json!("2024-06-01")),
        ("since", "is_date_before", json!("2024-06-01T12:00:00Z")),
        ("since", "is_date_exact", json!("2024-06-15")),
        ("app", "semver_eq", json!("1.2.3")),
        ("app", "semver_gt", json!("1.2.3")),
        ("app", "semver_lte", json!("1.2.3")),
        ("app", "semver_tilde", json!("1.2.0")),
        ("app", "semver_caret", json!("1.2.0")),
        ("app", "semver_wildcard", json!("1.2.*")),
        ("trial", "exact", json!(["true"])),
    ]
}

fn person(key: &str, operator: &str, value: &Value) -> Value {
    json!({"key": key, "type": "person", "operator": operator, "value": value})
}

fn cohort(id: i64, operator: &str) -> Value {
    json!({"key": "id", "type": "cohort", "operator": operator, "value": id})
}

fn reads(flag: i64, value: Value) -> Value {
    json!({"key": flag.to_string(), "type": "flag", "operator": "flag_evaluates_to", "value": value})
}

fn company(key: &str, operator: &str, value: Value) -> Value {
    json!({"key": key, "type": "group", "group_type_index": 1, "operator": operator, "value": value})
}

/// Filters of one condition for this share of those it fits.
fn when(properties: &[Value], share: f64) -> Value {
    json!({"groups": [{"properties": properties, "rollout_percentage": share}]})
}

fn variants(shares: &[(&str, f64)]) -> Value {
    let variants: Vec<_> = shares
        .iter()
        .map(|(key, share)| json!({"key": key, "name": key, "rollout_percentage": share}))
        .collect();
    json!({"variants": variants})
}

impl Service {
    /// Makes the project's cohorts and flags. It has sixty flags that are evaluated, and some that
    /// are not.
    pub(crate) async fn varied_project(&self) {
        self.group_type(0, "team").await;
        self.group_type(1, "company").await;
        self.reload().await;
        for (at, (key, operator, value)) in tests_of_persons().into_iter().enumerate() {
            let share = [100.0, 62.5, 35.0][at % 3];
            let filters = when(&[person(key, operator, &value)], share);
            self.create(json!({"key": format!("by-{key}-{operator}-{at}"), "filters": filters}))
                .await;
        }
        self.cohort_flags().await;
        self.chained_flags().await;
        self.valued_flags().await;
        self.group_flags().await;
        self.odd_flags().await;
    }

    /// Lists people in a static cohort of project 1.
    pub(crate) async fn list_in(&self, cohort: i64, distinct_ids: &[String]) {
        let ids: Vec<_> = distinct_ids.iter().map(String::as_str).collect();
        self.members(Method::POST, cohort, &ids).await;
    }

    async fn cohort_flags(&self) {
        self.new_cohort(json!({"name": "Nobody goes by it", "is_static": true})).await;
        let tree =
            |kind: &str, values: &[Value]| json!({"properties": {"type": kind, "values": values}});
        let payers = tree(
            "OR",
            &[person("plan", "exact", &json!(["pro", "team"])), person("age", "gt", &json!(60))],
        );
        let payers = self.new_cohort(json!({"name": "Payers", "filters": payers})).await.0;
        let grown = tree(
            "AND",
            &[
                json!({"key": "id", "type": "cohort", "value": payers}),
                json!({"type": "OR", "values": [
                person("app", "semver_gte", &json!("1.3.0")),
                json!({"key": "age", "type": "person", "operator": "gte", "value": 18})]}),
            ],
        );
        let described = json!({"name": "Grown payers", "description": "Nested", "filters": grown});
        let grown = self.new_cohort(described).await.0;
        let others = tree(
            "AND",
            &[json!({"key": "id", "type": "cohort", "value": grown, "negation": true})],
        );
        let others = self.new_cohort(json!({"name": "Others", "filters": others})).await.0;
        let beta = self.new_cohort(json!({"name": "Beta", "is_static": true})).await.0;
        self.list_in(beta, &listed()).await;
        let flags = [
            ("payers", vec![cohort(payers, "in")]),
            ("not-payers", vec![cohort(payers, "not_in")]),
            ("grown-payers", vec![cohort(grown, "in")]),
            ("others", vec![cohort(others, "in")]),
            ("beta", vec![cohort(beta, "in")]),
            ("beta-payers", vec![cohort(beta, "in"), cohort(payers, "in")]),
            ("not-beta", vec![cohort(beta, "not_in"), person("plan", "exact", &json!("free"))]),
        ];
        for (key, properties) in flags {
            self.create(json!({"key": key, "filters": when(&properties, 90.0)})).await;
        }
    }

    async fn chained_flags(&self) {
        let chosen = json!({"groups": [{"rollout_percentage": 80}],
            "multivariate": variants(&[("a", 50.0), ("b", 50.0)])});
        let chosen = self.create(json!({"key": "z-chosen", "filters": chosen})).await.0;
        let on = when(&[reads(chosen, json!("a"))], 100.0);
        let on = self.create(json!({"key": "y-of-a", "filters": on})).await.0;
        let off = when(&[reads(on, json!(false))], 100.0);
        let off = self.create(json!({"key": "x-not-of-a", "filters": off})).await.0;
        let both = when(&[reads(off, json!(true)), reads(chosen, json!(true))], 70.0);
        self.create(json!({"key": "w-both", "filters": both})).await;
        let asleep = self.create_for_everyone("asleep").await;
        let reader = when(&[reads(asleep, json!(true))], 100.0);
        let reader = self.create(json!({"key": "a-reader-asleep", "filters": reader})).await.0;
        let second = when(&[reads(reader, json!(true))], 100.0);
        let second = self.create(json!({"key": "a-second-asleep", "filters": second})).await.0;
        for id in [second, reader, asleep] {
            assert_eq!(self.patch(id, json!({"active": false})).await.0, 200);
        }
        assert_eq!(self.patch(second, json!({"archived": true})).await.0, 200);
    }

    async fn valued_flags(&self) {
        let three = variants(&[("one", 33.3), ("two", 33.3), ("three", 33.4)]);
        let payloads =
            json!({"one": {"n": 1.50}, "two": "[1, 2]", "three": "12345678901234567890"});
        let pro = person("plan", "exact", &json!("pro"));
        let flags = [
            ("three", json!({"groups": [{}], "multivariate": three, "payloads": payloads})),
            (
                "forced",
                json!({"multivariate": three, "groups": [
                    {"properties": [pro], "variant": "two", "rollout_percentage": 100},
                    {"rollout_percentage": 40}]}),
            ),
            (
                "held",
                json!({"groups": [{"rollout_percentage": 100}], "multivariate": three,
                    "holdout": {"id": 7, "exclusion_percentage": 20}}),
            ),
            (
                "held-plain",
                json!({"groups": [{"rollout_percentage": 50}],
                    "holdout": {"id": 8, "exclusion_percentage": 50}}),
            ),
            (
                "super",
                json!({"groups": [{"rollout_percentage": 10}], "super_groups": [{"properties": [
                    {"key": "$feature_enrollment/super", "type": "person", "operator": "exact",
                        "value": ["true"]}], "rollout_percentage": 100}]}),
            ),
            (
                "enrolled",
                json!({"groups": [{"rollout_percentage": 10}], "feature_enrollment": true}),
            ),
            (
                "early",
                json!({"early_exit": true, "groups": [
                    {"properties": [pro], "rollout_percentage": 10},
                    {"rollout_percentage": 90}]}),
            ),
            ("payload", json!({"groups": [{"rollout_percentage": 30}], "payloads": {"true": "7"}})),
            ("fraction", json!({"groups": [{"rollout_percentage": 0.75}]})),
            ("nobody", json!({"groups": [{"rollout_percentage": 0}]})),
            ("everybody", json!({"groups": [{"rollout_percentage": null}]})),
        ];
        for (key, filters) in flags {
            self.create(json!({"key": key, "name": format!("The flag {key}"), "filters": filters}))
                .await;
        }
    }

    async fn group_flags(&self) {
        let by_company = |properties: Value, share: f64| {
            json!({"aggregation_group_type_index": 1, "groups": [
                {"properties": properties, "rollout_percentage": share,
                    "aggregation_group_type_index": 1}]})
        };
        let flags = [
            ("big-companies", by_company(json!([company("size", "gt", json!("100"))]), 100.0)),
            ("some-companies", by_company(json!([]), 50.0)),
            ("acme", by_company(json!([company("$group_key", "exact", json!(["acme"]))]), 100.0)),
            (
                "mixed",
                json!({"groups": [
                    {"aggregation_group_type_index": 1, "rollout_percentage": 100,
                        "properties": [company("size", "lt", json!("10"))]},
                    {"aggregation_group_type_index": null, "rollout_percentage": 20}]}),
            ),
        ];
        for (key, filters) in flags {
            self.create(json!({"key": key, "filters": filters})).await;
        }
    }

    async fn odd_flags(&self) {
        let half = || when(&[], 50.0);
        let remote = json!({"groups": [{}], "payloads": {"true": "\"kept secret\""}});
        let flags = [
            json!({"key": "lasting", "filters": half(), "ensure_experience_continuity": true}),
            json!({"key": "device", "filters": half(), "bucketing_identifier": "device_id"}),
            json!({"key": "server", "filters": half(), "evaluation_runtime": "server"}),
            json!({"key": "client", "filters": half(), "evaluation_runtime": "client"}),
            json!({"key": "placed", "filters": half(), "evaluation_contexts": ["web", "app"]}),
            json!({"key": "tagged", "filters": half(), "tags": ["one", "two"],
                "rollback_conditions": [{"threshold": 1.50}]}),
            json!({"key": "off", "filters": half(), "active": false}),
            json!({"key": "remote", "filters": remote, "is_remote_configuration": true}),
            json!({"key": "secret", "filters": remote, "is_remote_configuration": true,
                "has_encrypted_payloads": true}),
            json!({"key": "without-conditions"}),
            json!({"key": "12", "filters": half()}),
        ];
        for flag in flags {
            self.create(flag).await;
        }
        let gone = self.create_for_everyone("gone").await;
        self.patch(gone, json!({"deleted": true})).await;
    }
}

fn text(value: &str) -> Wire {
    Wire { kind: Some(Kind::StringValue(value.into())) }
}

fn number(value: i32) -> Wire {
    Wire { kind: Some(Kind::NumberValue(value.into())) }
}

fn pick<'a>(random: &mut StdRng, of: &[&'a str]) -> &'a str {
    of[random.random_range(0..of.len())]
}

/// Somebody, with some of the properties that the flags ask about.
pub(crate) fn random_subject(random: &mut StdRng, number_of: usize) -> EvaluationSubject {
    let mut fields = BTreeMap::new();
    let mut maybe = |random: &mut StdRng, key: &str, value: Wire| {
        if random.random_bool(0.85) {
            fields.insert(key.to_owned(), value);
        }
    };
    let plan = text(pick(random, &["pro", "team", "free", "Pro", ""]));
    maybe(random, "plan", plan);
    let name = pick(random, &["ann", "bob", "mia", "zoe", "n007"]);
    let host = pick(random, &["example.com", "acme.org", "other.net"]);
    maybe(random, "email", text(&format!("{name}@{host}")));
    let age = number(random.random_range(5..80));
    maybe(random, "age", age);
    let since = format!(
        "2024-06-{:02}T{:02}:30:00Z",
        random.random_range(1..30),
        random.random_range(0..24)
    );
    let since = text(if random.random_bool(0.5) { &since } else { "2023-01-01" });
    maybe(random, "since", since);
    let app = format!("1.{}.{}", random.random_range(1..4), random.random_range(0..5));
    maybe(random, "app", text(&app));
    let trial = Wire { kind: Some(Kind::BoolValue(random.random_bool(0.5))) };
    maybe(random, "trial", trial);
    let many = Wire { kind: Some(Kind::ListValue(ListValue { values: vec![text("pro")] })) };
    if random.random_bool(0.05) {
        fields.insert("plan".into(), many);
    }
    for flag in ["super", "enrolled"] {
        if random.random_bool(0.2) {
            fields.insert(format!("$feature_enrollment/{flag}"), text("true"));
        }
    }
    let mut subject = EvaluationSubject {
        distinct_id: format!("user-{number_of}"),
        person_properties: Some(Struct { fields }),
        ..Default::default()
    };
    if random.random_bool(0.7) {
        let company = pick(random, &["acme", "small", "large", "none"]);
        let size = number(random.random_range(1..300));
        subject.groups.insert("company".into(), company.into());
        let fields = BTreeMap::from([("size".to_owned(), size)]);
        subject.group_properties.insert("company".into(), Struct { fields });
    }
    subject.device_id = random.random_bool(0.6).then(|| format!("device-{}", number_of % 700));
    subject
}
