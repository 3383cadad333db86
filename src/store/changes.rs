//! What changed in a project since a revision.

use std::collections::HashSet;

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::{Store, entity::change_log, failure};
use crate::model::error::Result;

/// Items that changed after a revision, and the newest revision seen with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Flags to read anew, or to forget.
    pub(crate) flag_ids: Vec<i64>,
    /// Whether something else than flags changed, so that all must be read anew.
    pub(crate) other: bool,
    /// The newest revision among them; 0 when there are none.
    pub(crate) revision: i64,
}

impl Store {
    /// The changes after `revision`.
    pub(crate) async fn changes_since(&self, project_id: i64, revision: i64) -> Result<Changes> {
        let rows: Vec<(i64, String, String)> = change_log::Entity::find()
            .select_only()
            .columns([
                change_log::Column::Revision,
                change_log::Column::Kind,
                change_log::Column::ItemId,
            ])
            .filter(change_log::Column::ProjectId.eq(project_id))
            .filter(change_log::Column::Revision.gt(revision))
            .order_by_asc(change_log::Column::Revision)
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(failure)?;
        Ok(collect(rows))
    }
}

/// Beyond this many flags, reading all anew is cheaper, and databases bound the number of values
/// in a statement.
const MOST_FLAGS: usize = 10_000;

fn collect(rows: Vec<(i64, String, String)>) -> Changes {
    let mut changes = Changes::default();
    let mut seen = HashSet::new();
    for (revision, kind, item_id) in rows {
        changes.revision = revision;
        match (kind.as_str(), item_id.parse()) {
            ("flag", Ok(id)) if seen.insert(id) => changes.flag_ids.push(id),
            ("flag", Ok(_)) => {}
            _ => changes.other = true,
        }
    }
    changes.other |= changes.flag_ids.len() > MOST_FLAGS;
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_changed_twice_is_read_once() {
        let row = |revision, kind: &str, id: &str| (revision, kind.to_owned(), id.to_owned());
        let rows = vec![row(4, "flag", "1"), row(5, "flag", "2"), row(6, "flag", "1")];
        let changes = collect(rows);
        assert_eq!((changes.flag_ids, changes.revision, changes.other), (vec![1, 2], 6, false));
        assert!(collect(vec![row(7, "cohort", "1")]).other);
    }
}
