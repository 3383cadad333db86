//! Sets of rows as one value of a statement: JSON, which both databases unfold.
//!
//! PostgreSQL plans a statement by what it knows of the tables, which is nothing
//! before the first ANALYZE, and may then join by comparing each row with each.
//! So a set is never joined freely: each of its rows looks its counterpart up in
//! a `LATERAL` that the planner cannot pull apart (it has a `LIMIT` or an
//! `OFFSET 0`), and rows are updated by `INSERT … ON CONFLICT` or by a list of
//! ids. On SQLite the order of a `CROSS JOIN` is kept, and `+project_id` keeps
//! a statement from going through an index of the whole project.

use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement, Value};

use crate::{model::error::Result, store::failure};

/// Runs a statement; `$1` and so on are the values.
pub(super) async fn execute(
    connection: &impl ConnectionTrait,
    sql: &str,
    values: Vec<Value>,
) -> Result<u64> {
    let backend = connection.get_database_backend();
    let statement = Statement::from_sql_and_values(backend, sql, values);
    Ok(connection.execute_raw(statement).await.map_err(failure)?.rows_affected())
}

/// As [`execute`], with the rows that it answers.
pub(super) async fn query(
    connection: &impl ConnectionTrait,
    sql: &str,
    values: Vec<Value>,
) -> Result<Vec<QueryResult>> {
    let backend = connection.get_database_backend();
    let statement = Statement::from_sql_and_values(backend, sql, values);
    connection.query_all_raw(statement).await.map_err(failure)
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

/// Joins a set, as [`unfolded`] has it, with the rows of a table that `condition` finds for each
/// of its rows, as `found`.
pub(super) fn looked_up(
    backend: DbBackend,
    columns: &[(&str, &str)],
    table: &str,
    condition: &str,
) -> String {
    let set = unfolded(backend, columns);
    match backend {
        DbBackend::Postgres => format!(
            "{set} CROSS JOIN LATERAL \
             (SELECT * FROM {table} AS r WHERE {condition} OFFSET 0) AS found"
        ),
        _ => format!("{set} CROSS JOIN {table} AS found ON {}", condition.replace("r.", "found.")),
    }
}

/// The condition that a column of whole numbers is one of the JSON list in the value `$n`, which
/// an index of that column answers.
pub(super) fn is_among(backend: DbBackend, column: &str, n: usize) -> String {
    match backend {
        DbBackend::Postgres => format!(
            "{column} = ANY (ARRAY(SELECT CAST(item AS bigint) \
             FROM json_array_elements_text(${n}::json) AS l(item)))"
        ),
        _ => format!("{column} IN (SELECT value FROM json_each(${n}))"),
    }
}
