//! How many bytes of text rows have, asked before they are read.

use std::collections::HashMap;

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter, QuerySelect,
    sea_query::{Alias, Expr, Func, SimpleExpr},
};

use super::{among::among, failure};
use crate::model::error::Result;

/// The expression of a text column's length in bytes, as a 64-bit number; 0 for null.
pub(super) fn bytes_of(column: impl ColumnTrait) -> SimpleExpr {
    let length = Func::cust("octet_length").arg(Expr::col(column.as_column_ref()));
    let length = SimpleExpr::from(length).cast_as(Alias::new("bigint"));
    Func::coalesce([length, Expr::value(0_i64)]).into()
}

/// Returns the sizes of these rows' texts together, in the order given; rows that are gone are
/// left out.
pub(super) async fn sizes<E: EntityTrait>(
    connection: &impl ConnectionTrait,
    (project, project_id): (E::Column, i64),
    id: E::Column,
    texts: &[E::Column],
    ids: Vec<i64>,
) -> Result<Vec<(i64, i64)>> {
    let bytes = texts.iter().map(|text| bytes_of(*text)).reduce(|sum, bytes| sum.add(bytes));
    let rows: Vec<(i64, i64)> = E::find()
        .select_only()
        .column(id)
        .column_as(bytes.unwrap_or_else(|| Expr::value(0_i64)), "bytes")
        .filter(project.eq(project_id))
        .filter(among(connection, id, ids.iter().copied()))
        .into_tuple()
        .all(connection)
        .await
        .map_err(failure)?;
    let sizes: HashMap<i64, i64> = rows.into_iter().collect();
    Ok(ids.into_iter().filter_map(|id| Some((id, *sizes.get(&id)?))).collect())
}
