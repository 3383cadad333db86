//! What changed in a project since a state of it.

use std::collections::HashSet;

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect, Statement,
};

use super::{Store, entity::change_log, failure, project_write::Kind};
use crate::model::{
    error::Result,
    history_point::{HistoryPoint, HistoryToken},
};

/// Items that changed after a state, and the states that the project went through since.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Flags to read anew, or to forget.
    pub(crate) flag_ids: Vec<i64>,
    /// Cohorts to read anew, or to forget.
    pub(crate) cohort_ids: Vec<i64>,
    /// Whether something else changed, such as a setting or a group type, so that all must be
    /// read anew.
    pub(crate) other: bool,
    /// The state after each of the revisions, oldest first.
    pub(crate) points: Vec<HistoryPoint>,
}

impl Changes {
    /// Returns the newest state among them; `None` when nothing changed.
    pub(crate) fn newest(&self) -> Option<HistoryPoint> {
        self.points.last().copied()
    }
}

impl Store {
    /// Returns the changes after `at`; `None` where they are not known: the database does not have
    /// that state in its past, or some revision since is not logged.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the database is.
    pub(crate) async fn changes_since(
        &self,
        project_id: i64,
        at: HistoryPoint,
    ) -> Result<Option<Changes>> {
        let reader = self.reader();
        let statement = Statement::from_sql_and_values(
            reader.get_database_backend(),
            SINCE,
            [project_id.into(), at.revision.into()],
        );
        let rows = Logged::find_by_statement(statement).all(reader).await.map_err(failure)?;
        Ok(continued(at, rows))
    }

    /// Returns the changes of `at` and of each of up to `revisions` revisions before it, oldest first
    /// and without a gap. None of them if the database does not have that state in its past.
    ///
    /// # Errors
    ///
    /// As [`Store::changes_since`].
    pub(crate) async fn recent_changes(
        &self,
        project_id: i64,
        at: HistoryPoint,
        revisions: i64,
    ) -> Result<Vec<Changes>> {
        use change_log::Column;
        let floor = (at.revision - revisions).max(0);
        let rows: Vec<Logged> = change_log::Entity::find()
            .select_only()
            .columns([Column::Revision, Column::Kind, Column::ItemId, Column::HistoryToken])
            .filter(Column::ProjectId.eq(project_id))
            .filter(Column::Revision.gte(floor))
            .filter(Column::Revision.lte(at.revision))
            .order_by_asc(Column::Revision)
            .into_model()
            .all(self.reader())
            .await
            .map_err(failure)?;
        Ok(steps(at, rows))
    }
}

/// One item of a revision.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
struct Logged {
    revision: i64,
    kind: String,
    item_id: String,
    /// `None` for a revision that was committed without one; it has the one before.
    history_token: Option<i64>,
}

/// The items after a revision, and before them the newest token at it or earlier, as one of no kind.
const SINCE: &str = "\
    SELECT revision, kind, item_id, history_token FROM change_log \
    WHERE project_id = $1 AND revision > $2 \
    UNION ALL \
    SELECT revision, '' AS kind, '' AS item_id, history_token FROM (\
        SELECT revision, history_token FROM change_log \
        WHERE project_id = $1 AND revision <= $2 AND history_token IS NOT NULL \
        ORDER BY revision DESC LIMIT 1) base \
    ORDER BY revision";

/// Beyond this many changed items, reading all anew is cheaper, and databases bound the number of values
/// in a statement.
const MOST_ITEMS: usize = 10_000;

/// The changes that lead on from a state; `None` where these do not.
fn continued(at: HistoryPoint, mut rows: Vec<Logged>) -> Option<Changes> {
    // A project that was never logged has no token.
    let base = match rows.first() {
        Some(row) if row.kind.is_empty() => rows.remove(0).history_token,
        _ => None,
    };
    if HistoryToken::from_stored(base.unwrap_or_default()) != at.token {
        return None;
    }
    let changes = collect(at.token, rows);
    let expected = (at.revision + 1..).take(changes.points.len());
    let is_whole = changes.points.iter().map(|point| point.revision).eq(expected);
    is_whole.then_some(changes)
}

/// One step a revision, as far back as tokens are known and no revision is missing.
fn steps(at: HistoryPoint, rows: Vec<Logged>) -> Vec<Changes> {
    let first = rows.iter().position(|row| row.history_token.is_some()).unwrap_or(rows.len());
    let mut token = HistoryToken::default();
    let mut steps = Vec::new();
    for step in rows[first..].chunk_by(|a, b| a.revision == b.revision) {
        let step = collect(token, step.to_vec());
        token = step.newest().map_or(token, |point| point.token);
        let revision = |step: &Changes| step.newest().map_or(0, |point| point.revision);
        if steps.last().is_some_and(|last| revision(last) + 1 != revision(&step)) {
            steps.clear();
        }
        steps.push(step);
    }
    match steps.last().and_then(Changes::newest) == Some(at) {
        true => steps,
        false => Vec::new(),
    }
}

/// Collects items in the order of their revisions; `token` is the one before the first.
fn collect(mut token: HistoryToken, rows: Vec<Logged>) -> Changes {
    let mut changes = Changes::default();
    let (mut flags, mut cohorts) = (HashSet::new(), HashSet::new());
    for Logged { revision, kind, item_id, history_token } in rows {
        token = history_token.map_or(token, HistoryToken::from_stored);
        match changes.points.last_mut() {
            Some(last) if last.revision == revision => last.token = token,
            _ => changes.points.push(HistoryPoint::new(revision, token)),
        }
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

    fn row(revision: i64, kind: &str, id: &str, token: Option<i64>) -> Logged {
        Logged { revision, kind: kind.into(), item_id: id.into(), history_token: token }
    }

    fn base(revision: i64, token: i64) -> Logged {
        row(revision, "", "", Some(token))
    }

    fn point(revision: i64, token: i64) -> HistoryPoint {
        HistoryPoint::new(revision, HistoryToken::from_stored(token))
    }

    #[test]
    fn what_changed_twice_is_read_once() {
        let rows = [
            row(4, "flag", "1", Some(40)),
            row(5, "flag", "2", Some(50)),
            row(6, "flag", "1", Some(60)),
            row(6, "cohort", "1", Some(60)),
            row(7, "cohort", "1", None),
        ];
        let expected = Changes {
            flag_ids: vec![1, 2],
            cohort_ids: vec![1],
            other: false,
            points: vec![point(4, 40), point(5, 50), point(6, 60), point(7, 60)],
        };
        assert_eq!(collect(HistoryToken::default(), rows.into()), expected);
        for kind in ["project", "something newer"] {
            assert!(
                collect(HistoryToken::default(), vec![row(7, kind, "1", None)]).other,
                "{kind}"
            );
        }
    }

    #[test]
    fn only_a_state_of_this_history_is_continued() {
        let next = || row(4, "flag", "1", Some(40));
        let cases = [
            ("the state before", vec![base(3, 30), next()], true),
            ("nothing since", vec![base(3, 30)], true),
            ("committed without a token of its own", vec![base(1, 30), next()], true),
            ("another history", vec![base(3, 31), next()], false),
            ("not logged", vec![next()], false),
            ("a revision is missing", vec![base(3, 30), row(5, "flag", "1", Some(50))], false),
        ];
        for (name, rows, expected) in cases {
            assert_eq!(continued(point(3, 30), rows).is_some(), expected, "{name}");
        }
        let never_logged = continued(point(0, 0), vec![row(1, "flag", "1", None)]).unwrap();
        assert_eq!(never_logged.points, [point(1, 0)]);
    }

    #[test]
    fn the_past_begins_where_tokens_do_and_ends_at_the_state_itself() {
        let rows = || {
            vec![
                row(3, "flag", "1", None),
                row(4, "flag", "1", Some(40)),
                row(5, "flag", "2", None),
                row(5, "flag", "3", None),
            ]
        };
        let points: Vec<_> = steps(point(5, 40), rows()).iter().map(Changes::newest).collect();
        assert_eq!(points, [Some(point(4, 40)), Some(point(5, 40))]);
        for other in [point(5, 50), point(6, 40)] {
            assert!(steps(other, rows()).is_empty(), "{other:?}");
        }
        let with_gap = [rows(), vec![row(7, "flag", "1", Some(70))]].concat();
        assert_eq!(steps(point(7, 70), with_gap).len(), 1, "what revision 6 changed is not known");
    }
}
