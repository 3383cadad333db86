//! Many at once: no version twice, no key twice, no row lost.

use std::collections::BTreeSet;

use futures::{StreamExt, future::join_all, stream};
use serde_json::{Value, json};

use crate::support::{FLAGS, Service};

both_databases! {
    concurrent_changes_get_versions_of_their_own,
    of_concurrent_creations_of_one_key_one_succeeds,
}

async fn concurrent_changes_get_versions_of_their_own(service: &Service) {
    const CHANGES: i64 = 200;
    // More at once would try how long a slow disk may keep a writer waiting, which is another test.
    const AT_ONCE: usize = 50;
    let id = service.create_for_everyone("busy").await;
    let changes = (0..CHANGES).map(|n| service.patch(id, json!({"name": format!("n{n}")})));
    let answers: Vec<_> = stream::iter(changes).buffer_unordered(AT_ONCE).collect().await;
    let versions: BTreeSet<_> = answers
        .iter()
        .map(|(status, flag)| {
            assert_eq!(*status, 200, "{flag}");
            flag["version"].as_i64().unwrap()
        })
        .collect();
    assert_eq!(versions, (2..=CHANGES + 1).collect());

    let (_, flag) = service.get(&format!("{FLAGS}{id}/")).await;
    assert_eq!(flag["version"], CHANGES + 1);
    assert_eq!(service.evaluated(&service.token, "busy").await["metadata"]["version"], CHANGES + 1);
    assert_eq!(service.totals().await, (1, CHANGES + 1));
    let (_, page) = service.get(&format!("{FLAGS}{id}/activity/?limit=1000")).await;
    let logged = page["results"].as_array().unwrap().iter().flat_map(version_in);
    assert_eq!(logged.collect::<BTreeSet<_>>(), versions, "each has its row");
}

/// The version that a row says a change led to.
fn version_in(row: &Value) -> Option<i64> {
    let changes = row["detail"]["changes"].as_array()?;
    changes.iter().find(|change| change["field"] == "version")?["after"].as_i64()
}

async fn of_concurrent_creations_of_one_key_one_succeeds(service: &Service) {
    let creations = (0..50).map(|n| {
        let body = json!({"key": "contested", "name": n.to_string()});
        service.rest(http::Method::POST, FLAGS, body)
    });
    let (made, refused): (Vec<_>, Vec<_>) =
        join_all(creations).await.into_iter().partition(|(status, _)| *status == 201);
    assert_eq!(made.len(), 1);
    for (status, error) in refused {
        let expected = (400, &json!("unique"), &json!("key"));
        assert_eq!((status, &error["code"], &error["attr"]), expected, "{error}");
    }
    assert_eq!(service.totals().await, (1, 1));
}
