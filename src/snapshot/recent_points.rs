//! The states that a project went through lately.

use std::collections::VecDeque;

use crate::model::history_point::HistoryPoint;

/// How many states are held for a project.
const MAX_POINTS: usize = 64;

/// The newest states of a project, oldest first. Tells a state that was passed already from one of
/// another history, without a query.
#[derive(Debug, Default)]
pub(super) struct RecentPoints(VecDeque<HistoryPoint>);

impl RecentPoints {
    /// Adds states, the newest last; the oldest make room.
    pub(super) fn push(&mut self, points: impl IntoIterator<Item = HistoryPoint>) {
        self.0.extend(points);
        let excess = self.0.len().saturating_sub(MAX_POINTS);
        self.0.drain(..excess);
    }

    /// Whether the project went through a state lately.
    pub(super) fn contains(&self, point: HistoryPoint) -> bool {
        self.0.contains(&point)
    }

    /// Forgets all: they are of another history.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::history_point::HistoryToken;

    #[test]
    fn the_newest_states_are_known() {
        let point = |revision| HistoryPoint::new(revision, HistoryToken::from_stored(revision));
        let mut recent = RecentPoints::default();
        recent.push((0..100).map(point));
        assert!(!recent.contains(point(35)) && recent.contains(point(36)));
        assert!(recent.contains(point(99)));
        assert!(!recent.contains(HistoryPoint::new(99, HistoryToken::from_stored(1))));
        recent.clear();
        assert!(!recent.contains(point(99)));
    }
}
