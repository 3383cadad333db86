//! Usage rows, written as ingestion writes them.

use std::fmt::Write as _;

use chrono::{DateTime, DurationRound, SecondsFormat, TimeDelta, Utc};
use flagstaff::{clock::Clock, model::sketch::UniqueSketch};
use serde_json::Value;

use super::{FLAGS, Service};

pub(crate) const CALLED: &str = "$feature_flag_called";
pub(crate) const VIEWED: &str = "$feature_view";
pub(crate) const INTERACTED: &str = "$feature_interaction";

/// One hour's events of one flag with one answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage<'a> {
    pub(crate) project: i64,
    pub(crate) key: &'a str,
    pub(crate) event: &'a str,
    pub(crate) variant: &'a str,
    /// Such as `2026-03-01T10:00:00Z`.
    pub(crate) hour: &'a str,
    pub(crate) count: u64,
    pub(crate) users: &'a [&'a str],
}

impl Default for Usage<'_> {
    fn default() -> Self {
        Self {
            project: 1,
            key: "checkout",
            event: CALLED,
            variant: "true",
            hour: "2026-03-01T10:00:00Z",
            count: 1,
            users: &[],
        }
    }
}

/// What the service's clock says.
pub(crate) fn now() -> DateTime<Utc> {
    Clock::system().now()
}

/// The hour that an instant is in, as rows and labels spell it in UTC.
pub(crate) fn hour_of(instant: DateTime<Utc>) -> String {
    let hour = instant.duration_trunc(TimeDelta::hours(1)).unwrap();
    hour.to_rfc3339_opts(SecondsFormat::Secs, true)
}

impl Service {
    /// Writes rows of hours that have none yet.
    pub(crate) async fn used(&self, rows: &[Usage<'_>]) {
        let mut statements = String::new();
        for row in rows {
            let mut sketch = UniqueSketch::default();
            row.users.iter().for_each(|user| sketch.add(user));
            let sketch = hex::encode(sketch.to_bytes());
            let sketch = match self.database_url.starts_with("postgres") {
                true => format!("'\\x{sketch}'"),
                false => format!("X'{sketch}'"),
            };
            let hour = row.hour.replace('Z', "+00:00");
            let quoted = |text: &str| text.replace('\'', "''");
            let key = format!(
                "{}, '{}', '{}', '{}', '{hour}'",
                row.project,
                quoted(row.key),
                row.event,
                quoted(row.variant)
            );
            let columns = "project_id, flag_key, event, variant, hour";
            write!(
                statements,
                "INSERT INTO usage_hour ({columns}, count) VALUES ({key}, {}); \
                 INSERT INTO usage_unique ({columns}, sketch) VALUES ({key}, {sketch});",
                row.count
            )
            .unwrap();
        }
        self.execute(&format!("BEGIN; {statements} COMMIT;")).await;
    }

    /// A new flag of project 1: its id and that of its dashboard.
    pub(crate) async fn create_with_dashboard(&self, key: &str) -> (i64, i64) {
        let (id, flag) = self.create(serde_json::json!({"key": key})).await;
        (id, flag["usage_dashboard"].as_i64().unwrap())
    }

    /// The dashboard that a flag of project 1 has now.
    pub(crate) async fn dashboard_of(&self, flag: i64) -> Option<i64> {
        self.get(&format!("{FLAGS}{flag}/")).await.1["usage_dashboard"].as_i64()
    }

    /// A dashboard of project 1 as it must be there.
    pub(crate) async fn dashboard(&self, id: i64, query: &str) -> Value {
        let (status, shown) = self.get(&format!("/api/projects/1/dashboards/{id}/{query}")).await;
        assert_eq!(status, 200, "{query}: {shown}");
        shown
    }
}

/// The lines of a dashboard's tile: name and numbers.
pub(crate) fn lines(dashboard: &Value, tile: usize) -> Vec<(String, Vec<u64>)> {
    let series = &dashboard["tiles"][tile]["insight"]["result"]["series"];
    let number = |number: &Value| number.as_u64().unwrap();
    let line = |line: &Value| {
        let data = line["data"].as_array().unwrap().iter().map(number).collect();
        (line["label"].as_str().unwrap().to_owned(), data)
    };
    series.as_array().unwrap().iter().map(line).collect()
}

pub(crate) fn labels(dashboard: &Value, tile: usize) -> Vec<String> {
    let labels = &dashboard["tiles"][tile]["insight"]["result"]["labels"];
    let text = |label: &Value| label.as_str().unwrap().to_owned();
    labels.as_array().unwrap().iter().map(text).collect()
}
