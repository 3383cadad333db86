//! A flag's life: made, listed, shown, changed, put away (management-api 3.7).

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    Services,
    page::{Page, Wanted},
};
use crate::{
    model::{
        activity::{Action, NewActivity},
        caller::{Caller, Scope},
        conflict,
        diff::{self, Change},
        error::{Error, Result},
        flag::FeatureFlag,
        json::Object,
        project::ProjectRef,
        shown::ShownFlag,
        write::{Facts, FlagWrite, Method, Typed, wanted_key},
    },
    store::{ProjectWrite, flags::FlagPage},
};

/// A wanted change to one flag.
#[derive(Clone, Debug)]
pub(crate) struct Update {
    /// The flag's number.
    pub(crate) id: i64,
    /// The fields sent, as a REST body has them.
    pub(crate) body: Object,
    /// PATCH or PUT.
    pub(crate) method: Method,
    /// What came without a spelling of its own.
    pub(crate) typed: Typed,
}

impl Services {
    /// Live flags, newest first.
    pub(crate) async fn list_flags(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        wanted: Wanted,
    ) -> Result<Page<ShownFlag>> {
        let project = self.open(caller, Scope::FLAG_READ, project).await?;
        let page = FlagPage { offset: wanted.offset, limit: wanted.limit };
        let flags = self.store.flags(project.id, page).await?;
        let now = self.clock.now();
        let results = flags.into_iter().map(|flag| ShownFlag::to(caller, flag, now)).collect();
        Ok(Page { results, total: project.flag_count, wanted })
    }

    /// A flag by number, softly deleted ones included.
    pub(crate) async fn get_flag(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        id: i64,
    ) -> Result<ShownFlag> {
        let project = self.open(caller, Scope::FLAG_READ, project).await?;
        let flag = self.store.flag(project.id, id).await?.ok_or_else(Error::not_found)?;
        Ok(ShownFlag::to(caller, flag, self.clock.now()))
    }

    /// Makes a flag; a softly deleted one that holds its key is removed for good.
    pub(crate) async fn create_flag(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        body: &Object,
    ) -> Result<ShownFlag> {
        let project = self.open(caller, Scope::FLAG_WRITE, project).await?;
        let now = self.clock.now();
        let mut write = self.begin(project.id).await?;
        let holder = KeyHolder::of(&write, body).await?;
        let fresh = FeatureFlag::fresh(project.id, String::new(), now);
        let wanted = FlagWrite::parse(body, Method::Create, &fresh, holder.facts(None))?;
        let from_survey = wanted.is_from_survey();
        let mut flag = wanted.apply(&fresh, Method::Create)?;
        check_limit(&write)?;
        check_contexts(&write, &flag, None, from_survey)?;
        holder.make_way(&mut write, None).await?;
        flag.created_by = write.user(caller.user_id).await?;
        flag.last_modified_by.clone_from(&flag.created_by);
        flag.id = write.insert_flag(&flag).await?;
        log_creation(&mut write, &flag, caller.user_id, now).await?;
        self.commit(write, now).await?;
        Ok(ShownFlag::to(caller, flag, now))
    }

    /// Changes a flag and counts its version.
    pub(crate) async fn update_flag(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        update: Update,
    ) -> Result<ShownFlag> {
        let project = self.open(caller, Scope::FLAG_WRITE, project).await?;
        let now = self.clock.now();
        let mut write = self.begin(project.id).await?;
        let before = write.lock_flag(update.id).await?.ok_or_else(Error::not_found)?;
        let mut update = update;
        resolve_conflicts(&mut update.body, caller, &before, now)?;
        let holder = KeyHolder::of(&write, &update.body).await?;
        let facts = holder.facts(Some(before.id));
        let wanted = FlagWrite::parse(&update.body, update.method, &before, facts)?
            .keeping_spelling_of(&before, update.typed);
        let from_survey = wanted.is_from_survey();
        let mut after = wanted.apply(&before, update.method)?;
        check_contexts(&write, &after, Some(&before), from_survey)?;
        after.version = Some(before.version.unwrap_or(0) + 1);
        after.last_modified_by = write.user(caller.user_id).await?;
        after.updated_at = Some(now);
        holder.make_way(&mut write, Some(before.id)).await?;
        write.update_flag(&before, &after).await?;
        log_update(&mut write, &before, &after, caller.user_id, now).await?;
        self.commit(write, now).await?;
        Ok(ShownFlag::to(caller, after, now))
    }

    /// Softly deletes a flag, as a PATCH of `deleted: true` does. Doing it again changes nothing.
    pub(crate) async fn delete_flag(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        id: i64,
    ) -> Result<ShownFlag> {
        let opened = self.open(caller, Scope::FLAG_WRITE, project).await?;
        let known = self.store.flag(opened.id, id).await?.ok_or_else(Error::not_found)?;
        if known.deleted {
            return Ok(ShownFlag::to(caller, known, self.clock.now()));
        }
        let body = Object::from_iter([("deleted".to_owned(), true.into())]);
        let update = Update { id, body, method: Method::Patch, typed: Typed::default() };
        self.update_flag(caller, project, update).await
    }

    pub(crate) async fn begin(&self, project_id: i64) -> Result<ProjectWrite> {
        ProjectWrite::begin(&self.store, project_id).await?.ok_or_else(Error::not_found)
    }

    /// Commits, and patches the local snapshot before anybody is answered. The change has
    /// landed whatever becomes of the patch; polling makes good a patch that failed.
    pub(crate) async fn commit(&self, write: ProjectWrite, now: DateTime<Utc>) -> Result<i64> {
        let project_id = write.project.id;
        let revision = write.commit(now).await?;
        if let Err(error) = self.snapshots.refresh(project_id, revision).await {
            tracing::warn!(
                project.id = project_id,
                error = error.causes(),
                "snapshot was not patched"
            );
        }
        Ok(revision)
    }
}

/// Refuses a write that disagrees with somebody else's since, and lets go what it only echoes.
fn resolve_conflicts(
    body: &mut Object,
    caller: &Caller,
    stored: &FeatureFlag,
    now: DateTime<Utc>,
) -> Result<()> {
    let editor = stored.last_modified_by.as_ref().map(|user| user.email.clone());
    match ShownFlag::to(caller, stored.clone(), now).to_json() {
        Value::Object(stored) => conflict::resolve(body, &stored, editor.as_deref()),
        _ => Ok(()),
    }
}

/// Whoever holds the key that a write wants.
struct KeyHolder(Option<(i64, bool)>);

impl KeyHolder {
    async fn of(write: &ProjectWrite, body: &Object) -> Result<Self> {
        match wanted_key(body) {
            Some(key) => write.key_holder(&key).await.map(Self),
            None => Ok(Self(None)),
        }
    }

    /// The key is taken by any live flag other than `own`.
    fn facts(&self, own: Option<i64>) -> Facts {
        let key_taken = self.0.is_some_and(|(id, deleted)| !deleted && Some(id) != own);
        Facts { key_taken }
    }

    /// A softly deleted holder gives way for good.
    async fn make_way(self, write: &mut ProjectWrite, own: Option<i64>) -> Result<()> {
        match self.0 {
            Some((id, true)) if Some(id) != own => write.remove_flag(id).await,
            _ => Ok(()),
        }
    }
}

fn check_limit(write: &ProjectWrite) -> Result<()> {
    let limit = write.project.feature_flag_limit;
    if write.project.flag_count < limit {
        return Ok(());
    }
    let limit = grouped(limit);
    Err(Error::blocked(format!(
        "Maximum of {limit} feature flags allowed per team. \
         Please delete unused flags or contact support to increase this limit."
    )))
}

/// A number with its thousands set apart.
fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn check_contexts(
    write: &ProjectWrite,
    after: &FeatureFlag,
    before: Option<&FeatureFlag>,
    from_survey: bool,
) -> Result<()> {
    let exempt = from_survey || !write.project.require_evaluation_contexts;
    if exempt || !after.evaluation_contexts.is_empty() {
        return Ok(());
    }
    match before {
        None => Err(Error::rule(
            "At least one evaluation context is required to create a new feature flag.",
        )),
        Some(before) if !before.evaluation_contexts.is_empty() => Err(Error::rule(
            "Cannot remove all evaluation contexts. At least one evaluation context is required.",
        )),
        Some(_) => Ok(()),
    }
}

async fn log_creation(
    write: &mut ProjectWrite,
    flag: &FeatureFlag,
    user_id: Option<i64>,
    now: DateTime<Utc>,
) -> Result<()> {
    let row = row_about(flag, Action::Created, Vec::new());
    write.log(row, user_id, now).await?;
    log_contexts(write, &[], flag, user_id, now).await
}

async fn log_update(
    write: &mut ProjectWrite,
    before: &FeatureFlag,
    after: &FeatureFlag,
    user_id: Option<i64>,
    now: DateTime<Utc>,
) -> Result<()> {
    let action = match (before.deleted, after.deleted) {
        (false, true) => Action::Deleted,
        (true, false) => Action::Restored,
        _ => Action::Updated,
    };
    let row = row_about(after, action, diff::between(before, after));
    write.log(row, user_id, now).await?;
    log_contexts(write, &before.evaluation_contexts, after, user_id, now).await
}

/// A change of contexts has a row of its own, without a version (3.6).
async fn log_contexts(
    write: &mut ProjectWrite,
    before: &[String],
    after: &FeatureFlag,
    user_id: Option<i64>,
    now: DateTime<Utc>,
) -> Result<()> {
    if before == after.evaluation_contexts {
        return Ok(());
    }
    let change = Change {
        field: "evaluation_contexts",
        action: "changed",
        before: before.into(),
        after: after.evaluation_contexts.clone().into(),
    };
    write.log(row_about(after, Action::Updated, vec![change]), user_id, now).await
}

fn row_about(flag: &FeatureFlag, action: Action, changes: Vec<Change>) -> NewActivity {
    NewActivity { action, flag_id: flag.id, name: flag.key.clone(), changes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        let cases = [(7, "7"), (200, "200"), (2000, "2,000"), (1_234_567, "1,234,567")];
        for (number, text) in cases {
            assert_eq!(grouped(number), text);
        }
    }
}
