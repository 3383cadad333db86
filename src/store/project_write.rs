//! One change to a project, in one transaction.
//!
//! It holds the project's row from the first statement, so changes to a
//! project happen one after the other: a rule that looks at other flags
//! (dependents, limits, unique keys) cannot be overtaken. Evaluation and
//! ingestion never take this lock. Dropping the value takes everything back.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelTrait,
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter, QuerySelect, Statement,
    sea_query::{Expr, LockType},
};

use super::{
    Store, Transaction, driver_failure,
    entity::{change_log, project},
    failure, projects,
};
use crate::model::{error::Result, project::Project};

/// Rows a statement; databases bound the number of values in one.
pub(super) const ROWS: usize = 2_000;

/// What kind of thing a change is about, as the change log names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A feature flag.
    Flag,
    /// A cohort.
    Cohort,
    /// The project's own settings and group types.
    Project,
}

impl Kind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Cohort => "cohort",
            Self::Project => "project",
        }
    }

    /// The kind with this name; `None` for one of a newer release.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Flag, Self::Cohort, Self::Project].into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A project under its lock, and what is changing in it.
#[derive(Debug)]
pub(crate) struct ProjectWrite {
    pub(crate) txn: Transaction,
    pub(crate) project: Project,
    /// What changed, each once, and whether it is gone.
    changed: BTreeMap<(Kind, i64), bool>,
    pub(super) flags_added: i64,
    pub(super) activity_added: i64,
}

impl ProjectWrite {
    /// Begins a change; `None` when there is no such project.
    pub(crate) async fn begin(store: &Store, project_id: i64) -> Result<Option<Self>> {
        let txn = store.begin_project(project_id).await?;
        let row = project::Entity::find_by_id(project_id)
            .lock(LockType::NoKeyUpdate)
            .one(&txn)
            .await
            .map_err(failure)?;
        Ok(row.map(|row| Self {
            txn,
            project: projects::noun(row),
            changed: BTreeMap::new(),
            flags_added: 0,
            activity_added: 0,
        }))
    }

    /// Notes that evaluation must read an item anew, or forget it.
    pub(crate) fn touch(&mut self, kind: Kind, id: i64, deleted: bool) {
        self.changed.insert((kind, id), deleted);
    }

    /// The revision that the change leads to.
    pub(crate) const fn next_revision(&self) -> i64 {
        self.project.revision + 1
    }

    /// How many live flags the project holds, those that this change adds included.
    pub(crate) fn flag_count(&self) -> i64 {
        self.project.flag_count + self.flags_added
    }

    /// Stores the project's settings.
    pub(crate) async fn update_project(&mut self, wanted: &Project) -> Result<()> {
        let row = project::ActiveModel {
            id: Set(self.project.id),
            name: Set(wanted.name.clone()),
            timezone: Set(wanted.timezone.clone()),
            property_matching_version: Set(wanted.property_matching_version),
            feature_flag_limit: Set(i32::try_from(wanted.feature_flag_limit).unwrap_or(i32::MAX)),
            require_evaluation_contexts: Set(wanted.require_evaluation_contexts),
            strict_writes: Set(wanted.strict_writes),
            ..Default::default()
        };
        row.update(&self.txn).await.map_err(failure)?;
        self.touch(Kind::Project, self.project.id, false);
        Ok(())
    }

    /// Commits, and answers the project's new revision.
    pub(crate) async fn commit(self, now: DateTime<Utc>) -> Result<i64> {
        let revision = self.next_revision();
        self.write_totals(revision).await?;
        self.write_change_log(revision, now).await?;
        super::listen::announce_revision(&self.txn, self.project.id, revision).await?;
        self.txn.commit().await.map_err(driver_failure)?;
        Ok(revision)
    }

    /// Commits what evaluation does not read, such as dashboards: the revision stays, and
    /// nobody is told.
    pub(crate) async fn commit_unseen(self) -> Result<()> {
        debug_assert!(self.changed.is_empty() && self.activity_added == 0 && self.flags_added == 0);
        self.txn.commit().await.map_err(driver_failure)
    }

    async fn write_totals(&self, revision: i64) -> Result<()> {
        use project::Column;
        project::Entity::update_many()
            .col_expr(Column::Revision, Expr::value(revision))
            .col_expr(Column::FlagCount, Expr::col(Column::FlagCount).add(self.flags_added))
            .col_expr(
                Column::ActivityCount,
                Expr::col(Column::ActivityCount).add(self.activity_added),
            )
            .filter(Column::Id.eq(self.project.id))
            .exec(&self.txn)
            .await
            .map(|_| ())
            .map_err(failure)
    }

    async fn write_change_log(&self, revision: i64, now: DateTime<Utc>) -> Result<()> {
        let row = |((kind, id), deleted): (&(Kind, i64), &bool)| change_log::ActiveModel {
            project_id: Set(self.project.id),
            revision: Set(revision),
            kind: Set(kind.as_str().to_owned()),
            item_id: Set(id.to_string()),
            deleted: Set(*deleted),
            created_at: Set(now),
        };
        let rows: Vec<_> = self.changed.iter().map(row).collect();
        for rows in rows.chunks(ROWS) {
            change_log::Entity::insert_many(rows.to_vec())
                .exec_without_returning(&self.txn)
                .await
                .map_err(failure)?;
        }
        Ok(())
    }
}

/// Runs one statement with no result on either database.
pub(super) async fn run(
    txn: &impl ConnectionTrait,
    sql: &str,
    values: Vec<sea_orm::Value>,
) -> Result<()> {
    let statement = Statement::from_sql_and_values(txn.get_database_backend(), sql, values);
    txn.execute_raw(statement).await.map(|_| ()).map_err(failure)
}
