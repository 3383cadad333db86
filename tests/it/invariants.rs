//! Whatever is written in whatever order, the bookkeeping holds (issue 3, "Done when").

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};

use crate::support::{FLAGS, Service};

both_databases! {
    random_writes_keep_the_books,
}

const STEPS: usize = 25;
const KEYS: [&str; 5] = ["alpha", "beta", "gamma", "delta", "alpha-2"];

/// The fields that rows tell of.
const TRACKED: [&str; 13] = [
    "key",
    "name",
    "filters",
    "deleted",
    "active",
    "version",
    "rollback_conditions",
    "performed_rollback",
    "ensure_experience_continuity",
    "is_remote_configuration",
    "evaluation_runtime",
    "last_called_at",
    "archived",
];

/// Every flag that was ever made, as it was then, and as it was when last seen.
type Made = BTreeMap<i64, (Value, Value)>;

/// What the random writes grow from. Fixed, so that a failure comes again; any other will do, to
/// look further.
const SEED: u64 = 20_261_123;

async fn random_writes_keep_the_books(service: &Service) {
    let mut random = StdRng::seed_from_u64(SEED);
    let sequences = if service.database_url.starts_with("sqlite") { 30 } else { 8 };
    let mut made = Made::new();
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    for sequence in 0..sequences {
        for step in 0..STEPS {
            let (status, told) = one_write(service, &mut random, &mut made).await;
            let known = [200, 201, 400, 404, 409].contains(&status);
            assert!(known, "seed {SEED}, sequence {sequence}, step {step}: {status} {told}");
            *statuses.entry(status).or_default() += 1;
        }
        the_books_hold(service, &made).await;
    }
    // Neither all refused nor all taken, or the above says little.
    assert!(
        [200, 201, 400, 409].iter().all(|status| statuses.contains_key(status)),
        "{statuses:?}"
    );
    evaluation_is_what_a_fresh_start_would_make_it(service).await;
}

async fn one_write(service: &Service, random: &mut StdRng, made: &mut Made) -> (u16, Value) {
    let ids: Vec<i64> = made.keys().copied().collect();
    let chosen = ids.choose(random).copied();
    let Some(id) = chosen.filter(|_| !random.random_bool(0.2)) else {
        let mut body = json!({"key": KEYS.choose(random), "active": random.random_bool(0.9),
            "_should_create_usage_dashboard": false});
        if random.random_bool(0.7) {
            body["filters"] = filters(random, chosen);
        }
        if random.random_bool(0.3) {
            body["evaluation_contexts"] = labels(random);
        }
        let (status, flag) = service.rest(Method::POST, FLAGS, body).await;
        if status == 201 {
            made.insert(flag["id"].as_i64().unwrap(), (flag.clone(), flag.clone()));
        }
        return (status, flag);
    };
    let other = ids.choose(random).copied();
    let mut body = match random.random_range(0..12) {
        0 => json!({"name": format!("n{}", random.random_range(0..3))}),
        1 => json!({"active": random.random_bool(0.6)}),
        2 | 3 => json!({"filters": filters(random, other)}),
        4 => json!({"tags": labels(random)}),
        5 => json!({"evaluation_contexts": labels(random)}),
        6 => json!({"key": KEYS.choose(random)}),
        7 => json!({"deleted": true}),
        8 => json!({"deleted": false}),
        9 => json!({"name": "", "rollback_conditions": [null, {"a": random.random_range(0..2)}]}),
        10 => json!({"evaluation_runtime": "server", "last_called_at": "2026-01-02T03:04:05Z",
            "ensure_experience_continuity": random.random_bool(0.5)}),
        _ => {
            let verb = ["enable", "disable", "archive", "unarchive"].choose(random).unwrap();
            let path = format!("{FLAGS}{id}/{verb}/");
            return service.rest(Method::POST, &path, json!({})).await;
        }
    };
    if random.random_bool(0.3) {
        // What somebody saw a while ago, so that some writes conflict.
        let seen = &made[&id].1;
        body["version"] = seen["version"].clone();
        body["original_flag"] = seen.clone();
    }
    let (status, flag) = service.patch(id, body).await;
    if status == 404 {
        // Its key was taken anew; what is gone is not written to again.
        made.remove(&id);
    }
    if status == 200 && random.random_bool(0.5) {
        made.get_mut(&id).unwrap().1 = flag.clone();
    }
    (status, flag)
}

fn filters(random: &mut StdRng, read: Option<i64>) -> Value {
    let share = random.random_range(0..130);
    let mut filters = json!({"groups": [{"rollout_percentage": share}]});
    match (random.random_range(0..5), read) {
        (0, Some(read)) => {
            filters["groups"][0]["properties"] = json!([{"key": read, "type": "flag",
                "operator": "flag_evaluates_to", "value": true}]);
        }
        (1, _) => filters["groups"] = json!([]),
        (2, _) => filters["super_groups"] = json!([{"properties": []}]),
        (3, _) => filters["payloads"] = json!({"true": [share]}),
        _ => {}
    }
    filters
}

fn labels(random: &mut StdRng) -> Value {
    let some = ["web", "app", "Web "].iter().filter(|_| random.random_bool(0.5));
    json!(some.collect::<Vec<_>>())
}

async fn the_books_hold(service: &Service, made: &Made) {
    let (mut live, mut rows_of_flags) = (BTreeSet::new(), 0);
    for (id, (creation, _)) in made {
        let (status, flag) = service.get(&format!("{FLAGS}{id}/")).await;
        if status == 404 {
            continue;
        }
        if flag["deleted"] == false {
            live.insert(*id);
        }
        let (_, page) = service.get(&format!("{FLAGS}{id}/activity/?limit=10000")).await;
        let rows = page["results"].as_array().unwrap();
        assert_eq!(page["total_count"], rows.len(), "flag {id}");
        rows_of_flags += rows.len();
        let versioned = rows.iter().filter(|row| changes(row).any(|c| c["field"] == "version"));
        assert_eq!(flag["version"], versioned.count() + 1, "flag {id}");
        assert_eq!(rows.last().unwrap()["activity"], "created", "flag {id}");
        let mut state = flag.clone();
        for row in rows {
            for change in changes(row) {
                let field = change["field"].as_str().unwrap();
                assert!(same(&state[field], &change["after"]), "flag {id}: {state} {change}");
                state[field] = change["before"].clone();
            }
        }
        // A creation with contexts is told in two rows, so before both there were none.
        assert_eq!(state["evaluation_contexts"], json!([]), "flag {id}");
        for field in TRACKED {
            let (now, then) = (&state[field], &creation[field]);
            assert!(same(now, then), "flag {id}: {field} was {then}, replayed {now}");
        }
    }
    let (mut listed, mut keys) = (BTreeSet::new(), BTreeSet::new());
    for archived in [true, false] {
        let (_, page) = service.get(&format!("{FLAGS}?limit=10000&archived={archived}")).await;
        let results = page["results"].as_array().unwrap();
        assert_eq!(page["count"], results.len());
        for flag in results {
            assert!(keys.insert(flag["key"].as_str().unwrap().to_owned()), "{} twice", flag["key"]);
            listed.insert(flag["id"].as_i64().unwrap());
        }
        // What memory lists is what the database lists.
        let (_, stored) =
            service.get(&format!("{FLAGS}?limit=10000&archived={archived}&order=-id")).await;
        let numbers = |flags: &[Value]| {
            flags.iter().map(|flag| flag["id"].as_i64().unwrap()).collect::<BTreeSet<_>>()
        };
        assert_eq!(numbers(results), numbers(stored["results"].as_array().unwrap()));
    }
    assert_eq!(listed, live);
    let counted = service.stored("SELECT CAST(flag_count AS TEXT) FROM project").await;
    assert_eq!(counted, Some(live.len().to_string()), "the limit counts the same flags");
    let (_, page) = service.get(&format!("{FLAGS}activity/?limit=100000")).await;
    let rows = page["results"].as_array().unwrap().len();
    assert_eq!(page["total_count"], rows);
    assert!(rows >= rows_of_flags);
}

fn changes(row: &Value) -> impl Iterator<Item = &Value> {
    row["detail"]["changes"].as_array().unwrap().iter()
}

/// Alike as rows see it: nothing, "", [] and {} are all empty.
fn same(a: &Value, b: &Value) -> bool {
    let is_empty = |value: &Value| {
        value.is_null() || *value == json!("") || *value == json!([]) || *value == json!({})
    };
    a == b || (is_empty(a) && is_empty(b))
}

async fn evaluation_is_what_a_fresh_start_would_make_it(service: &Service) {
    let fresh = service.replica().await;
    for person in ["ann", "ben", "cleo", "dan"] {
        let body = json!({"token": service.token, "distinct_id": person});
        let (warm, cold) = (
            service.call(Method::POST, "/flags?v=2", None, Some(&body)).await.json(),
            fresh.call(Method::POST, "/flags?v=2", None, Some(&body)).await.json(),
        );
        assert_eq!(warm["flags"], cold["flags"], "{person}");
    }
    fresh.stop().await;
}
