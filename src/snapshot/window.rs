//! Tells new revisions from those that were read before, and notices when one of those is gone.
//!
//! Transactions commit out of order, so each read overlaps the one before (see
//! [`LoggedRevisions::horizon`]). It reaches back to the newest revisions that were seen in any case:
//! a database that lost commits, or was restored, does not have them. Which of the newest it lost is
//! not known, as the order of commits is not that of positions, so several are looked at.

use std::collections::HashMap;

use crate::{
    model::history_point::{HistoryPoint, HistoryToken},
    store::change_feed::{LoggedRevision, LoggedRevisions},
};

/// How many of the newest revisions are looked at in each read.
pub(super) const OVERLAP: usize = 64;
/// Beyond this many, revisions that were seen are not looked at again: a table that was loaded in one
/// transaction has all of its rows at one position.
const MAX_SEEN: usize = 4_096;

/// What was read of the log of revisions, as far as the next read reaches back.
#[derive(Debug)]
pub(super) struct ChangeWindow {
    from: i64,
    seen: HashMap<Key, Option<HistoryToken>>,
}

/// Position, project and revision.
type Key = (i64, i64, i64);

/// The newest state that was read of each project that changed; `None` where it has no token.
pub(super) type Changed = HashMap<i64, Option<HistoryPoint>>;

impl ChangeWindow {
    /// Begins with the newest revisions.
    pub(super) fn new(newest: LoggedRevisions) -> Self {
        let mut window = Self { from: 0, seen: HashMap::new() };
        window.settle(newest.rows.iter().map(entry).collect(), newest.horizon);
        window
    }

    /// The position that the next read begins at.
    pub(super) fn from(&self) -> i64 {
        self.from
    }

    /// Takes over a read that began at [`ChangeWindow::from`], and returns what changed; `None` if
    /// a revision that was seen is gone, so that nothing else can be trusted.
    pub(super) fn advance(&mut self, read: LoggedRevisions) -> Option<Changed> {
        let found: HashMap<Key, _> = read.rows.iter().map(entry).collect();
        if self.seen.iter().any(|(key, token)| found.get(key) != Some(token)) {
            return None;
        }
        let mut changed = HashMap::new();
        let mut new: Vec<_> =
            read.rows.iter().filter(|row| !self.seen.contains_key(&entry(row).0)).collect();
        new.sort_unstable_by_key(|row| row.revision);
        for row in new {
            let point = row.token.map(|token| HistoryPoint::new(row.revision, token));
            changed.insert(row.project_id, point);
        }
        self.settle(found, read.horizon);
        Some(changed)
    }

    /// Forgets what the next read need not find again.
    fn settle(&mut self, found: HashMap<Key, Option<HistoryToken>>, horizon: i64) {
        let mut positions: Vec<i64> = found.keys().map(|(position, ..)| *position).collect();
        positions.sort_unstable_by(|a, b| b.cmp(a));
        let oldest = positions.get(OVERLAP - 1).or(positions.last());
        self.from = oldest.map_or(horizon, |oldest| horizon.min(*oldest));
        if positions.partition_point(|position| *position >= self.from) > MAX_SEEN {
            self.from = horizon;
        }
        self.seen = found;
        self.seen.retain(|(position, ..), _| *position >= self.from);
    }
}

fn entry(row: &LoggedRevision) -> (Key, Option<HistoryToken>) {
    ((row.position, row.project_id, row.revision), row.token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(position: i64, project_id: i64, revision: i64) -> LoggedRevision {
        let token = Some(HistoryToken::from_stored(position));
        LoggedRevision { position, project_id, revision, token }
    }

    fn read(rows: &[LoggedRevision], horizon: i64) -> LoggedRevisions {
        LoggedRevisions { rows: rows.to_vec(), horizon }
    }

    fn changed(
        window: &mut ChangeWindow,
        rows: &[LoggedRevision],
        horizon: i64,
    ) -> Vec<(i64, i64)> {
        let changed = window.advance(read(rows, horizon)).expect("nothing is gone").into_iter();
        let mut changed: Vec<_> = changed.map(|(id, at)| (id, at.unwrap().revision)).collect();
        changed.sort_unstable();
        changed
    }

    #[test]
    fn each_revision_is_told_once() {
        let mut window = ChangeWindow::new(read(&[row(5, 1, 1)], 6));
        assert_eq!(changed(&mut window, &[row(5, 1, 1)], 6), []);
        let rows = [row(5, 1, 1), row(7, 1, 3), row(6, 1, 2), row(8, 2, 1)];
        assert_eq!(changed(&mut window, &rows, 9), [(1, 3), (2, 1)], "the newest of each project");
        assert_eq!(changed(&mut window, &rows, 9), []);
    }

    #[test]
    fn a_transaction_that_commits_late_is_not_missed() {
        let mut window = ChangeWindow::new(read(&[], 10));
        assert_eq!(window.from(), 10);
        // 10 is still open when 12 is seen.
        assert_eq!(changed(&mut window, &[row(12, 1, 1)], 10), [(1, 1)]);
        assert_eq!(window.from(), 10);
        assert_eq!(changed(&mut window, &[row(12, 1, 1), row(10, 2, 1)], 13), [(2, 1)]);
    }

    #[test]
    fn an_open_transaction_keeps_the_window_open_behind_many_others() {
        let mut window = ChangeWindow::new(read(&[], 10));
        let rows: Vec<_> = (11..400).map(|at| row(at, at, 1)).collect();
        assert_eq!(changed(&mut window, &rows, 10).len(), rows.len());
        assert_eq!(window.from(), 10);
        let late: Vec<_> = rows.iter().copied().chain([row(10, 1, 1)]).collect();
        assert_eq!(changed(&mut window, &late, 400), [(1, 1)]);
        assert_eq!(window.from(), 399 - i64::try_from(OVERLAP).unwrap() + 1);
    }

    #[test]
    fn a_revision_that_is_gone_is_noticed_however_long_ago_it_was_read() {
        let rows: Vec<_> = (1..200).map(|at| row(at, at, 1)).collect();
        let newest = &rows[rows.len() - OVERLAP..];
        for lost in newest {
            let mut window = ChangeWindow::new(read(newest, 200));
            for _ in 0..3 {
                assert_eq!(changed(&mut window, newest, 200), []);
            }
            let left: Vec<_> = newest.iter().copied().filter(|row| row != lost).collect();
            assert!(window.advance(read(&left, 200)).is_none(), "{lost:?}");
        }
        let mut window = ChangeWindow::new(read(newest, 200));
        let other = newest.iter().map(|row| LoggedRevision { token: None, ..*row });
        assert!(window.advance(read(&other.collect::<Vec<_>>(), 200)).is_none(), "other tokens");
    }

    #[test]
    fn very_many_at_one_position_are_read_once() {
        let rows: Vec<_> = (1..10_000).map(|project| row(7, project, 1)).collect();
        let mut window = ChangeWindow::new(read(&rows[..OVERLAP], 8));
        assert_eq!(window.from(), 7);
        assert_eq!(changed(&mut window, &rows, 8).len(), rows.len() - OVERLAP);
        assert_eq!((window.from(), window.seen.len()), (8, 0));
        assert_eq!(changed(&mut window, &[row(8, 1, 2)], 9), [(1, 2)]);
    }

    #[test]
    fn the_oldest_are_not_looked_at_again() {
        let rows: Vec<_> = (1..200).map(|at| row(at, at, 1)).collect();
        let mut window = ChangeWindow::new(read(&rows, 200));
        let newest = &rows[rows.len() - OVERLAP..];
        assert_eq!(window.from(), newest[0].position);
        assert_eq!(changed(&mut window, newest, 200), []);
    }
}
