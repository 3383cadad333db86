//! The shapes that tables, columns and indexes share.
//!
//! These are part of history too: a shape that has shipped keeps its meaning,
//! and a new habit gets a new function.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_pk_auto, timestamp_with_time_zone};

/// A table whose rows have an `id` of their own, given by the database.
pub(crate) fn numbered(table: &'static str) -> TableCreateStatement {
    Table::create().table(table).col(big_pk_auto("id")).take()
}

/// A table of rows that belong to a project and go with it.
pub(crate) fn of_project(table: &'static str) -> TableCreateStatement {
    with_project(Table::create().table(table).take())
}

/// A table of numbered rows that belong to a project and go with it.
pub(crate) fn numbered_of_project(table: &'static str) -> TableCreateStatement {
    with_project(numbered(table))
}

/// A table that joins two others: one row a pair, gone when either side is.
///
/// Each side is a column and the table it points to. The pair is the primary
/// key, which finds rows by the first side; finding them by the second takes
/// an index of its own.
pub(crate) fn pairs(
    table: &'static str,
    (left, left_table): (&'static str, &'static str),
    (right, right_table): (&'static str, &'static str),
) -> TableCreateStatement {
    Table::create()
        .table(table)
        .col(big_integer(left))
        .col(big_integer(right))
        .primary_key(Index::create().col(left).col(right))
        .foreign_key(&mut goes_with(left, left_table))
        .foreign_key(&mut goes_with(right, right_table))
        .take()
}

/// Adds `project_id`, with which the row goes.
pub(crate) fn with_project(mut table: TableCreateStatement) -> TableCreateStatement {
    table.col(big_integer("project_id")).foreign_key(&mut goes_with("project_id", "project")).take()
}

/// The time a row was made.
///
/// It has no default: SQLite's idea of "now" is text in another form than the
/// service writes, and the two would not sort together.
pub(crate) fn created_at() -> ColumnDef {
    timestamp_with_time_zone("created_at")
}

/// `column` points to a row of `parent`, and its own row goes with that one.
pub(crate) fn goes_with(column: &'static str, parent: &'static str) -> ForeignKeyCreateStatement {
    points_to(column, parent, ForeignKeyAction::Cascade)
}

/// `column` points to a row of `parent`, and becomes null when that one goes.
pub(crate) fn outlives(column: &'static str, parent: &'static str) -> ForeignKeyCreateStatement {
    points_to(column, parent, ForeignKeyAction::SetNull)
}

fn points_to(
    column: &'static str,
    parent: &'static str,
    on_delete: ForeignKeyAction,
) -> ForeignKeyCreateStatement {
    ForeignKey::create().from_col(column).to_tbl(parent).to_col("id").on_delete(on_delete).take()
}

/// An index that no two rows may share, named `<table>_<columns>_key`.
pub(crate) fn unique(table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    over(table, columns, "key").unique().take()
}

/// An index, named `<table>_<columns>_idx`.
pub(crate) fn index(table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    over(table, columns, "idx")
}

fn over(table: &'static str, columns: &[&'static str], suffix: &str) -> IndexCreateStatement {
    let name = format!("{table}_{}_{suffix}", columns.join("_"));
    let mut index = Index::create().name(name).table(table).take();
    for column in columns {
        index.col(*column);
    }
    index
}

/// Drops tables in the order given: those that point before those pointed to.
pub(crate) async fn drop_tables(
    manager: &SchemaManager<'_>,
    tables: &[&'static str],
) -> Result<(), DbErr> {
    for table in tables {
        manager.drop_table(Table::drop().table(*table).take()).await?;
    }
    Ok(())
}
