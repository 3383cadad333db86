//! More requests than the service can answer: those it takes are answered, the others are told at
//! once to come again, and probes go on.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures::future::join_all;
use serde_json::json;

use crate::support::target::{TOKEN, Target, tell};

/// Callers who ask again as soon as they have an answer: many times what two processors answer.
const CALLERS: usize = 200;
const CALLS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn every_request_is_answered_or_told_to_come_again() {
    let target = Target::start(&["--max-queue-delay", "20ms"]);
    let (url, body) = (target.url("/flags?v=2"), json!({"token": TOKEN, "distinct_id": "ann"}));
    let began = Instant::now();
    let caller = async || {
        let mut statuses = BTreeMap::<u16, usize>::new();
        for _ in 0..CALLS {
            let answer = target.http.post(&url).json(&body).send().await.unwrap();
            let status = answer.status().as_u16();
            assert!(status == 200 || answer.headers().contains_key("retry-after"), "{status}");
            *statuses.entry(status).or_default() += 1;
        }
        statuses
    };
    let (statuses, witness) = target.under(join_all((0..CALLERS).map(|_| caller()))).await;
    let mut total = BTreeMap::<u16, usize>::new();
    for (status, count) in statuses.into_iter().flatten() {
        *total.entry(status).or_default() += count;
    }
    tell("overload", &(&total, began.elapsed(), witness.figures()));
    assert!(total.keys().all(|status| matches!(status, 200 | 503)), "{total:?}");
    assert_eq!(total.values().sum::<usize>(), CALLERS * CALLS);
    assert!(total[&200] > 0 && witness.probes > 0, "{total:?}");
    // Once it is over, everybody is answered.
    let again = async || {
        let answer = target.http.post(&url).json(&body).send().await.unwrap();
        (answer.status() == 200).then_some(())
    };
    crate::support::eventually("it recovers", Duration::from_secs(60), again).await;
}
