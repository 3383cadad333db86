//! Conditions on very many ids at once.
//!
//! A list of values in a statement is bounded by both databases, and a
//! statement of another length each time is planned anew. One value that holds
//! them all is neither.

use sea_orm::{ColumnTrait, ConnectionTrait, DbBackend, sea_query::Expr};

/// Whether a column of whole numbers is one of `ids`, however many they are.
pub(super) fn among(
    connection: &impl ConnectionTrait,
    column: impl ColumnTrait,
    ids: impl IntoIterator<Item = i64>,
) -> Expr {
    let column = Expr::col(column.as_column_ref());
    let ids: Vec<String> = ids.into_iter().map(|id| id.to_string()).collect();
    let ids = ids.join(",");
    match connection.get_database_backend() {
        DbBackend::Postgres => {
            let ids = Expr::val(format!("{{{ids}}}"));
            // As a set rather than `= ANY(…)`, which would compare each row with each id.
            let set = "$1 IN (SELECT unnest(CAST($2 AS bigint[])))";
            Expr::cust_with_exprs(set, [column, ids])
        }
        _ => {
            let ids = Expr::val(format!("[{ids}]"));
            Expr::cust_with_exprs("? IN (SELECT value FROM json_each(?))", [column, ids])
        }
    }
}
