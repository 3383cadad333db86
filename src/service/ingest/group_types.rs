//! Makes the group types that events name for the first time.
//!
//! That is a change to the project, under its lock, and so is no matter of the
//! one task that writes everybody's events: each request waits for it by itself.

use std::collections::BTreeSet;

use super::Placed;
use crate::{
    model::{error::Result, event::Event, group::MAX_GROUP_TYPES},
    service::Services,
    store::ProjectWrite,
};

impl Services {
    /// Makes the group types that are missing, as far as there is room for them.
    pub(super) async fn ensure_group_types(
        &self,
        project_id: i64,
        events: &Placed<Event>,
    ) -> Result<()> {
        let names = events.iter().filter_map(|(_, event)| event.group.as_ref());
        let names: BTreeSet<&str> = names.map(|group| group.group_type.as_str()).collect();
        if names.is_empty() {
            return Ok(());
        }
        let stored = self.store.group_types(project_id).await?;
        let is_new = |name: &&str| stored.iter().all(|kind| kind.name != *name);
        if stored.len() >= MAX_GROUP_TYPES || !names.iter().any(is_new) {
            return Ok(());
        }
        let Some(mut project) = ProjectWrite::begin(&self.store, project_id).await? else {
            return Ok(());
        };
        if project.ensure_group_types(names).await? > 0 {
            self.commit(project, self.clock.now()).await?;
        }
        Ok(())
    }
}
