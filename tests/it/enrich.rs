//! Enriched usage dashboards: the documented checks, the mark that comes with views and
//! interactions, and tiles that follow a key (management-api 3.7, 3.10, 4.1).

use std::time::Duration;

use flagstaff::wire::v1::{CreateUsageDashboardRequest, EnrichUsageDashboardRequest};
use http::Method;
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::support::{
    FLAGS, Service,
    events::{at, called, event},
    eventually,
    grpc::said,
    usage::{CALLED, INTERACTED, Usage, VIEWED, hour_of, lines, now},
};

both_databases! {
    each_check_has_its_turn_and_its_text,
    enriching_adds_two_tiles_and_nothing_else,
    the_body_is_not_looked_at,
    a_failure_of_storage_is_a_documented_refusal,
    of_two_at_once_one_enriches,
    a_dashboard_is_made_where_there_is_none_and_kept_where_there_is,
    views_mark_a_flag_once_however_many_replicas_see_them,
    interactions_mark_a_flag_without_a_dashboard_too,
    what_is_not_due_is_not_marked,
    generated_tiles_follow_a_new_key,
    tiles_that_hands_edited_stay_as_they_are,
    a_deleted_flags_dashboard_keeps_its_usage,
    ingested_events_are_shown_and_mark_the_flag,
}

const REVISION: &str = "SELECT revision || '' FROM project";

const PATIENCE: Duration = Duration::from_secs(10);

const DELETED: &str =
    "This feature flag has been deleted. Restore it before enriching its usage dashboard.";
const NONE: &str = "Usage dashboard not found";
const TWICE: &str = "Usage dashboard already has enriched data";
const NOTHING: &str = "No enriched analytics available for this feature flag";

/// Asks for it on both edges, which must answer alike; the text of the refusal.
async fn refusal(service: &Service, flag: i64) -> String {
    let path = format!("{FLAGS}{flag}/enrich_usage_dashboard/");
    let (status, answer) = service.rest(Method::POST, &path, json!({})).await;
    let text = answer["error"].as_str().unwrap_or_default().to_owned();
    assert_eq!((status, &answer), (400, &json!({"success": false, "error": text})));
    let request = EnrichUsageDashboardRequest { id: flag, ..Default::default() };
    let status = service.flags().enrich_usage_dashboard(request).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, text.as_str()));
    assert_eq!(said(&status, "body").as_deref(), Some("success_error"));
    text
}

async fn enrich(service: &Service, flag: i64) -> (u16, Value) {
    service.rest(Method::POST, &format!("{FLAGS}{flag}/enrich_usage_dashboard/"), json!({})).await
}

async fn make_dashboard(service: &Service, flag: i64) -> (u16, Value) {
    service.rest(Method::POST, &format!("{FLAGS}{flag}/dashboard/"), json!({})).await
}

fn names(dashboard: &Value) -> Vec<&str> {
    let tiles = dashboard["tiles"].as_array().unwrap().iter();
    tiles.map(|tile| tile["insight"]["name"].as_str().unwrap()).collect()
}

/// A flag that is as the checks want it, with its dashboard.
async fn enrichable(service: &Service, key: &str) -> (i64, i64) {
    let (id, flag) = service.create(json!({"key": key, "has_enriched_analytics": true})).await;
    (id, flag["usage_dashboard"].as_i64().unwrap())
}

async fn each_check_has_its_turn_and_its_text(service: &Service) {
    let (status, error) = enrich(service, 999_999).await;
    assert_eq!((status, &error["type"]), (404, &json!("invalid_request")));
    assert_eq!(error["detail"], "Not found.");
    let request = EnrichUsageDashboardRequest { id: 999_999, ..Default::default() };
    let status: Status = service.flags().enrich_usage_dashboard(request).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);

    // Each flag fails its check and all that come after it.
    let bare = json!({"key": "bare", "_should_create_usage_dashboard": false});
    let (id, _) = service.create(bare).await;
    service.patch(id, json!({"deleted": true})).await;
    assert_eq!(refusal(service, id).await, DELETED);
    service.patch(id, json!({"deleted": false})).await;
    assert_eq!(refusal(service, id).await, NONE);

    let (id, dashboard) = enrichable(service, "enriched").await;
    assert_eq!(enrich(service, id).await, (200, json!({"success": true})));
    service.patch(id, json!({"has_enriched_analytics": false})).await;
    assert_eq!(refusal(service, id).await, TWICE);
    service.execute(&format!("UPDATE dashboard SET deleted = true WHERE id = {dashboard}")).await;
    assert_eq!(refusal(service, id).await, NONE, "one that is put away is none");
    service.execute(&format!("DELETE FROM dashboard WHERE id = {dashboard}")).await;
    assert_eq!((refusal(service, id).await.as_str(), service.dashboard_of(id).await), (NONE, None));

    for has in [json!(false), Value::Null] {
        let key = format!("plain-{has}");
        let (id, _) = service.create(json!({"key": key, "has_enriched_analytics": has})).await;
        assert_eq!(refusal(service, id).await, NOTHING, "{has}");
    }
    // Any tile whose name has the mark counts, whoever made it.
    let (id, dashboard) = enrichable(service, "by-hand").await;
    let edit = format!(
        "UPDATE tile SET name = 'My Feature Viewed chart' WHERE dashboard_id = {dashboard}"
    );
    service.execute(&edit).await;
    assert_eq!(refusal(service, id).await, TWICE);
}

async fn enriching_adds_two_tiles_and_nothing_else(service: &Service) {
    let (id, dashboard) = enrichable(service, "checkout").await;
    let path = format!("{FLAGS}{id}/");
    let (before, totals) = (service.get(&path).await, service.totals().await);
    let stored = service.stored(REVISION).await;
    assert_eq!(enrich(service, id).await, (200, json!({"success": true})));
    assert_eq!((service.get(&path).await, service.totals().await), (before, totals));
    let revision = service.stored(REVISION).await;
    assert_eq!(revision, stored, "evaluation has nothing to read anew");

    let shown = service.dashboard(dashboard, "").await;
    let tiles = [
        "Feature Flag Called Total Volume",
        "Feature Flag calls made by unique users per variant",
        "Feature Viewed Total Volume",
        "Feature Interaction Total Volume",
    ];
    assert_eq!(names(&shown), tiles);
    let added = [(2, VIEWED, "Feature View"), (3, INTERACTED, "Feature Interaction")];
    for (index, event, what) in added {
        let tile = &shown["tiles"][index];
        let insight = &tile["insight"];
        let about = "Shows the total number of times this feature was viewed and interacted with";
        assert_eq!(insight["description"], about);
        let filter = json!({"key": "feature_flag", "type": "event", "operator": "exact",
            "value": "checkout"});
        let query = &insight["query"];
        assert_eq!((&query["properties"], &query["interval"]), (&json!([filter]), &json!("day")));
        assert_eq!(query["dateRange"]["date_from"], "-30d");
        for (series, math, name) in [(0, "total", "Total"), (1, "dau", "Unique users")] {
            let series = &query["series"][series];
            let seen = (&series["event"], &series["math"], &series["custom_name"]);
            assert_eq!(seen, (&json!(event), &json!(math), &json!(format!("{what} - {name}"))));
        }
        assert_eq!(query["series"].as_array().unwrap().len(), 2);
        let id = &tile["id"];
        let plain = format!("SELECT layouts FROM tile WHERE color IS NULL AND id = {id}");
        assert_eq!(service.stored(&plain).await.as_deref(), Some("{}"), "no colour, no layout");
    }
    assert_eq!(refusal(service, id).await, TWICE);
    assert_eq!(service.dashboard(dashboard, "").await, shown);
}

async fn the_body_is_not_looked_at(service: &Service) {
    for (number, body) in
        ["", "{", "[1]", r#"{"key": "other", "deleted": true}"#].iter().enumerate()
    {
        let (id, _) = enrichable(service, &format!("flag-{number}")).await;
        let request = service
            .request(Method::POST, &format!("{FLAGS}{id}/enrich_usage_dashboard"))
            .bearer_auth(&service.key)
            .header("content-type", "application/json")
            .body(*body);
        let answer = crate::support::rest::send(request).await;
        assert_eq!((answer.status, answer.json()), (200, json!({"success": true})), "{body}");
        assert_eq!(service.get(&format!("{FLAGS}{id}/")).await.1["deleted"], false);
    }
}

async fn a_failure_of_storage_is_a_documented_refusal(service: &Service) {
    let (id, dashboard) = enrichable(service, "checkout").await;
    let (bare, _) =
        service.create(json!({"key": "bare", "_should_create_usage_dashboard": false})).await;
    service.execute("ALTER TABLE tile RENAME TO tile_away").await;
    assert_eq!(refusal(service, id).await, "Unable to enrich usage dashboard");
    let unable = json!({"success": false, "error": "Unable to generate usage dashboard"});
    assert_eq!(make_dashboard(service, bare).await, (400, unable));
    let request = CreateUsageDashboardRequest { id: bare, ..Default::default() };
    let status = service.flags().create_usage_dashboard(request).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    service.execute("ALTER TABLE tile_away RENAME TO tile").await;
    assert_eq!(names(&service.dashboard(dashboard, "").await).len(), 2);
    assert_eq!(service.dashboard_of(bare).await, None, "nothing half-made is left");
    assert_eq!(enrich(service, id).await.0, 200);
}

async fn of_two_at_once_one_enriches(service: &Service) {
    let (id, dashboard) = enrichable(service, "checkout").await;
    let asked = (0..4).map(|_| enrich(service, id));
    let answers = futures::future::join_all(asked).await;
    let done = answers.iter().filter(|(status, _)| *status == 200).count();
    assert_eq!(done, 1, "{answers:?}");
    assert!(answers.iter().all(|(status, answer)| *status == 200 || answer["error"] == TWICE));
    assert_eq!(names(&service.dashboard(dashboard, "").await).len(), 4);
}

async fn a_dashboard_is_made_where_there_is_none_and_kept_where_there_is(service: &Service) {
    let success = (200, json!({"success": true}));
    assert_eq!(make_dashboard(service, 999_999).await.0, 404);
    let bare = json!({"key": "bare", "_should_create_usage_dashboard": false});
    let (id, flag) = service.create(bare).await;
    let totals = service.totals().await;
    assert_eq!(make_dashboard(service, id).await, success);
    let made = service.dashboard_of(id).await.unwrap();
    let shown = service.dashboard(made, "").await;
    assert_eq!(shown["name"], "Generated Dashboard: bare Usage");
    assert_eq!(names(&shown).len(), 2);
    let (_, after) = service.get(&format!("{FLAGS}{id}/")).await;
    assert_eq!((&after["version"], &after["updated_at"]), (&json!(1), &flag["updated_at"]));
    assert_eq!(service.totals().await, totals, "no row tells of it");
    let request = CreateUsageDashboardRequest { id, ..Default::default() };
    assert!(service.flags().create_usage_dashboard(request).await.unwrap().into_inner().success);
    assert_eq!(service.dashboard_of(id).await, Some(made), "a live one is kept");

    service.execute(&format!("UPDATE dashboard SET deleted = true WHERE id = {made}")).await;
    service.patch(id, json!({"has_enriched_analytics": true})).await;
    assert_eq!(make_dashboard(service, id).await, success);
    let anew = service.dashboard_of(id).await.unwrap();
    assert_ne!(anew, made);
    assert_eq!(names(&service.dashboard(anew, "").await).len(), 4, "enriched at once");
    assert_eq!(make_dashboard(service, id).await, success);
    assert_eq!(names(&service.dashboard(anew, "").await).len(), 4);
}

/// Waits until a flag is marked.
async fn marked(service: &Service, id: i64) {
    let look = async || {
        let (_, flag) = service.get(&format!("{FLAGS}{id}/")).await;
        (flag["has_enriched_analytics"] == true).then_some(())
    };
    eventually("the flag is marked", PATIENCE, look).await;
}

/// What the log says of the marking of a flag: its rows, but for the one of the creation.
async fn rows(service: &Service, id: i64) -> Vec<Value> {
    let (_, page) = service.get(&format!("{FLAGS}{id}/activity/?limit=100")).await;
    let rows = page["results"].as_array().unwrap();
    rows[..rows.len() - 1].to_vec()
}

async fn views_mark_a_flag_once_however_many_replicas_see_them(service: &Service) {
    let flags = [("one", "false"), ("two", "null"), ("three", "false")];
    let mut made = Vec::new();
    for (key, has) in flags {
        let has: Value = serde_json::from_str(has).unwrap();
        let (id, flag) = service.create(json!({"key": key, "has_enriched_analytics": has})).await;
        made.push((id, flag["usage_dashboard"].as_i64().unwrap(), has));
    }
    let rows_of_usage = ["one", "two", "three"].map(|key| Usage {
        key,
        event: VIEWED,
        variant: "",
        count: 4,
        ..Usage::default()
    });
    service.used(&rows_of_usage).await;
    // Each replica looks as it starts.
    let (a, b, c) = tokio::join!(service.replica(), service.replica(), service.replica());
    for (id, dashboard, had) in &made {
        marked(service, *id).await;
        let shown = service.dashboard(*dashboard, "?date_from=2026-03-01&date_to=2026-03-01").await;
        assert_eq!(
            names(&shown)[2..],
            ["Feature Viewed Total Volume", "Feature Interaction Total Volume"]
        );
        assert_eq!(lines(&shown, 2)[0].1, [4]);
        assert_eq!(service.get(&format!("{FLAGS}{id}/")).await.1["version"], 1);
        assert_eq!(refusal(service, *id).await, TWICE);
        let rows = rows(service, *id).await;
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert_eq!(
            (&rows[0]["activity"], &rows[0]["user"]["is_system"]),
            (&json!("updated"), &json!(true))
        );
        let action = if had.is_null() { "created" } else { "changed" };
        let change = json!({"type": "FeatureFlag", "action": action,
            "field": "has_enriched_analytics", "before": had, "after": true});
        assert_eq!(rows[0]["detail"]["changes"], json!([change]));
    }
    for replica in [a, b, c] {
        replica.stop().await;
    }
}

async fn interactions_mark_a_flag_without_a_dashboard_too(service: &Service) {
    let (bare, _) =
        service.create(json!({"key": "bare", "_should_create_usage_dashboard": false})).await;
    let (lost, dashboard) = service.create_with_dashboard("lost").await;
    service.execute(&format!("UPDATE dashboard SET deleted = true WHERE id = {dashboard}")).await;
    let (by_hand, enriched) = service.create_with_dashboard("by-hand").await;
    let edit = format!("UPDATE tile SET name = 'Feature Viewed' WHERE dashboard_id = {enriched}");
    service.execute(&edit).await;
    let usage = |key| Usage { key, event: INTERACTED, ..Usage::default() };
    service.used(&[usage("bare"), usage("lost"), usage("by-hand")]).await;
    let replica = service.replica().await;
    for id in [bare, lost, by_hand] {
        marked(service, id).await;
    }
    assert_eq!(refusal(service, bare).await, NONE);
    assert_eq!(refusal(service, lost).await, NONE);
    assert_eq!(names(&service.dashboard(enriched, "").await).len(), 2, "enriched before");
    replica.stop().await;
}

async fn what_is_not_due_is_not_marked(service: &Service) {
    let (other, _) = service.new_project("Other");
    let (called, _) = service.create_with_dashboard("called").await;
    let (elsewhere, _) = service.create_with_dashboard("elsewhere").await;
    let (deleted, _) = service.create_with_dashboard("deleted").await;
    service.patch(deleted, json!({"deleted": true})).await;
    let (already, _) = enrichable(service, "already").await;
    let (due, _) = service.create_with_dashboard("due").await;
    let viewed = |key| Usage { key, event: VIEWED, ..Usage::default() };
    service
        .used(&[
            Usage { key: "called", ..Usage::default() },
            Usage { project: other, ..viewed("elsewhere") },
            viewed("DUE"),
            viewed("deleted"),
            viewed("already"),
            viewed("due"),
            viewed("nobodys"),
        ])
        .await;
    let replica = service.replica().await;
    // The last in line: when it is marked, all others had their turn.
    marked(service, due).await;
    for id in [called, elsewhere, deleted] {
        let (_, flag) = service.get(&format!("{FLAGS}{id}/")).await;
        assert_eq!(flag["has_enriched_analytics"], false, "{flag}");
    }
    assert_eq!(rows(service, already).await, [Value::Null; 0]);
    replica.stop().await;

    service.patch(deleted, json!({"deleted": false})).await;
    let replica = service.replica().await;
    marked(service, deleted).await;
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_service_looks_again_and_again() {
    let service = Service::on_sqlite_with(&["--enrichment-interval", "50ms"]).await;
    for key in ["first", "second"] {
        let (id, _) = service.create_with_dashboard(key).await;
        service.used(&[Usage { key, event: VIEWED, ..Usage::default() }]).await;
        marked(&service, id).await;
    }
    service.stop().await;
}

fn keys(dashboard: &Value) -> Vec<(&str, bool)> {
    let tiles = dashboard["tiles"].as_array().unwrap().iter().map(|tile| &tile["insight"]);
    let key = |insight: &Value| insight["query"]["properties"][0]["value"].clone();
    tiles
        .map(|insight| {
            let text = insight["description"].as_str().unwrap();
            let said = text.rsplit(": ").next().unwrap();
            (said, key(insight) == said)
        })
        .collect()
}

async fn generated_tiles_follow_a_new_key(service: &Service) {
    let (id, dashboard) = service.create_with_dashboard("old").await;
    let before = service.dashboard(dashboard, "").await;
    let (status, _) = service.patch(id, json!({"name": "no new key", "key": "old"})).await;
    assert_eq!(status, 200);
    assert_eq!(service.dashboard(dashboard, "").await, before);
    service.used(&[Usage { key: "new", count: 6, ..Usage::default() }]).await;
    assert_eq!(service.patch(id, json!({"key": "new"})).await.0, 200);
    let after = service.dashboard(dashboard, "?date_from=2026-03-01&date_to=2026-03-01").await;
    assert_eq!(keys(&after), [("new", true), ("new", true)]);
    assert_eq!(lines(&after, 0), [("true".to_owned(), vec![6])]);
    assert_eq!(after["name"], before["name"], "the dashboard itself keeps its title");
    assert_eq!(service.history(id).await[0].1, ["key", "version"]);

    let refused = service.create(json!({"key": "taken"})).await.0;
    assert_eq!(service.patch(refused, json!({"key": "new"})).await.0, 400);
    let kept = service.dashboard_of(refused).await.unwrap();
    assert_eq!(keys(&service.dashboard(kept, "").await)[0].0, "taken");
}

async fn tiles_that_hands_edited_stay_as_they_are(service: &Service) {
    let (id, dashboard) = enrichable(service, "old").await;
    enrich(service, id).await;
    let first = service.dashboard(dashboard, "").await["tiles"][0]["id"].clone();
    let edit = format!("UPDATE tile SET description = 'Ours: old' WHERE id = {first}");
    service.execute(&edit).await;
    let before = service.dashboard(dashboard, "").await;
    assert_eq!(service.patch(id, json!({"key": "new"})).await.0, 200);
    let after = service.dashboard(dashboard, "").await;
    assert_eq!(keys(&after)[..2], [("old", true), ("new", true)], "each tile is looked at alone");
    assert_eq!(after["tiles"][0], before["tiles"][0]);
    assert_eq!(after["tiles"][2], before["tiles"][2], "enriched tiles are not among the two");
    assert_eq!(after["tiles"][3], before["tiles"][3]);

    let second = &after["tiles"][1]["id"];
    let filters = r#"[{"key": "$feature_flag", "type": "event", "operator": "exact",
        "value": "new"}, {"key": "$os", "value": "iOS"}]"#;
    let mut query = after["tiles"][1]["insight"]["query"].clone();
    query["properties"] = serde_json::from_str(filters).unwrap();
    service.execute(&format!("UPDATE tile SET query = '{query}' WHERE id = {second}")).await;
    let before = service.dashboard(dashboard, "").await;
    assert_eq!(service.patch(id, json!({"key": "newest"})).await.0, 200);
    let after = service.dashboard(dashboard, "").await;
    assert_eq!(after, before, "a second filter makes it somebody's own");

    let (id, gone) = service.create_with_dashboard("homeless").await;
    service.execute(&format!("DELETE FROM dashboard WHERE id = {gone}")).await;
    assert_eq!(service.patch(id, json!({"key": "still-homeless"})).await.0, 200);
}

async fn a_deleted_flags_dashboard_keeps_its_usage(service: &Service) {
    let (id, dashboard) = service.create_with_dashboard("old").await;
    service.link(id, "experiment", 1, "stopped").await;
    let (status, flag) = service.patch(id, json!({"deleted": true})).await;
    assert_eq!((status, &flag["key"]), (200, &json!(format!("old:deleted:{id}"))));
    assert_eq!(keys(&service.dashboard(dashboard, "").await), [("old", true); 2]);
    service.create(json!({"key": "old"})).await;
    let (status, flag) = service.patch(id, json!({"deleted": false})).await;
    assert_eq!((status, &flag["key"]), (200, &json!("old-2")));
    assert_eq!(keys(&service.dashboard(dashboard, "").await), [("old-2", true); 2]);
}

async fn ingested_events_are_shown_and_mark_the_flag(service: &Service) {
    let (id, dashboard) = service.create_with_dashboard("checkout").await;
    let hour = hour_of(now());
    let call = |who: &str, variant: &str| at(&hour, called("checkout", who, json!(variant)));
    let seen =
        |name: &str, who: &str| at(&hour, event(name, who, json!({"feature_flag": "checkout"})));
    let calls = [call("ann", "test"), call("ann", "test"), call("bob", "control")];
    service.ingest(&calls).await;
    service.ingest(&[call("cy", "test")]).await;
    let shown = service.dashboard(dashboard, "?date_from=-1h").await;
    let told = |dashboard: &Value, tile| {
        let lines = lines(dashboard, tile).into_iter();
        lines.map(|(label, data)| (label, data.iter().sum())).collect::<Vec<(String, u64)>>()
    };
    let line = |label: &str, sum: u64| (label.to_owned(), sum);
    assert_eq!(told(&shown, 0), [line("test", 3), line("control", 1)], "{CALLED}");
    assert_eq!(told(&shown, 1), [line("test", 2), line("control", 1)]);
    assert_eq!(refusal(service, id).await, NOTHING);

    // Told by ingestion, long before the next look by the clock.
    service.ingest(&[seen(VIEWED, "ann"), seen(VIEWED, "ann"), seen(INTERACTED, "bob")]).await;
    marked(service, id).await;
    let shown = service.dashboard(dashboard, "?date_from=-1h").await;
    let views = [line("Feature View - Total", 2), line("Feature View - Unique users", 1)];
    let interactions =
        [line("Feature Interaction - Total", 1), line("Feature Interaction - Unique users", 1)];
    assert_eq!((told(&shown, 2), told(&shown, 3)), (views.to_vec(), interactions.to_vec()));
    assert_eq!(rows(service, id).await.len(), 1);
}
