//! Wall clocks that are wrong or jump: changes stay in the order of their commits, and no key lives
//! longer for it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chrono::TimeDelta;
use flagstaff::{clock::Clock, wire::v1::ListActivityRequest};
use http::Method;
use serde_json::{Value, json};

use crate::support::{FLAGS, Service, eventually};

/// 1.2 s, and the rest for a busy machine.
const BOUND: Duration = Duration::from_secs(5);
const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

both_databases! {
    changes_are_in_the_order_of_their_commits,
    a_revoked_key_opens_nothing_though_the_clock_goes_back,
}

/// A clock that is so many seconds ahead of the machine's, and can be set.
fn off_by(seconds: &Arc<AtomicI64>) -> Clock {
    let (system, seconds) = (Clock::system(), Arc::clone(seconds));
    Clock::new(move || system.now() + TimeDelta::seconds(seconds.load(Ordering::SeqCst)))
}

/// What each row says that the flag's name became, in the order of the rows.
fn names(rows: &[Value]) -> Vec<String> {
    let change = |row: &Value| {
        let changes = row["detail"]["changes"].as_array().unwrap().iter();
        let name = changes.clone().find(|change| change["field"] == "name")?;
        Some(name["after"].as_str().unwrap().to_owned())
    };
    rows.iter().filter_map(change).collect()
}

async fn changes_are_in_the_order_of_their_commits(service: &Service) {
    let offset = Arc::new(AtomicI64::new(0));
    let replica = service.replica_at(off_by(&offset)).await;
    let (id, _) = service.create(json!({"key": "k"})).await;
    // One that is right, one that goes a day ahead for a moment, then an hour back.
    let edits = [(service, 0), (&replica, DAY), (service, 0), (&replica, -HOUR), (&replica, 0)];
    for (edit, (at, seconds)) in edits.into_iter().enumerate() {
        offset.store(seconds, Ordering::SeqCst);
        let (status, body) = at.patch(id, json!({"name": format!("{edit}")})).await;
        assert_eq!(status, 200, "{body}");
    }
    let newest_first = ["4", "3", "2", "1", "0"];
    for path in [format!("{FLAGS}activity/"), format!("{FLAGS}{id}/activity/")] {
        let (_, all) = service.get(&path).await;
        assert_eq!(names(all["results"].as_array().unwrap()), newest_first, "{path}");
        let mut paged = Vec::new();
        for page in 1..=3 {
            let (_, part) = service.get(&format!("{path}?limit=2&page={page}")).await;
            paged.extend(names(part["results"].as_array().unwrap()));
        }
        assert_eq!(paged, newest_first, "{path} in pages");
    }
    let mut request = ListActivityRequest { page_size: 2, ..Default::default() };
    let mut ids = Vec::new();
    loop {
        let page = service.flags().list_activity(request.clone()).await.unwrap().into_inner();
        ids.extend(page.results.into_iter().map(|row| row.id));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let (_, all) = service.get(&format!("{FLAGS}activity/")).await;
    let rows = all["results"].as_array().unwrap().iter();
    let rest: Vec<_> = rows.map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!(ids, rest, "by tokens");
    let (_, versions) = service.get(&format!("{FLAGS}{id}/versions/")).await;
    let numbers: Vec<_> =
        versions["results"].as_array().unwrap().iter().map(|row| row["version"].as_i64()).collect();
    assert!(numbers.is_sorted_by(|a, b| a > b) && numbers.len() == 6, "{versions}");
    replica.stop().await;
}

async fn a_revoked_key_opens_nothing_though_the_clock_goes_back(service: &Service) {
    let offset = Arc::new(AtomicI64::new(0));
    let replica = service.replica_at(off_by(&offset)).await;
    let key = service.new_key("--project 1 --scopes feature_flag:read");
    let listed = service.flagstaff(&["keys", "list"]).run().last_line();
    let keys: Value = serde_json::from_str(&listed).unwrap();
    let id = keys.as_array().unwrap().last().unwrap()["id"].to_string();
    let status = async || replica.call(Method::GET, FLAGS, Some(&key), None).await.status;
    assert_eq!(status().await, 200, "it is remembered");
    let mut watcher = replica.watch(&key, None).await;
    watcher.hear().await;

    offset.store(-HOUR, Ordering::SeqCst);
    service.flagstaff(&["keys", "revoke", &id]).run();
    let refused = async || (status().await == 401).then_some(());
    eventually("it is refused", BOUND, refused).await;
    let end = tokio::time::timeout(BOUND, watcher.end()).await.unwrap();
    assert_eq!(end.code(), tonic::Code::Unauthenticated);
    replica.stop().await;
}
