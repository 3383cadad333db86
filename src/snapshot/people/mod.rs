//! What is stored of people and groups, kept for a moment.
//!
//! Evaluation reads few people often. What it read is kept for a second, so
//! that a hot person costs one query a second, and is forgotten at once when a
//! change to it is announced.

mod changes;

use changes::Changes;

use crate::model::people::PeopleChanged;

/// The stored facts that were read lately. Cheap to clone; clones share.
#[derive(Clone, Debug, Default)]
pub(crate) struct People {
    people: Changes,
    groups: Changes,
}

impl People {
    /// Forgets what was read of these people and groups, and what is being read of them now.
    pub(crate) fn forget(&self, project_id: i64, changed: &PeopleChanged) {
        if changed.is_many() {
            self.people.note_project(project_id);
            self.groups.note_project(project_id);
        }
        changed.distinct_ids().for_each(|id| self.people.note(project_id, &id));
        changed.groups().for_each(|group| self.groups.note(project_id, &group));
    }

    /// Forgets everything: announcements may have been missed.
    pub(crate) fn forget_all(&self) {
        self.people.note_all();
        self.groups.note_all();
    }
}
