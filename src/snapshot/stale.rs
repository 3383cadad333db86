//! The projects that could not be brought to the state that the database has.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::model::error::{Code, Result};

/// Projects whose last refresh failed. Clones share.
#[derive(Clone, Debug, Default)]
pub struct StaleProjects {
    ids: Arc<Mutex<BTreeSet<i64>>>,
}

impl StaleProjects {
    /// Returns the ids, in ascending order.
    #[must_use]
    pub fn ids(&self) -> Vec<i64> {
        self.held().iter().copied().collect()
    }

    /// Notes how a refresh ended. A project that is not there is not stale.
    pub(super) fn note(&self, project_id: i64, refreshed: &Result<()>) {
        match refreshed {
            Err(error) if error.code != Code::NotFound => self.add(project_id),
            _ => self.remove(project_id),
        }
    }

    /// Notes that a project could not be read.
    pub(super) fn add(&self, project_id: i64) {
        self.held().insert(project_id);
    }

    /// Notes that a project is current, or gone.
    pub(super) fn remove(&self, project_id: i64) {
        self.held().remove(&project_id);
    }

    fn held(&self) -> MutexGuard<'_, BTreeSet<i64>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::error::Error;

    #[test]
    fn a_project_is_stale_until_it_is_refreshed_or_gone() {
        let stale = StaleProjects::default();
        for project_id in [3, 1, 2] {
            stale.note(project_id, &Err(Error::internal("damaged")));
        }
        assert_eq!(stale.ids(), [1, 2, 3]);
        stale.note(1, &Ok(()));
        stale.note(2, &Err(Error::not_found()));
        stale.note(3, &Err(Error::unavailable("gone")));
        assert_eq!(stale.ids(), [3]);
    }
}
