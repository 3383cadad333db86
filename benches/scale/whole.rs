//! What reads or writes much at once: the activity log, old versions, bulk operations.
//!
//! These run after the others, since they change what those measure.

use std::time::{Duration, Instant};

use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::FLAGS;

/// The flag whose thousand edits are seeded.
pub(crate) const EDITED: i64 = 999;
/// How many edits that is.
pub(crate) const EDITS: i64 = 1_000;

/// A name, and the median and 95th percentile of its rounds; `None` where a project is too small.
pub(crate) type Figure = (&'static str, Option<(Duration, Duration)>);

/// Where requests go, and as whom.
pub(crate) struct Caller<'a> {
    pub(crate) client: &'a Client,
    pub(crate) base: &'a str,
    pub(crate) key: &'a str,
}

/// Measures each in a project of `size` flags and ten times as many activity rows.
pub(crate) async fn measure(caller: &Caller<'_>, size: i64) -> Vec<Figure> {
    let log = |query: &str| (Method::GET, format!("{FLAGS}activity/{query}"), None);
    let of_flag = (Method::GET, format!("{FLAGS}{EDITED}/activity/"), None);
    let version = |n| (Method::GET, format!("{FLAGS}{EDITED}/versions/{n}/"), None);
    let ids = |range: std::ops::Range<i64>| range.collect::<Vec<i64>>();
    let bulk = |what: &str, body: Value| (Method::POST, format!("{FLAGS}bulk_{what}/"), Some(body));
    let keys = bulk("keys", json!({"ids": ids(1..10_001)}));
    let tags = |round: usize| {
        let action = if round.is_multiple_of(2) { "add" } else { "remove" };
        bulk("update_tags", json!({"ids": ids(1..501), "action": action, "tags": ["bulk"]}))
    };
    let delete = |from: i64, count: i64| bulk("delete", json!({"ids": ids(from..from + count)}));
    let mut figures = vec![
        ("activity, page 1", Some(caller.time(40, |_| log("")).await)),
        ("activity of a flag, page 1", Some(caller.time(40, |_| of_flag.clone()).await)),
        ("versions/1 across 1,000 edits", Some(caller.time(20, |_| version(1)).await)),
        ("bulk_keys of 10,000 ids", Some(caller.time(20, |_| keys.clone()).await)),
        ("bulk_update_tags of 500 flags", Some(caller.time(10, tags).await)),
    ];
    let few = |round: usize| delete(1 + 100 * i64::try_from(round).unwrap_or(0), 100);
    figures.push(("bulk_delete of 100 flags", Some(caller.time(5, few).await)));
    let many = |round: usize| delete(20_001 + 10_000 * i64::try_from(round).unwrap_or(0), 10_000);
    let large = match size >= 100_000 {
        true => Some(caller.time(5, many).await),
        false => None,
    };
    figures.push(("bulk_delete of 10,000 flags", large));
    figures
}

impl Caller<'_> {
    async fn time(
        &self,
        rounds: usize,
        request: impl Fn(usize) -> (Method, String, Option<Value>),
    ) -> (Duration, Duration) {
        let mut taken = Vec::new();
        for round in 0..rounds {
            let (method, path, body) = request(round);
            let url = format!("{}{path}", self.base);
            let mut request = self.client.request(method, url).bearer_auth(self.key);
            if let Some(body) = body {
                request = request.json(&body);
            }
            let started = Instant::now();
            let answer = request.send().await.expect("an answer");
            let status = answer.status();
            let text = answer.text().await.expect("a body");
            taken.push(started.elapsed());
            assert!(status.is_success(), "{path}: {status} {text}");
        }
        taken.sort_unstable();
        (taken[taken.len() / 2], taken[taken.len() * 95 / 100])
    }
}
