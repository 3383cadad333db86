//! The one way to commit what changes people or groups, so that nobody
//! evaluates by what they were before.

use super::Services;
use crate::{
    model::{error::Result, people::PeopleChanged},
    store::{Transaction, listen},
};

impl Services {
    /// Commits a transaction that changed stored facts of people or groups, by project.
    ///
    /// Other replicas hear of it with the commit; this one has forgotten what it kept of them
    /// when this returns, so that whoever wrote reads their own writes. The project's revision
    /// stays as it is.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the database is: nothing is written then, and nothing forgotten.
    pub(crate) async fn commit_people<'c>(
        &self,
        txn: Transaction,
        changed: impl IntoIterator<Item = (i64, &'c PeopleChanged)> + Clone,
    ) -> Result<()> {
        for (project_id, changed) in changed.clone() {
            listen::announce_people(&txn, project_id, changed).await?;
        }
        self.store.commit(txn).await?;
        changed.into_iter().for_each(|(project_id, changed)| {
            self.people_changed(project_id, changed);
        });
        Ok(())
    }

    /// Forgets what this replica keeps of people and groups: for writes that were announced in
    /// their transaction (`listen::announce_people`) and are committed now.
    pub(crate) fn people_changed(&self, project_id: i64, changed: &PeopleChanged) {
        self.snapshots.people().forget(project_id, changed);
    }
}
