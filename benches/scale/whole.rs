//! What reads or writes much at once: the activity log, old versions, bulk operations.
//!
//! These run after the others, since they change what those measure.

use reqwest::Method;
use serde_json::{Value, json};

use super::{FLAGS, Project, Request, Rounds, print};

/// The flag whose thousand edits are seeded.
pub(crate) const EDITED: i64 = 999;
/// How many edits that is.
pub(crate) const EDITS: i64 = 1_000;

/// Measures each in projects whose activity rows are ten times their flags.
pub(crate) async fn measure(projects: &[Project]) {
    let many = Rounds { warm_up: 2, measured: 40 };
    let some = Rounds { warm_up: 2, measured: 10 };
    let log = |_, _| get("activity/");
    print("activity, page 1", &many.run(projects, log).await);
    let of_flag = |_, _| get(&format!("{EDITED}/activity/"));
    print("activity of a flag, page 1", &many.run(projects, of_flag).await);
    let version = |_, _| get(&format!("{EDITED}/versions/1/"));
    print("versions/1 across 1,000 edits", &many.run(projects, version).await);
    let keys = |_, _| bulk("keys", ids(1, 1_000), &json!({}));
    print("bulk_keys of 1,000 ids", &many.run(projects, keys).await);
    print("bulk_update_tags of 500 flags", &some.run(projects, tags).await);
    let few = |round, _| bulk("delete", ids(1 + 50 * number(round), 50), &json!({}));
    print("bulk_delete of 50 flags", &some.run(projects, few).await);

    let large = projects.iter().position(|project| project.size >= 100_000);
    let Some(large) = large.map(|at| &projects[at..=at]) else { return };
    let keys = |_, _| bulk("keys", ids(1, 10_000), &json!({}));
    alone("bulk_keys of 10,000 ids", many, large, keys).await;
    let delete =
        |round, _| bulk("delete", ids(20_001 + 10_000 * number(round), 10_000), &json!({}));
    alone("bulk_delete of 10,000 flags", Rounds { warm_up: 0, measured: 5 }, large, delete).await;
}

/// What a small project has too few flags for.
async fn alone(
    name: &str,
    rounds: Rounds,
    project: &[Project],
    request: impl Fn(usize, i64) -> Request,
) {
    let figures = rounds.run(project, request).await;
    print(name, &[None, figures[0]]);
}

fn tags(round: usize, _: i64) -> Request {
    let action = if round.is_multiple_of(2) { "add" } else { "remove" };
    bulk("update_tags", ids(1, 500), &json!({"action": action, "tags": ["bulk"]}))
}

fn get(path: &str) -> Request {
    (Method::GET, format!("{FLAGS}{path}"), None)
}

fn bulk(what: &str, ids: Vec<i64>, rest: &Value) -> Request {
    let mut body = rest.clone();
    body["ids"] = json!(ids);
    (Method::POST, format!("{FLAGS}bulk_{what}/"), Some(body))
}

fn ids(from: i64, count: i64) -> Vec<i64> {
    (from..from + count).collect()
}

fn number(round: usize) -> i64 {
    i64::try_from(round).unwrap_or(i64::MAX)
}
