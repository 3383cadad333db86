//! Persons, their ids and changes, and the groups they come in.
//!
//! Whatever points to a person has an index that begins with `person_id`, or
//! deleting one of a million would read the whole table.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, integer, text, timestamp_with_time_zone, uuid, uuid_null,
};

use crate::shapes::{
    created_at, drop_tables, goes_with, index, numbered_of_project, of_project, unique,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(person()).await?;
        manager.create_index(unique("person", &["project_id", "uuid"])).await?;
        manager.create_table(person_distinct_id()).await?;
        manager.create_index(unique("person_distinct_id", &["project_id", "distinct_id"])).await?;
        manager.create_index(index("person_distinct_id", &["person_id"])).await?;
        manager.create_table(person_change()).await?;
        manager
            .create_index(index("person_change", &["project_id", "person_id", "occurred_at", "id"]))
            .await?;
        manager.create_index(index("person_change", &["person_id"])).await?;
        manager.create_table(group_type()).await?;
        manager.create_index(unique("group_type", &["project_id", "name"])).await?;
        manager.create_table(group()).await?;
        manager
            .create_index(unique("group", &["project_id", "group_type_index", "group_key"]))
            .await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(
            manager,
            &["group", "group_type", "person_change", "person_distinct_id", "person"],
        )
        .await
    }
}

fn person() -> TableCreateStatement {
    numbered_of_project("person")
        .col(uuid("uuid"))
        .col(text("properties").default("{}").take())
        .col(created_at())
        .col(timestamp_with_time_zone("updated_at"))
        .take()
}

fn person_distinct_id() -> TableCreateStatement {
    numbered_of_project("person_distinct_id")
        .col(big_integer("person_id"))
        .col(text("distinct_id"))
        .foreign_key(&mut goes_with("person_id", "person"))
        .take()
}

fn person_change() -> TableCreateStatement {
    numbered_of_project("person_change")
        .col(big_integer("person_id"))
        .col(uuid_null("event_uuid"))
        .col(text("kind"))
        .col(text("properties"))
        .col(timestamp_with_time_zone("occurred_at"))
        .col(timestamp_with_time_zone("recorded_at"))
        .foreign_key(&mut goes_with("person_id", "person"))
        .take()
}

fn group_type() -> TableCreateStatement {
    of_project("group_type")
        .col(integer("group_type_index"))
        .col(text("name"))
        .primary_key(Index::create().col("project_id").col("group_type_index"))
        .take()
}

fn group() -> TableCreateStatement {
    numbered_of_project("group")
        .col(integer("group_type_index"))
        .col(text("group_key"))
        .col(text("properties"))
        .col(created_at())
        .col(timestamp_with_time_zone("updated_at"))
        .take()
}
