//! Which events are new: of two with one uuid the first counts.

use std::collections::HashSet;

use sea_orm::{ConnectionTrait, DbBackend};
use serde_json::json;
use uuid::Uuid;

use super::{Write, rows};
use crate::{model::error::Result, store::failure};

/// Returns those of the ids that were taken in before.
pub(super) async fn stored(
    connection: &impl ConnectionTrait,
    project_id: i64,
    uuids: &HashSet<Uuid>,
) -> Result<HashSet<Uuid>> {
    if uuids.is_empty() {
        return Ok(HashSet::new());
    }
    let sql = lookup(connection.get_database_backend());
    let found = rows::query(connection, sql, vec![list(uuids), project_id.into()]).await?;
    found.iter().map(|row| row.try_get_by_index(0).map_err(failure)).collect()
}

pub(super) const fn lookup(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Postgres => {
            "SELECT found.uuid FROM json_array_elements_text($1::json) AS x(id) \
             CROSS JOIN LATERAL (SELECT uuid FROM ingested_event \
             WHERE project_id = $2 AND uuid = CAST(x.id AS uuid) LIMIT 1) AS found"
        }
        _ => {
            "SELECT uuid FROM ingested_event \
             WHERE project_id = $2 AND uuid IN (SELECT unhex(value) FROM json_each($1))"
        }
    }
}

/// Remembers the ids of events. False if one of them was taken in meanwhile.
pub(super) async fn remember(write: &Write<'_>, uuids: &HashSet<Uuid>) -> Result<bool> {
    if uuids.is_empty() {
        return Ok(true);
    }
    let each = match write.backend() {
        DbBackend::Postgres => {
            "$2::bigint, value::uuid, $3::timestamptz FROM json_array_elements_text($1::json)"
        }
        _ => "$2, unhex(value), $3 FROM json_each($1) WHERE true",
    };
    let sql = format!(
        "INSERT INTO ingested_event (project_id, uuid, received_at) SELECT {each} \
         ON CONFLICT DO NOTHING"
    );
    let values = vec![list(uuids), write.id.into(), write.now.into()];
    let written = rows::execute(write.txn, &sql, values).await?;
    Ok(usize::try_from(written) == Ok(uuids.len()))
}

/// In order, so that two writers wait for each other in one direction.
fn list(uuids: &HashSet<Uuid>) -> sea_orm::Value {
    let mut ids: Vec<String> = uuids.iter().map(|uuid| uuid.simple().to_string()).collect();
    ids.sort_unstable();
    json!(ids).to_string().into()
}
