//! Redacts payloads in the activity rows of flags whose payloads are encrypted: rows that were
//! written while they were still plain kept the clear text.
//!
//! Rows of a flag that is no longer encrypted are redacted up to the last change that turned
//! encryption off. There is no way back: the way down leaves the rows as they are.

use sea_orm_migration::{
    prelude::*,
    sea_orm::{DbBackend, QueryResult, Statement},
};
use serde_json::Value;

const REDACTED: &str = "\"********* (encrypted)\"";
/// Rows read at a time; each may hold a flag's filters twice.
const PAGE_ROWS: usize = 50;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        let encrypted = "SELECT CAST(id AS text) AS item, project_id FROM feature_flag \
                         WHERE has_encrypted_payloads";
        for flag in query(db, encrypted, vec![]).await? {
            redact(db, &Rows::of(&flag)?).await?;
        }
        let former = "SELECT DISTINCT item_id AS item, project_id FROM activity_log \
                      WHERE scope = 'FeatureFlag' AND item_id IS NOT NULL \
                      AND detail LIKE '%\"field\":\"has_encrypted_payloads\",\"before\":true%'";
        for flag in query(db, former, vec![]).await? {
            redact(db, &Rows { until_turned_off: true, ..Rows::of(&flag)? }).await?;
        }
        Ok(())
    }

    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Ok(())
    }
}

/// The activity rows of a flag.
struct Rows {
    item: String,
    project_id: i64,
    /// Whether only those count that are older than the last change that turned encryption off.
    until_turned_off: bool,
}

impl Rows {
    fn of(flag: &QueryResult) -> Result<Self, DbErr> {
        Ok(Self {
            item: flag.try_get("", "item")?,
            project_id: flag.try_get("", "project_id")?,
            until_turned_off: false,
        })
    }
}

async fn redact(db: &impl ConnectionTrait, rows: &Rows) -> Result<(), DbErr> {
    let mut after = String::new();
    loop {
        let page = page(db, rows, &after).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.try_get("", "row_id")?;
        for row in page {
            let (id, detail): (String, String) =
                (row.try_get("", "row_id")?, row.try_get("", "detail")?);
            // What is damaged is left as it is.
            let Ok(mut detail) = serde_json::from_str(&detail) else { continue };
            if redact_detail(&mut detail) {
                let sql = match db.get_database_backend() {
                    DbBackend::Sqlite => {
                        "UPDATE activity_log SET detail = $2 WHERE hex(id) = $1 AND project_id = $3 AND item_id = $4 AND scope = 'FeatureFlag'"
                    }
                    _ => {
                        "UPDATE activity_log SET detail = $2 WHERE id = CAST($1 AS uuid) AND project_id = $3 AND item_id = $4"
                    }
                };
                let values = vec![
                    id.into(),
                    detail.to_string().into(),
                    rows.project_id.into(),
                    rows.item.clone().into(),
                ];
                db.execute_raw(Statement::from_sql_and_values(
                    db.get_database_backend(),
                    sql,
                    values,
                ))
                .await?;
            }
        }
    }
}

async fn page(
    db: &impl ConnectionTrait,
    rows: &Rows,
    after: &str,
) -> Result<Vec<QueryResult>, DbErr> {
    let row_id = match db.get_database_backend() {
        DbBackend::Sqlite => "hex(id)",
        _ => "CAST(id AS text)",
    };
    let until = if rows.until_turned_off {
        "AND created_at < (SELECT MAX(created_at) FROM activity_log WHERE project_id = $1 \
         AND scope = 'FeatureFlag' AND item_id = $2 \
         AND detail LIKE '%\"field\":\"has_encrypted_payloads\",\"before\":true%')"
    } else {
        ""
    };
    let sql = format!(
        "SELECT {row_id} AS row_id, detail FROM activity_log WHERE project_id = $1 \
         AND scope = 'FeatureFlag' AND item_id = $2 AND {row_id} > $3 \
         AND detail LIKE '%\"payloads\"%' {until} ORDER BY {row_id} LIMIT {PAGE_ROWS}"
    );
    query(db, &sql, vec![rows.project_id.into(), rows.item.clone().into(), after.into()]).await
}

async fn query(
    db: &impl ConnectionTrait,
    sql: &str,
    values: Vec<sea_orm_migration::sea_orm::Value>,
) -> Result<Vec<QueryResult>, DbErr> {
    db.query_all_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await
}

/// Redacts the payloads on both sides of each change of `filters`. Returns whether there were any.
fn redact_detail(detail: &mut Value) -> bool {
    let mut found = false;
    let changes = detail.get_mut("changes").and_then(Value::as_array_mut);
    for change in changes.into_iter().flatten().filter(|change| change["field"] == "filters") {
        for side in ["before", "after"] {
            let payloads = change.get_mut(side).and_then(|filters| filters.get_mut("payloads"));
            let Some(Value::Object(payloads)) = payloads else { continue };
            for payload in payloads.values_mut().filter(|payload| **payload != REDACTED) {
                *payload = REDACTED.into();
                found = true;
            }
        }
    }
    found
}
