//! Rows damaged in the database: each costs itself, is shown and counted, and stands in nobody's
//! way.

use std::time::Duration;

use flagstaff::wire::v1::{
    EvaluateFlagsRequest, EvaluationSubject, ListActivityRequest, ListApiKeysRequest,
    ListCohortsRequest, ListFeatureFlagsRequest, ListGroupsRequest, ListPersonsRequest,
};
use http::Method;
use serde_json::{Value, json};

use crate::support::{
    FLAGS, Service,
    directory::{COHORTS, PERSONS},
    eventually,
};

both_databases! {
    a_damaged_flag_costs_that_flag,
    a_damaged_cohort_fails_what_reads_it,
    a_damaged_person_or_group_costs_that_one,
    a_damaged_key_opens_nothing_and_is_listed,
    a_damaged_dashboard_is_shown_without_what_is_damaged,
    a_project_that_cannot_be_refreshed_is_stale_and_no_other_is_taken_for_it,
}

const PATIENCE: Duration = Duration::from_secs(20);

/// What stands where an object should.
const DAMAGE: [&str; 5] = ["", "{", "[1]", "null", "{\"a\": 1}}"];

impl Service {
    async fn damage(&self, table: &str, column: &str, text: &str, rows: &str) {
        self.execute(&format!("UPDATE {table} SET {column} = '{text}' WHERE {rows}")).await;
    }

    async fn list(&self, path: &str) -> Value {
        let (status, page) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {page}");
        page
    }

    /// How often damaged values of a column were read, in the whole process.
    async fn damaged_reads(&self, column: &str) -> u64 {
        let label = format!("column=\"{column}\"");
        let metrics = self.metrics().await;
        let line = metrics
            .lines()
            .find(|line| line.starts_with("flagstaff_damaged_reads") && line.contains(&label));
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }
}

fn everyone() -> Value {
    json!({"groups": [{"properties": [], "rollout_percentage": 100}]})
}

async fn a_damaged_flag_costs_that_flag(service: &Service) {
    let damaged = service.create_for_everyone("damaged").await;
    let healthy = service.create_for_everyone("healthy").await;
    for (turn, text) in (0..).zip(DAMAGE) {
        let before = service.damaged_reads("feature_flag.filters").await;
        service.damage("feature_flag", "filters", text, &format!("id = {damaged}")).await;
        service.damage("activity_log", "detail", text, &format!("item_id = '{damaged}'")).await;
        let page = service.list(FLAGS).await;
        let shown = |key: &str| {
            let flags = page["results"].as_array().unwrap();
            flags.iter().find(|flag| flag["key"] == key).unwrap().clone()
        };
        assert_eq!(page["count"], 2);
        assert_eq!(shown("damaged")["filters"], Value::Null, "{text}");
        assert_eq!(shown("healthy")["filters"]["groups"][0]["rollout_percentage"], 100);
        assert_eq!(service.list(&format!("{FLAGS}{damaged}/")).await["filters"], Value::Null);
        assert!(service.damaged_reads("feature_flag.filters").await > before, "{text}");
        let activity = service.list(&format!("{FLAGS}activity/?limit=100")).await;
        assert!(activity["results"].as_array().unwrap().len() >= 2);
        let request = ListFeatureFlagsRequest::default();
        let listed = service.flags().list_feature_flags(request).await.unwrap().into_inner();
        assert_eq!(listed.results.len(), 2);
        let request = ListActivityRequest::default();
        service.flags().list_activity(request).await.unwrap();

        // Everything is read anew, here and by a replica that starts on it.
        let (status, _) = service
            .rest(Method::PATCH, "/api/projects/1/", json!({"name": format!("Turn {turn}")}))
            .await;
        assert_eq!(status, 200);
        let replica = service.replica().await;
        for service in [service, &replica] {
            let answer = service.flags_for(&json!({"distinct_id": "ann"})).await;
            assert_eq!(answer["flags"]["healthy"]["enabled"], true, "{answer}");
            assert_eq!(answer["flags"]["damaged"]["failed"], true, "{answer}");
            assert_eq!(answer["errorsWhileComputingFlags"], true);
            let feed = service.call(Method::GET, "/flags/definitions", Some(&service.secret), None);
            let feed = feed.await.json();
            let keys: Vec<_> =
                feed["flags"].as_array().unwrap().iter().map(|f| &f["key"]).collect();
            assert_eq!(keys, ["healthy"]);
            assert!(!service.is_stale().await);
        }
        replica.stop().await;
    }

    // A change of something else leaves what is damaged for whoever can mend it.
    let (status, flag) = service.patch(damaged, json!({"name": "Still damaged"})).await;
    assert_eq!((status, &flag["filters"]), (200, &Value::Null), "{flag}");
    let query = format!("SELECT filters FROM feature_flag WHERE id = {damaged}");
    assert_eq!(service.stored(&query).await.as_deref(), DAMAGE.last().copied());
    let (status, flag) = service.patch(damaged, json!({"filters": everyone()})).await;
    assert_eq!((status, flag["filters"].is_object()), (200, true), "{flag}");
    let answer = service.flags_for(&json!({"distinct_id": "ann"})).await;
    assert_eq!(answer["errorsWhileComputingFlags"], false, "{answer}");
    assert_eq!(service.patch(healthy, json!({"active": false})).await.0, 200);
}

async fn a_damaged_cohort_fails_what_reads_it(service: &Service) {
    let (damaged, healthy) =
        (service.cohort_of_plan("pro").await, service.cohort_of_plan("free").await);
    let reads = |cohort: i64| json!({"groups": [{"properties": [{"key": "id", "type": "cohort", "value": cohort}]}]});
    service.create(json!({"key": "by-damaged", "filters": reads(damaged)})).await;
    service.create(json!({"key": "by-healthy", "filters": reads(healthy)})).await;
    for text in DAMAGE {
        service.damage("cohort", "filters", text, &format!("id = {damaged}")).await;
        let page = service.list(COHORTS).await;
        assert_eq!((&page["count"], &page["results"][1]["filters"]), (&json!(2), &Value::Null));
        assert!(page["results"][0]["filters"].is_object());
        assert_eq!(service.list(&format!("{COHORTS}{damaged}/")).await["filters"], Value::Null);
        let request = ListCohortsRequest::default();
        let mut directory = service.directory_as(Some(&service.key));
        let listed = directory.list_cohorts(request).await.unwrap().into_inner();
        assert_eq!(listed.results.len(), 2);
        service.reload().await;
        let body = json!({"distinct_id": "ann", "person_properties": {"plan": "free"}});
        let answer = service.flags_for(&body).await;
        assert_eq!(answer["flags"]["by-healthy"]["enabled"], true, "{answer}");
        assert_eq!(answer["flags"]["by-damaged"]["failed"], true, "{answer}");
    }
    let (status, cohort) = service.patch_cohort(damaged, json!({"name": "Renamed"})).await;
    assert_eq!((status, &cohort["name"]), (200, &json!("Renamed")), "{cohort}");
    let query = format!("SELECT filters FROM cohort WHERE id = {damaged}");
    assert_eq!(service.stored(&query).await.as_deref(), DAMAGE.last().copied());
}

async fn a_damaged_person_or_group_costs_that_one(service: &Service) {
    let person = |id: &str| json!({"event": "e", "distinct_id": id, "properties": {"$set": {"plan": "pro"}}});
    let group = |key: &str| {
        json!({"event": "$groupidentify", "distinct_id": "healthy", "properties":
            {"$group_type": "company", "$group_key": key, "$group_set": {"size": 3}}})
    };
    let events = [person("damaged"), person("healthy"), group("damaged"), group("healthy")];
    service.ingest(&events).await;
    let pros = json!([{"key": "plan", "type": "person", "operator": "exact", "value": "pro"}]);
    service.create(json!({"key": "pros", "filters": {"groups": [{"properties": pros}]}})).await;
    let of = |id: &str| {
        format!("id IN (SELECT person_id FROM person_distinct_id WHERE distinct_id = '{id}')")
    };
    for text in DAMAGE {
        service.damage("person", "properties", text, &of("damaged")).await;
        service.damage("\"group\"", "properties", text, "group_key = 'damaged'").await;
        let page = service.list(PERSONS).await;
        let results = page["results"].as_array().unwrap();
        let properties = |id: &str| {
            let person = results.iter().find(|person| person["distinct_ids"][0] == id);
            person.unwrap()["properties"].clone()
        };
        assert_eq!(properties("healthy"), json!({"plan": "pro"}), "{text}");
        assert_eq!(properties("damaged"), Value::Null, "{text}");
        let request = ListPersonsRequest::default();
        let mut directory = service.directory_as(Some(&service.key));
        assert_eq!(directory.list_persons(request).await.unwrap().into_inner().results.len(), 2);
        let request = ListGroupsRequest::default();
        assert_eq!(directory.list_groups(request).await.unwrap().into_inner().results.len(), 2);

        let answer = service.flags_for(&json!({"distinct_id": "healthy"})).await;
        assert_eq!(answer["flags"]["pros"]["enabled"], true, "{answer}");
        assert_eq!(answer["errorsWhileComputingFlags"], false);
        // Nothing is known of them, which is not to be taken for knowing that they have nothing.
        eventually("the damage is seen", PATIENCE, async || {
            let answer = service.flags_for(&json!({"distinct_id": "damaged"})).await;
            (answer["errorsWhileComputingFlags"] == true).then_some(())
        })
        .await;

        // The history tells what is damaged, and events go on.
        service.ingest(&[
            json!({"event": "e", "distinct_id": "damaged", "properties": {"$set": {"n": 1}}}),
            json!({"event": "e", "distinct_id": "healthy", "properties": {"$set": {"plan": "pro"}}}),
            group("damaged"),
        ])
        .await;
        let properties = service.properties_of("damaged").await.unwrap();
        assert_eq!(properties, json!({"plan": "pro", "n": 1}), "{text}");
    }
    // What decided the properties, and rows of the history.
    service.damage("person", "property_times", "{", &of("damaged")).await;
    service.damage("person_change", "properties", "{", "id = 1").await;
    service.ingest(&[person("damaged")]).await;
}

async fn a_damaged_key_opens_nothing_and_is_listed(service: &Service) {
    let key = service.new_key("--project 1 --scopes feature_flag:read --label damaged");
    assert_eq!(service.call(Method::GET, FLAGS, Some(&key), None).await.status, 200);
    service.damage("api_key", "scopes", "[", "label = 'damaged'").await;
    eventually("the key opens nothing", PATIENCE, async || {
        (service.call(Method::GET, FLAGS, Some(&key), None).await.status == 403).then_some(())
    })
    .await;
    let request = ListApiKeysRequest { project_id: "1".into(), ..Default::default() };
    let listed = service.projects_as(Some(&service.key)).list_api_keys(request).await.unwrap();
    let listed = listed.into_inner().results;
    let found = listed.iter().find(|key| key.label == "damaged").unwrap();
    assert_eq!((listed.len() > 1, found.scopes.len()), (true, 0));
}

async fn a_damaged_dashboard_is_shown_without_what_is_damaged(service: &Service) {
    let (_, flag) = service
        .create(json!({"key": "watched", "filters": everyone(),
            "_should_create_usage_dashboard": true}))
        .await;
    let dashboard = flag["usage_dashboard"].clone();
    let path = format!("/api/projects/1/dashboards/{dashboard}/");
    let whole = service.list(&path).await;
    for text in DAMAGE {
        service.damage("dashboard", "tags", text, "project_id = 1").await;
        service.damage("dashboard", "filters", text, "project_id = 1").await;
        service.damage("tile", "query", text, "id IN (SELECT MIN(id) FROM tile)").await;
        let shown = service.list(&path).await;
        let tiles = |shown: &Value| shown["tiles"].as_array().unwrap().len();
        assert_eq!(tiles(&shown), tiles(&whole), "{text}");
        // A query is any JSON, of which the page draws what it understands.
        let query: Value = serde_json::from_str(text).unwrap_or_default();
        assert_eq!(shown["tiles"][0]["insight"]["query"], query, "{text}");
        assert_eq!(shown["tiles"][1], whole["tiles"][1]);
    }
}

/// `@current` of a key for all projects, over gRPC, by a flag that only one project has.
async fn current(service: &Service) -> Result<Vec<String>, tonic::Status> {
    let subject = Some(EvaluationSubject { distinct_id: "ann".into(), ..Default::default() });
    let request =
        EvaluateFlagsRequest { project_id: "@current".into(), subject, ..Default::default() };
    let answer = service.evaluation_as(Some(&service.key)).evaluate_flags(request).await?;
    Ok(answer.into_inner().flags.into_keys().collect())
}

async fn a_project_that_cannot_be_refreshed_is_stale_and_no_other_is_taken_for_it(
    service: &Service,
) {
    service.create_for_everyone("own").await;
    let (other, _) = service.new_project("Other");
    let everyone = json!({"key": "others", "filters": everyone()});
    let path = format!("/api/projects/{other}/feature_flags/");
    assert_eq!(service.rest(Method::POST, &path, everyone).await.0, 201);
    assert_eq!(current(service).await.unwrap(), ["own"]);

    // No statement reads a column that is not there.
    let rename =
        |from: &str, to: &str| format!("ALTER TABLE group_type RENAME COLUMN {from} TO {to}");
    service.execute(&rename("name", "lost")).await;
    let renamed = json!({"name": "Renamed"});
    assert_eq!(service.rest(Method::PATCH, "/api/projects/1/", renamed).await.0, 200);
    let replica = service.replica().await;
    for service in [service, &replica] {
        eventually("the project is stale", PATIENCE, async || {
            service.is_stale().await.then_some(())
        })
        .await;
        assert!(service.counter("flagstaff_stale_projects").await >= 1);
    }
    assert_eq!(current(service).await.unwrap(), ["own"], "from memory");
    let refused = current(&replica).await.unwrap_err();
    assert_ne!(refused.code(), tonic::Code::NotFound);

    service.execute(&rename("lost", "name")).await;
    for service in [service, &replica] {
        eventually("the project is current", PATIENCE, async || {
            (!service.is_stale().await).then_some(())
        })
        .await;
        assert_eq!(current(service).await.unwrap(), ["own"]);
    }
    replica.stop().await;
}
