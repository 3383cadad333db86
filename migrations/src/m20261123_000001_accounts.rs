//! Organizations, their projects and users, and the keys that open them.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, boolean, boolean_null, integer, text,
    timestamp_with_time_zone_null, uuid,
};

use crate::shapes::{created_at, drop_tables, goes_with, index, numbered, pairs, unique};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(organization()).await?;
        manager.create_table(project()).await?;
        manager.create_index(unique("project", &["api_token"])).await?;
        manager.create_index(index("project", &["organization_id"])).await?;
        manager.create_table(user()).await?;
        manager.create_index(unique("user", &["uuid"])).await?;
        manager.create_index(unique("user", &["email"])).await?;
        manager.create_index(index("user", &["organization_id"])).await?;
        manager.create_table(api_key()).await?;
        manager.create_index(unique("api_key", &["token_hash"])).await?;
        manager.create_index(index("api_key", &["organization_id"])).await?;
        manager.create_index(index("api_key", &["user_id"])).await?;
        manager.create_table(api_key_project()).await?;
        manager.create_index(index("api_key_project", &["project_id"])).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &["api_key_project", "api_key", "user", "project", "organization"])
            .await
    }
}

fn organization() -> TableCreateStatement {
    numbered("organization").col(text("name")).col(created_at()).take()
}

/// The last three columns are counters, raised in the transaction of each change.
fn project() -> TableCreateStatement {
    numbered("project")
        .col(big_integer("organization_id"))
        .col(text("name"))
        .col(text("api_token"))
        .col(text("timezone").default("UTC").take())
        .col(integer("property_matching_version").default(1).take())
        .col(integer("feature_flag_limit").default(2000).take())
        .col(boolean("require_evaluation_contexts").default(false).take())
        .col(created_at())
        .col(big_integer("revision").default(0).take())
        .col(big_integer("flag_count").default(0).take())
        .col(big_integer("activity_count").default(0).take())
        .foreign_key(&mut goes_with("organization_id", "organization"))
        .take()
}

fn user() -> TableCreateStatement {
    numbered("user")
        .col(uuid("uuid"))
        .col(big_integer("organization_id"))
        .col(text("email"))
        .col(text("first_name"))
        .col(text("last_name"))
        .col(text("distinct_id"))
        .col(boolean_null("is_email_verified"))
        .col(created_at())
        .foreign_key(&mut goes_with("organization_id", "organization"))
        .take()
}

/// Tokens are kept as hashes only.
fn api_key() -> TableCreateStatement {
    numbered("api_key")
        .col(text("kind"))
        .col(text("token_hash"))
        .col(text("token_hint"))
        .col(text("label"))
        .col(big_integer("organization_id"))
        .col(big_integer_null("user_id"))
        .col(boolean("all_projects"))
        .col(text("scopes"))
        .col(created_at())
        .col(timestamp_with_time_zone_null("expires_at"))
        .col(timestamp_with_time_zone_null("revoked_at"))
        .col(timestamp_with_time_zone_null("last_used_at"))
        .foreign_key(&mut goes_with("organization_id", "organization"))
        .foreign_key(&mut goes_with("user_id", "user"))
        .take()
}

fn api_key_project() -> TableCreateStatement {
    pairs("api_key_project", ("api_key_id", "api_key"), ("project_id", "project"))
}
