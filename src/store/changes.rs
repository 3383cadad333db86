//! What changed in a project since a revision.

use std::collections::HashSet;

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::{Store, entity::change_log, failure, project_write::Kind};
use crate::model::error::Result;

/// Items that changed after a revision, and the newest revision seen with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Flags to read anew, or to forget.
    pub(crate) flag_ids: Vec<i64>,
    /// Cohorts to read anew, or to forget.
    pub(crate) cohort_ids: Vec<i64>,
    /// Whether something else changed, such as a setting or a group type, so that all must be
    /// read anew.
    pub(crate) other: bool,
    /// The newest revision among them; 0 when there are none.
    pub(crate) revision: i64,
}

impl Store {
    /// The changes after `revision`.
    pub(crate) async fn changes_since(&self, project_id: i64, revision: i64) -> Result<Changes> {
        let rows: Vec<Row> = change_log::Entity::find()
            .select_only()
            .columns(COLUMNS)
            .filter(change_log::Column::ProjectId.eq(project_id))
            .filter(change_log::Column::Revision.gt(revision))
            .order_by_asc(change_log::Column::Revision)
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(failure)?;
        Ok(collect(rows))
    }

    /// The changes of the last `revisions` revisions up to `revision`, oldest first.
    pub(crate) async fn recent_changes(
        &self,
        project_id: i64,
        revision: i64,
        revisions: i64,
    ) -> Result<Vec<Changes>> {
        let floor = (revision - revisions).max(0);
        let rows: Vec<Row> = change_log::Entity::find()
            .select_only()
            .columns(COLUMNS)
            .filter(change_log::Column::ProjectId.eq(project_id))
            .filter(change_log::Column::Revision.gt(floor))
            .filter(change_log::Column::Revision.lte(revision))
            .order_by_asc(change_log::Column::Revision)
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(failure)?;
        let steps = rows.chunk_by(|a, b| a.0 == b.0).map(|step| collect(step.to_vec()));
        Ok(steps.collect())
    }
}

/// A revision, the kind of what it changed, and the id of that.
type Row = (i64, String, String);

const COLUMNS: [change_log::Column; 3] =
    [change_log::Column::Revision, change_log::Column::Kind, change_log::Column::ItemId];

/// Beyond this many changed items, reading all anew is cheaper, and databases bound the number of values
/// in a statement.
const MOST_ITEMS: usize = 10_000;

fn collect(rows: Vec<Row>) -> Changes {
    let mut changes = Changes::default();
    let (mut flags, mut cohorts) = (HashSet::new(), HashSet::new());
    for (revision, kind, item_id) in rows {
        changes.revision = revision;
        match (Kind::parse(&kind), item_id.parse()) {
            (Some(Kind::Flag), Ok(id)) if flags.insert(id) => changes.flag_ids.push(id),
            (Some(Kind::Cohort), Ok(id)) if cohorts.insert(id) => changes.cohort_ids.push(id),
            (Some(Kind::Flag | Kind::Cohort), Ok(_)) => {}
            _ => changes.other = true,
        }
    }
    changes.other |= changes.flag_ids.len().max(changes.cohort_ids.len()) > MOST_ITEMS;
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_twice_is_read_once() {
        let row = |revision, kind: &str, id: &str| (revision, kind.to_owned(), id.to_owned());
        let rows = [
            row(4, "flag", "1"),
            row(5, "flag", "2"),
            row(6, "flag", "1"),
            row(7, "cohort", "1"),
            row(8, "cohort", "1"),
        ];
        let expected =
            Changes { flag_ids: vec![1, 2], cohort_ids: vec![1], other: false, revision: 8 };
        assert_eq!(collect(rows.into()), expected);
        for kind in ["project", "something newer"] {
            assert!(collect(vec![row(7, kind, "1")]).other, "{kind}");
        }
    }
}
