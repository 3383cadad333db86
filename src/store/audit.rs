//! The log's line about each change to a flag: who changed what. It is written once the change is
//! committed, so that the log tells of nothing that did not happen, and never shows values.

use std::collections::BTreeMap;

use crate::model::{activity::NewActivity, flag::User, project::Project};

/// What a transaction has changed of flags so far.
#[derive(Debug, Default)]
pub(super) struct Audit {
    /// The user who changes; `None` for a credential without one.
    pub(super) actor: Option<User>,
    flags: BTreeMap<i64, FlagChange>,
}

#[derive(Debug)]
struct FlagChange {
    key: String,
    operation: &'static str,
    fields: Vec<&'static str>,
}

impl Audit {
    /// Notes a change. Several to one flag are told as one.
    pub(super) fn note(&mut self, new: &NewActivity) {
        let change = self.flags.entry(new.flag_id).or_insert_with(|| FlagChange {
            key: new.key.clone(),
            operation: new.action.as_str(),
            fields: Vec::new(),
        });
        // Every change counts the version.
        let fields = new.changes.iter().map(|change| change.field);
        change.fields.extend(fields.filter(|field| *field != "version"));
    }

    /// Writes the lines.
    pub(super) fn write(&self, project: &Project) {
        let actor = self.actor.as_ref().map_or("no user", |user| user.email.as_str());
        for FlagChange { key, operation, fields } in self.flags.values() {
            let fields = fields.join(",");
            tracing::info!(actor, project.id, operation, flag.key = key, fields, "flag changed");
        }
    }
}
