//! Cohorts with their listed members, and the hash keys fixed for persons.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, boolean, text, text_null};

use crate::shapes::{
    created_at, drop_tables, goes_with, index, numbered_of_project, of_project, outlives, pairs,
    with_project,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(cohort()).await?;
        manager.create_index(index("cohort", &["project_id", "deleted", "id"])).await?;
        manager.create_table(cohort_member()).await?;
        manager.create_index(index("cohort_member", &["person_id"])).await?;
        manager.create_table(hash_key_override()).await?;
        manager.create_index(index("hash_key_override", &["person_id"])).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &["hash_key_override", "cohort_member", "cohort"]).await
    }
}

fn cohort() -> TableCreateStatement {
    numbered_of_project("cohort")
        .col(text("name"))
        .col(text("description"))
        .col(boolean("is_static"))
        .col(text_null("filters"))
        .col(big_integer_null("count"))
        .col(boolean("deleted").default(false).take())
        .col(big_integer_null("created_by_id"))
        .col(created_at())
        .foreign_key(&mut outlives("created_by_id", "user"))
        .take()
}

fn cohort_member() -> TableCreateStatement {
    with_project(pairs("cohort_member", ("cohort_id", "cohort"), ("person_id", "person")))
}

/// The flag is named by key, so an override outlives the flag's row.
fn hash_key_override() -> TableCreateStatement {
    of_project("hash_key_override")
        .col(big_integer("person_id"))
        .col(text("feature_flag_key"))
        .col(text("hash_key"))
        .col(created_at())
        .primary_key(Index::create().col("project_id").col("person_id").col("feature_flag_key"))
        .foreign_key(&mut goes_with("person_id", "person"))
        .take()
}
