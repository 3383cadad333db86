//! Flags, and what hangs on them: dependencies, cohorts, tags, contexts, links.
//!
//! Ids that `filters` names (flags read, cohorts tested) have no foreign key: a
//! flag may be written before, and outlive, what it names.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, boolean, boolean_null, text, text_null,
    timestamp_with_time_zone_null,
};

use crate::shapes::{
    created_at, drop_tables, goes_with, index, numbered_of_project, of_project, outlives, pairs,
    unique, with_project,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(feature_flag()).await?;
        manager.create_index(unique("feature_flag", &["project_id", "key"])).await?;
        manager
            .create_index(index("feature_flag", &["project_id", "deleted", "created_at", "id"]))
            .await?;
        manager.create_index(index("feature_flag", &["project_id", "deleted", "key"])).await?;
        manager.create_index(index("feature_flag", &["project_id", "last_called_at"])).await?;
        manager.create_table(feature_flag_dashboard()).await?;
        manager.create_index(index("feature_flag_dashboard", &["dashboard_id"])).await?;
        manager.create_table(flag_dependency()).await?;
        manager.create_index(index("flag_dependency", &["project_id", "depends_on_id"])).await?;
        manager.create_table(flag_cohort()).await?;
        manager.create_index(index("flag_cohort", &["project_id", "cohort_id"])).await?;
        manager.create_table(tag()).await?;
        manager.create_index(unique("tag", &["project_id", "name"])).await?;
        manager.create_table(feature_flag_tag()).await?;
        manager.create_index(index("feature_flag_tag", &["tag_id"])).await?;
        manager.create_table(evaluation_context()).await?;
        manager.create_index(unique("evaluation_context", &["project_id", "name"])).await?;
        manager.create_table(feature_flag_evaluation_context()).await?;
        manager
            .create_index(index("feature_flag_evaluation_context", &["evaluation_context_id"]))
            .await?;
        manager.create_table(flag_link()).await?;
        manager.create_index(index("flag_link", &["flag_id"])).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(
            manager,
            &[
                "flag_link",
                "feature_flag_evaluation_context",
                "evaluation_context",
                "feature_flag_tag",
                "tag",
                "flag_cohort",
                "flag_dependency",
                "feature_flag_dashboard",
                "feature_flag",
            ],
        )
        .await
    }
}

/// `(project_id, key)` is unique over softly deleted flags too.
fn feature_flag() -> TableCreateStatement {
    numbered_of_project("feature_flag")
        .col(text("key"))
        .col(text("name"))
        .col(text("filters"))
        .col(boolean("deleted"))
        .col(boolean("active"))
        .col(boolean("archived").default(false).take())
        .col(big_integer_null("version"))
        .col(big_integer_null("created_by_id"))
        .col(big_integer_null("last_modified_by_id"))
        .col(created_at())
        .col(timestamp_with_time_zone_null("updated_at"))
        .col(boolean_null("ensure_experience_continuity"))
        .col(text_null("rollback_conditions"))
        .col(boolean_null("performed_rollback"))
        .col(big_integer_null("usage_dashboard_id"))
        .col(boolean_null("has_enriched_analytics"))
        .col(boolean_null("is_remote_configuration"))
        .col(boolean_null("has_encrypted_payloads"))
        .col(text_null("evaluation_runtime"))
        .col(text_null("bucketing_identifier"))
        .col(timestamp_with_time_zone_null("last_called_at"))
        .col(boolean("internal").default(false).take())
        .col(big_integer("activity_count").default(0).take())
        .col(boolean("has_variants"))
        .col(boolean("fully_rolled_out"))
        .col(text("search_text"))
        .foreign_key(&mut outlives("created_by_id", "user"))
        .foreign_key(&mut outlives("last_modified_by_id", "user"))
        .foreign_key(&mut outlives("usage_dashboard_id", "dashboard"))
        .take()
}

fn feature_flag_dashboard() -> TableCreateStatement {
    with_project(pairs(
        "feature_flag_dashboard",
        ("flag_id", "feature_flag"),
        ("dashboard_id", "dashboard"),
    ))
}

fn flag_dependency() -> TableCreateStatement {
    of_project("flag_dependency")
        .col(big_integer("flag_id"))
        .col(big_integer("depends_on_id"))
        .primary_key(Index::create().col("flag_id").col("depends_on_id"))
        .foreign_key(&mut goes_with("flag_id", "feature_flag"))
        .take()
}

fn flag_cohort() -> TableCreateStatement {
    of_project("flag_cohort")
        .col(big_integer("flag_id"))
        .col(big_integer("cohort_id"))
        .primary_key(Index::create().col("flag_id").col("cohort_id"))
        .foreign_key(&mut goes_with("flag_id", "feature_flag"))
        .take()
}

fn tag() -> TableCreateStatement {
    numbered_of_project("tag").col(text("name")).take()
}

fn feature_flag_tag() -> TableCreateStatement {
    with_project(pairs("feature_flag_tag", ("flag_id", "feature_flag"), ("tag_id", "tag")))
}

fn evaluation_context() -> TableCreateStatement {
    numbered_of_project("evaluation_context").col(text("name")).take()
}

fn feature_flag_evaluation_context() -> TableCreateStatement {
    with_project(pairs(
        "feature_flag_evaluation_context",
        ("flag_id", "feature_flag"),
        ("evaluation_context_id", "evaluation_context"),
    ))
}

fn flag_link() -> TableCreateStatement {
    numbered_of_project("flag_link")
        .col(big_integer("flag_id"))
        .col(text("kind"))
        .col(big_integer("ref_id"))
        .col(text("name"))
        .col(timestamp_with_time_zone_null("started_at"))
        .col(timestamp_with_time_zone_null("ended_at"))
        .col(boolean("deleted").default(false).take())
        .foreign_key(&mut goes_with("flag_id", "feature_flag"))
        .take()
}
