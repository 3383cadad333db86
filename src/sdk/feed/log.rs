//! What changed in a project lately, so that whoever missed some of it can be
//! told just that.
//!
//! Steps name what changed and not how: what is told is always the newest. So
//! a step costs a few bytes, and many steps come to no more than the flags
//! that they are about.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use crate::model::history_point::{HistoryPoint, WatchPosition};

/// The most steps that are remembered, and the most flags in all of them.
const MOST_STEPS: usize = 1_000;
const MOST_FLAGS: usize = 20_000;

/// What led to a revision, from the step before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// The state after each revision of the step, oldest first.
    pub(crate) points: Vec<HistoryPoint>,
    /// Flags that are new, changed or gone.
    pub(crate) flag_ids: Vec<i64>,
    /// The keys that those which are gone had.
    pub(crate) gone: Vec<(i64, String)>,
    /// Whether something else changed, so that all has to be told anew.
    pub(crate) whole: bool,
}

/// What happened since a revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Missed {
    /// Flags that are new, changed or gone.
    pub(crate) flag_ids: BTreeSet<i64>,
    /// The last keys of those that went.
    pub(crate) gone: HashMap<i64, String>,
}

/// The newest steps, oldest first.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    /// Everything after this state is known.
    floor: HistoryPoint,
    steps: VecDeque<Arc<Step>>,
    flags: usize,
}

impl Log {
    /// Knows nothing of what happened up to `floor`.
    pub(crate) fn new(floor: HistoryPoint) -> Self {
        Self { floor, steps: VecDeque::new(), flags: 0 }
    }

    /// Adds the newest step, and forgets the oldest where there are too many.
    pub(crate) fn push(&mut self, step: Step) {
        self.flags += step.flag_ids.len();
        self.steps.push_back(Arc::new(step));
        while self.steps.len() > MOST_STEPS || self.flags > MOST_FLAGS {
            let Some(oldest) = self.steps.pop_front() else { return };
            self.floor = oldest.newest().unwrap_or(self.floor);
            self.flags -= oldest.flag_ids.len();
        }
    }

    /// What happened after `from`; `None` where that is not known any more, or took more than
    /// flags.
    pub(crate) fn since(&self, from: i64) -> Option<Missed> {
        if from < self.floor.revision {
            return None;
        }
        let mut missed = Missed::default();
        for step in self.steps.iter().filter(|step| step.revision() > from) {
            if step.whole {
                return None;
            }
            missed.flag_ids.extend(&step.flag_ids);
            missed.gone.extend(step.gone.iter().cloned());
        }
        Some(missed)
    }

    /// Returns the state after a revision; `None` where it is not known.
    pub(crate) fn point_at(&self, revision: i64) -> Option<HistoryPoint> {
        let place = self.steps.partition_point(|step| step.revision() < revision);
        let step = self.steps.get(place).into_iter().flat_map(|step| &step.points);
        let mut known = step.chain([&self.floor]);
        known.find(|point| point.revision == revision).copied()
    }

    /// Whether a position is of this history, as far as it says.
    pub(crate) fn is_past(&self, position: WatchPosition) -> bool {
        position.token.is_none()
            || self.point_at(position.revision).is_some_and(|point| position.is_at(point))
    }
}

impl Step {
    fn newest(&self) -> Option<HistoryPoint> {
        self.points.last().copied()
    }

    fn revision(&self) -> i64 {
        self.newest().unwrap_or_default().revision
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::history_point::HistoryToken, sdk::feed::tests::at};

    fn step(revision: i64, flag_ids: &[i64]) -> Step {
        Step { points: vec![at(revision)], flag_ids: flag_ids.into(), ..Step::default() }
    }

    fn ids(log: &Log, from: i64) -> Option<Vec<i64>> {
        log.since(from).map(|missed| missed.flag_ids.into_iter().collect())
    }

    #[test]
    fn what_was_missed_is_told_once_and_only_if_it_is_known() {
        let mut log = Log::new(at(4));
        log.push(step(5, &[1]));
        log.push(Step { points: (6..9).map(at).collect(), ..step(8, &[2, 1]) });
        let cases = [(3, None), (4, Some(vec![1, 2])), (5, Some(vec![1, 2])), (8, Some(vec![]))];
        for (from, expected) in cases {
            assert_eq!(ids(&log, from), expected, "{from}");
        }
        assert_eq!(ids(&log, 6), Some(vec![1, 2]), "a part of a step is told with the whole step");
        log.push(Step { whole: true, ..step(9, &[]) });
        assert_eq!((ids(&log, 8), ids(&log, 9)), (None, Some(vec![])));
    }

    #[test]
    fn the_last_key_of_a_flag_that_went_is_told() {
        let mut log = Log::new(at(0));
        for (revision, key) in [(1, "old"), (3, "new")] {
            log.push(Step { gone: vec![(7, key.into())], ..step(revision, &[7]) });
        }
        assert_eq!(log.since(0).unwrap().gone, HashMap::from([(7, "new".into())]));
    }

    #[test]
    fn a_position_of_another_history_is_no_past() {
        let mut log = Log::new(at(4));
        log.push(step(5, &[1]));
        log.push(Step { points: (6..9).map(at).collect(), ..step(8, &[2]) });
        for revision in 4..9 {
            assert_eq!(log.point_at(revision), Some(at(revision)));
            assert!(log.is_past(at(revision).into()), "{revision}");
            let token = Some(HistoryToken::from_stored(-1));
            assert!(!log.is_past(WatchPosition { revision, token }), "{revision}");
            assert!(log.is_past(WatchPosition { revision, token: None }), "it says no token");
        }
        for unknown in [3, 9] {
            assert!(!log.is_past(at(unknown).into()), "{unknown}");
        }
    }

    #[test]
    fn the_oldest_steps_make_room() {
        let mut log = Log::new(at(0));
        for revision in 1..=1_500 {
            log.push(step(revision, &[revision]));
        }
        assert_eq!((ids(&log, 499), ids(&log, 500).unwrap().len()), (None, 1_000));
        log.push(step(1_501, &(0..19_990).collect::<Vec<_>>()));
        assert_eq!((ids(&log, 1_489), ids(&log, 1_490).unwrap().len()), (None, 19_990));
        log.push(step(1_502, &(0..30_000).collect::<Vec<_>>()));
        assert_eq!((ids(&log, 1_501), ids(&log, 1_502)), (None, Some(vec![])));
    }
}
