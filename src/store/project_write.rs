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
    Store, Transaction, audit::Audit, change_log, driver_failure, entity::project, failure,
    projects,
};
use crate::model::{
    error::Result,
    history_point::{HistoryPoint, HistoryToken},
    project::Project,
};

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
    /// Whether feeds of definitions show any of it.
    changes_definitions: bool,
    pub(super) flags_added: i64,
    pub(super) activity_added: i64,
    pub(super) audit: Audit,
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
            changes_definitions: false,
            flags_added: 0,
            activity_added: 0,
            audit: Audit::default(),
        }))
    }

    /// Notes that evaluation must read an item anew, or forget it.
    pub(crate) fn touch(&mut self, kind: Kind, id: i64, deleted: bool) {
        self.changed.insert((kind, id), deleted);
        self.changes_definitions = true;
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
        self.changed.insert((Kind::Project, self.project.id), false);
        self.changes_definitions |=
            wanted.property_matching_version != self.project.property_matching_version;
        Ok(())
    }

    /// Commits, and answers the project's new state.
    pub(crate) async fn commit(mut self, now: DateTime<Utc>) -> Result<HistoryPoint> {
        if self.changed.is_empty() {
            // A revision that is not logged could not be told from one that was lost.
            self.changed.insert((Kind::Project, self.project.id), false);
        }
        let point = HistoryPoint::new(self.next_revision(), HistoryToken::random());
        self.write_totals(point).await?;
        change_log::write(&self.txn, self.project.id, point, &self.changed, now).await?;
        super::listen::announce_revision(&self.txn, self.project.id, point).await?;
        self.txn.commit().await.map_err(driver_failure)?;
        self.audit.write(&self.project);
        Ok(point)
    }

    /// Commits what evaluation does not read, such as dashboards: the revision stays, and
    /// nobody is told.
    pub(crate) async fn commit_unseen(self) -> Result<()> {
        debug_assert!(self.changed.is_empty() && self.activity_added == 0 && self.flags_added == 0);
        self.txn.commit().await.map_err(driver_failure)
    }

    async fn write_totals(&self, point: HistoryPoint) -> Result<()> {
        use project::Column;
        let token = point.token.as_stored();
        let mut update = project::Entity::update_many();
        if self.changes_definitions {
            update = update.col_expr(Column::DefinitionsToken, Expr::value(token));
        }
        update
            .col_expr(Column::Revision, Expr::value(point.revision))
            .col_expr(Column::HistoryToken, Expr::value(token))
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
