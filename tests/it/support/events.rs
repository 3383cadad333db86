//! Events, sent as SDKs send them, and what was stored of them.

use http::Method;
use sea_orm::{ConnectionTrait, Database, Statement};
use serde_json::{Value, json};

use super::{
    Service,
    rest::{Answer, send},
};

/// An event of somebody.
pub(crate) fn event(name: &str, distinct_id: &str, properties: Value) -> Value {
    json!({"event": name, "distinct_id": distinct_id, "properties": properties})
}

/// The same event at a time of its own.
pub(crate) fn at(timestamp: &str, mut event: Value) -> Value {
    event["timestamp"] = json!(timestamp);
    event
}

/// The same event with an id.
pub(crate) fn with_uuid(uuid: &str, mut event: Value) -> Value {
    event["uuid"] = json!(uuid);
    event
}

/// Somebody's call of a flag.
pub(crate) fn called(key: &str, distinct_id: &str, response: Value) -> Value {
    let properties = json!({"$feature_flag": key, "$feature_flag_response": response});
    event("$feature_flag_called", distinct_id, properties)
}

impl Service {
    /// Sends a body to a path that takes events.
    pub(crate) async fn send_events(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::POST, path).json(body)).await
    }

    /// Sends events that must all be taken.
    pub(crate) async fn ingest(&self, events: &[Value]) {
        let body = json!({"api_key": self.token, "batch": events});
        let answer = self.send_events("/batch/", &body).await;
        assert_eq!((answer.status, answer.json()), (200, json!({"status": 1})), "{}", answer.text);
    }

    /// The stored properties of a person; `None` where there is nobody of that id.
    pub(crate) async fn properties_of(&self, distinct_id: &str) -> Option<Value> {
        let query = format!(
            "SELECT p.properties FROM person p JOIN person_distinct_id d ON d.person_id = p.id \
             WHERE d.distinct_id = '{distinct_id}' AND d.project_id = 1 AND p.project_id = 1"
        );
        self.stored(&query).await.map(|text| serde_json::from_str(&text).unwrap())
    }

    /// How many rows there are, such as `person WHERE project_id = 1`.
    pub(crate) async fn count(&self, rows: &str) -> i64 {
        self.number(&format!("SELECT COUNT(*) FROM {rows}")).await
    }

    /// The one number that a query answers; 0 for null.
    pub(crate) async fn number(&self, query: &str) -> i64 {
        number(&self.database_url, query).await
    }
}

/// The one number that a query answers on a database; 0 for null.
pub(crate) async fn number(database_url: &str, query: &str) -> i64 {
    let connection = Database::connect(database_url).await.unwrap();
    let query = format!("SELECT CAST(({query}) AS BIGINT)");
    let statement = Statement::from_string(connection.get_database_backend(), query);
    let row = connection.query_one_raw(statement).await.unwrap().unwrap();
    connection.close().await.unwrap();
    row.try_get_by_index::<Option<i64>>(0).unwrap().unwrap_or_default()
}
