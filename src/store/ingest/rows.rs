//! Sets of rows as one value of a statement: JSON, which both databases unfold.

use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement, Value};

use crate::{
    model::error::Result,
    store::{Transaction, failure},
};

/// Runs a statement; `$1` and so on are the values.
pub(super) async fn execute(txn: &Transaction, sql: &str, values: Vec<Value>) -> Result<u64> {
    let backend = txn.get_database_backend();
    let statement = Statement::from_sql_and_values(backend, sql, values);
    Ok(txn.execute_raw(statement).await.map_err(failure)?.rows_affected())
}

/// As [`execute`], with the rows that it answers.
pub(super) async fn query(
    txn: &Transaction,
    sql: &str,
    values: Vec<Value>,
) -> Result<Vec<QueryResult>> {
    let backend = txn.get_database_backend();
    let statement = Statement::from_sql_and_values(backend, sql, values);
    txn.query_all_raw(statement).await.map_err(failure)
}

/// A table in a FROM, from the JSON list of objects in the value `$1`: its columns are fields of
/// those objects, with the types that PostgreSQL has for them.
pub(super) fn unfolded(backend: DbBackend, columns: &[(&str, &str)]) -> String {
    match backend {
        DbBackend::Postgres => {
            let columns: Vec<_> =
                columns.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
            format!("json_to_recordset($1::json) AS x({})", columns.join(", "))
        }
        _ => {
            let columns: Vec<_> =
                columns.iter().map(|(name, _)| format!("value ->> '{name}' AS {name}")).collect();
            format!("(SELECT {} FROM json_each($1)) AS x", columns.join(", "))
        }
    }
}
