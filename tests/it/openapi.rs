//! `/openapi.json` tells what the service serves.

use std::collections::BTreeSet;

use flagstaff::rest::bindings;
use http::Method;
use serde_json::{Value, json};

use crate::support::{FLAGS, Service, directory::COHORTS};

async fn document(service: &Service) -> Value {
    let answer = service.call(Method::GET, "/openapi.json", None, None).await;
    assert_eq!(
        (answer.status, &answer.headers["content-type"]),
        (200, &"application/json".parse().unwrap())
    );
    answer.json()
}

/// Every operation, with its path and verb.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, verbs): (&String, &'_ Value)| {
        let verbs = verbs.as_object().unwrap().keys();
        verbs.map(|verb| (path.clone(), verb.clone())).collect::<Vec<_>>()
    };
    let named = paths.iter().flat_map(of_path);
    named.map(|(path, verb)| (path.clone(), verb.clone(), &document["paths"][path][verb])).collect()
}

/// Calls `see` with every value in a document.
fn walk<'a>(value: &'a Value, see: &mut impl FnMut(&'a Value)) {
    see(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, see)),
        Value::Object(fields) => fields.values().for_each(|field| walk(field, see)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_path_of_the_contract_is_told_with_its_verbs() {
    let service = Service::on_sqlite().await;
    let document = document(&service).await;
    assert_eq!(document["openapi"], "3.1.0");
    let told: BTreeSet<_> =
        operations(&document).into_iter().map(|(path, verb, _)| (path, verb)).collect();
    for binding in bindings() {
        let verb = binding.method.as_str().to_lowercase();
        assert!(told.contains(&(format!("{}/", binding.path), verb)), "{binding:?}");
    }
    let of_sdks = ["/flags/", "/flags/definitions/", "/batch/", "/array/{token}/config.js"];
    for path in of_sdks.into_iter().chain(["/api/surveys/", "/api/early_access_features/"]) {
        assert!(told.iter().any(|(told, _)| told == path), "{path}");
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_is_whole() {
    let service = Service::on_sqlite().await;
    let document = document(&service).await;
    let mut ids = BTreeSet::new();
    for (path, verb, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id.to_owned()), "{id} is there twice");
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{id}");
        let declared: BTreeSet<_> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        let parts = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        assert_eq!(declared, parts.collect(), "{verb} {path}");
        let answers = operation["responses"].as_object().unwrap();
        assert!(answers.contains_key("default") && answers.len() > 1, "{id}");
    }
    let mut broken = Vec::new();
    walk(&document, &mut |value| {
        let Some(reference) = value.get("$ref").and_then(Value::as_str) else { return };
        if document.pointer(reference.trim_start_matches('#')).is_none() {
            broken.push(reference.to_owned());
        }
    });
    assert_eq!(broken, [""; 0]);
    assert!(document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer");
    service.stop().await;
}

/// The names of a schema's or an answer's fields.
fn names(object: &Value) -> BTreeSet<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_have_the_fields_that_are_told() {
    let service = Service::on_sqlite().await;
    let document = document(&service).await;
    let (id, flag) = service.create(json!({"key": "told"})).await;
    service.patch(id, json!({"name": "changed"})).await;
    let (cohort, _) = service.new_cohort(json!({"name": "Told", "is_static": true})).await;
    service.list_in(cohort, &["somebody".to_owned()]).await;
    let first = |page: Value| page["results"][0].clone();
    let dashboard = format!("/api/projects/1/dashboards/{}/", flag["usage_dashboard"]);
    let cases = [
        ("FeatureFlag", flag),
        ("FeatureFlagVersion", service.get(&format!("{FLAGS}{id}/versions/1/")).await.1),
        (
            "FeatureFlagVersionSummary",
            first(service.get(&format!("{FLAGS}{id}/versions/")).await.1),
        ),
        ("ActivityEntry", first(service.get(&format!("{FLAGS}activity/")).await.1)),
        ("Dashboard", service.get(&dashboard).await.1),
        ("Cohort", service.get(&format!("{COHORTS}{cohort}/")).await.1),
        ("Person", first(service.get("/api/projects/1/persons/").await.1)),
        ("Project", service.get("/api/projects/1/").await.1),
    ];
    for (schema, answer) in cases {
        let told = &document["components"]["schemas"][schema]["properties"];
        assert_eq!(names(&answer), names(told), "{schema}");
    }
    let list = "/api/projects/{project_id}/feature_flags/";
    let page = &document["paths"][list]["get"]["responses"]["200"]["content"]["application/json"];
    let (_, flags) = service.get(FLAGS).await;
    assert_eq!(names(&flags), names(&page["schema"]["properties"]));
    service.stop().await;
}
