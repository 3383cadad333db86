//! The schema of Flagstaff's database, change by change.
//!
//! This crate is history, so it stands on its own: it spells tables and
//! columns by name and borrows no entity, and a change that has shipped is
//! never edited, only followed by another. Each file is one change, applied in
//! one transaction on both databases: SQLite takes DDL back as well as
//! PostgreSQL does, so a crash leaves a change wholly in or wholly out.
//!
//! The same statements build both schemas. What differs is left to SeaORM:
//! ids become `INTEGER PRIMARY KEY AUTOINCREMENT` on SQLite and identity
//! columns on PostgreSQL, which never give the same id twice on either.
//! Foreign keys are declared with their table, since SQLite takes them
//! nowhere else.

use sea_orm_migration::{MigrationTrait, MigratorTrait};

mod m20261123_000001_accounts;
mod m20261123_000002_dashboards;
mod m20261123_000003_feature_flags;
mod m20261123_000004_activity_log;
mod m20261123_000005_people;
mod m20261123_000006_cohorts;
mod m20261123_000007_usage;
mod m20261123_000008_change_log;
mod m20261123_000009_flag_lists;
mod m20261123_000010_stale_flags;
mod m20261123_000011_property_times;
mod m20261123_000013_directory;
mod m20261123_000016_activity_by_user;
mod m20261123_000017_usage_indexes;
mod m20261201_000023_history_tokens;
mod m20261201_000025_row_versions;
mod m20261201_000026_group_type_names;
mod m20261201_000028_strict_writes;
mod m20261201_000030_redacted_activity;
mod m20261201_000080_activity_revision;
mod shapes;

/// Takes a database to the newest schema, and back.
#[derive(Clone, Copy, Debug)]
pub struct Migrator;

impl MigratorTrait for Migrator {
    /// Every change, oldest first.
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261123_000001_accounts::Migration),
            Box::new(m20261123_000002_dashboards::Migration),
            Box::new(m20261123_000003_feature_flags::Migration),
            Box::new(m20261123_000004_activity_log::Migration),
            Box::new(m20261123_000005_people::Migration),
            Box::new(m20261123_000006_cohorts::Migration),
            Box::new(m20261123_000007_usage::Migration),
            Box::new(m20261123_000008_change_log::Migration),
            Box::new(m20261123_000009_flag_lists::Migration),
            Box::new(m20261123_000010_stale_flags::Migration),
            Box::new(m20261123_000011_property_times::Migration),
            Box::new(m20261123_000013_directory::Migration),
            Box::new(m20261123_000016_activity_by_user::Migration),
            Box::new(m20261123_000017_usage_indexes::Migration),
            Box::new(m20261201_000023_history_tokens::Migration),
            Box::new(m20261201_000028_strict_writes::Migration),
            Box::new(m20261201_000025_row_versions::Migration),
            Box::new(m20261201_000026_group_type_names::Migration),
            Box::new(m20261201_000030_redacted_activity::Migration),
            Box::new(m20261201_000080_activity_revision::Migration),
        ]
    }
}
