//! Brings a project to the state that the database has.
//!
//! In the usual case that state is a later one of the same history, and what the change log says
//! changed is read. The base is checked by its token in the same query. Where the database has
//! another history, after a fail-over that lost commits or a restored backup, everything that is
//! held of the project is read anew, and its watchers get a snapshot.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout_at};

use super::{ProjectSnapshot, RecentPoints, Slot, Snapshots, compile};
use crate::{
    model::{
        error::{Code, Error, Result},
        history_point::HistoryPoint,
        project::Project,
    },
    store::changes::Changes,
};

/// The pauses between attempts to read a change of this process's own.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const MAX_PAUSE: Duration = Duration::from_millis(200);

impl Slot {
    /// Returns how often the project was rebuilt because its history was another one.
    pub(super) fn rebuilds(&self) -> u64 {
        self.rebuilds.load(Ordering::SeqCst)
    }

    /// Wakes its watchers, unless they know.
    fn announce(&self) {
        self.watchers.tell(self.state.load().project.point());
    }
}

impl Snapshots {
    /// Brings a project to a state that the database was seen in, or to what it has by now, and
    /// tells its watchers. Cheap when it is there already.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the database is; what could not be read stays as it was.
    pub async fn refresh(&self, project_id: i64, target: HistoryPoint) -> Result<()> {
        let refreshed = self.refreshed(project_id, target).await;
        self.stale.note(project_id, &refreshed);
        refreshed
    }

    async fn refreshed(&self, project_id: i64, target: HistoryPoint) -> Result<()> {
        // Somebody may have begun to read it before the change, so that is not the end of it.
        self.get(project_id).await?;
        let slot = self.slot(project_id)?;
        let mut recent = slot.patching.lock().await;
        let is_known = slot.reached() == target || recent.contains(target);
        if is_known && slot.reached() == slot.state.load().project.point() {
            // Whoever brought it here may have left before the last word.
            slot.announce();
            return Ok(());
        }
        self.bring(&slot, &mut recent, target).await
    }

    /// Brings a project to the state that the database has, even if it had passed that state: a
    /// backup may have been restored.
    ///
    /// # Errors
    ///
    /// As [`Snapshots::refresh`]; `NotFound` for a project that is not there.
    pub(super) async fn look(&self, project_id: i64) -> Result<()> {
        let looked = self.looked(project_id).await;
        self.stale.note(project_id, &looked);
        looked
    }

    async fn looked(&self, project_id: i64) -> Result<()> {
        self.get(project_id).await?;
        let slot = self.slot(project_id)?;
        let mut recent = slot.patching.lock().await;
        self.bring_to_stored(&slot, &mut recent).await
    }

    /// Brings a project to a change that this process committed, before the answer to it: attempts
    /// that the database fails are repeated for up to `patience`.
    ///
    /// # Errors
    ///
    /// As [`Snapshots::refresh`], when the time is over.
    pub(crate) async fn refresh_committed(
        &self,
        project_id: i64,
        target: HistoryPoint,
        patience: Duration,
    ) -> Result<()> {
        let (deadline, mut pause) = (Instant::now() + patience, FIRST_PAUSE);
        loop {
            let attempt = timeout_at(deadline, self.refresh(project_id, target)).await;
            let error = match attempt.map_err(Error::unavailable).flatten() {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if error.code != Code::Unavailable || Instant::now() + pause >= deadline {
                return Err(error);
            }
            sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    async fn bring(
        &self,
        slot: &Slot,
        recent: &mut RecentPoints,
        target: HistoryPoint,
    ) -> Result<()> {
        let at = slot.state.load().project.point();
        if at == target || recent.contains(target) {
            return self.finish(slot, None).await;
        }
        if let Some(changes) = self.changes_between(slot, at, target).await? {
            return self.patch(slot, recent, changes).await;
        }
        self.bring_to_stored(slot, recent).await
    }

    /// Brings a project to the state that its row has. That is read under the project's lock, so it
    /// is not behind what is held but in another history.
    async fn bring_to_stored(&self, slot: &Slot, recent: &mut RecentPoints) -> Result<()> {
        let (at, project_id) = {
            let held = slot.state.load();
            (held.project.point(), held.project.id)
        };
        let Some(project) = self.store.following().project(project_id).await? else {
            self.forget(project_id);
            return Ok(());
        };
        match project.point() {
            point if point == at => self.finish(slot, None).await,
            point => match self.changes_between(slot, at, point).await? {
                Some(changes) => self.patch(slot, recent, changes).await,
                None => self.rebuild(slot, recent, project).await,
            },
        }
    }

    /// Returns what leads from a state to a later one or beyond it; `None` where nothing does.
    async fn changes_between(
        &self,
        slot: &Slot,
        from: HistoryPoint,
        to: HistoryPoint,
    ) -> Result<Option<Changes>> {
        if to.revision <= from.revision {
            return Ok(None);
        }
        let project_id = slot.state.load().project.id;
        let changes = self.store.following().changes_since(project_id, from).await?;
        let reaches = |changes: &Changes| {
            changes.newest().is_some_and(|newest| newest.revision >= to.revision)
        };
        Ok(changes.filter(reaches))
    }

    async fn patch(&self, slot: &Slot, recent: &mut RecentPoints, changes: Changes) -> Result<()> {
        let store = self.store.following();
        let before = slot.state.load_full();
        let after = match changes.other {
            false => compile::patched(&store, &before, &changes).await?,
            true => return self.reload(slot, recent).await,
        };
        self.replace(slot, after);
        recent.push(changes.points.iter().copied());
        self.finish(slot, Some((before.project.point(), changes))).await
    }

    /// Reads everything anew after something other than flags and cohorts changed.
    async fn reload(&self, slot: &Slot, recent: &mut RecentPoints) -> Result<()> {
        let store = self.store.following();
        let before = slot.state.load().project.clone();
        let Some(project) = store.project(before.id).await? else {
            self.forget(before.id);
            return Ok(());
        };
        // Read after the project, so that its state is among them if it is of this history.
        let changes = store.changes_since(before.id, before.point()).await?;
        let Some(changes) = changes.filter(|it| it.points.contains(&project.point())) else {
            return self.rebuild(slot, recent, project).await;
        };
        let reached = project.revision;
        self.replace(slot, compile::whole(&store, project).await?);
        recent.push(changes.points.into_iter().filter(|point| point.revision <= reached));
        self.finish(slot, None).await
    }

    /// Reads everything anew, as nothing that is held can be trusted to be of this history.
    async fn rebuild(
        &self,
        slot: &Slot,
        recent: &mut RecentPoints,
        project: Project,
    ) -> Result<()> {
        let (id, point) = (project.id, project.point());
        let before = slot.state.load().project.point();
        tracing::warn!(
            project.id = id,
            ?before,
            ?point,
            "project is read anew: its past is not known"
        );
        let after = compile::whole(&self.store.following(), project).await?;
        // What is read from now on is of this history, and what was read before no longer counts.
        slot.rebuilds.fetch_add(1, Ordering::SeqCst);
        self.replace(slot, after);
        recent.clear();
        recent.push([point]);
        self.people.forget_project(id);
        let renewed = self.renew_ledger(slot).await;
        slot.announce();
        renewed
    }

    /// Brings the ledger to where the snapshot is, and wakes watchers.
    async fn finish(&self, slot: &Slot, patched: Option<(HistoryPoint, Changes)>) -> Result<()> {
        // Evaluation is current by now, whatever becomes of what watchers are told.
        let kept = self.keep_ledger(slot, patched).await;
        slot.announce();
        kept
    }

    /// Puts a state in the place of the one before, and in the index where it has moved.
    fn replace(&self, slot: &Slot, after: ProjectSnapshot) {
        let before = slot.state.swap(Arc::new(after));
        let after = slot.state.load();
        let is_found_by = |project: &Project| (project.api_token.clone(), project.organization_id);
        if is_found_by(&before.project) != is_found_by(&after.project) {
            self.reindex(|held| held.renew(after.project.id));
        }
    }
}
