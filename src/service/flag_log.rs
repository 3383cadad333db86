//! What the activity log says of a change to a flag (management-api 4.6), in
//! the transaction of that change.

use chrono::{DateTime, Utc};

use crate::{
    model::{
        activity::{Action, NewActivity},
        diff::{self, Change},
        encrypted::redaction,
        error::Result,
        flag::FeatureFlag,
    },
    store::ProjectWrite,
};

/// Notes a creation.
pub(super) async fn creation(
    write: &mut ProjectWrite,
    flag: &FeatureFlag,
    user_id: Option<i64>,
    now: DateTime<Utc>,
) -> Result<()> {
    write.log(row_about(flag, Action::Created, Vec::new()), user_id, now).await?;
    contexts(write, &[], flag, user_id, now).await
}

/// Notes an update, a deletion or a restoration. Where it turns encryption on, the older rows of
/// the flag lose the payloads that they show.
pub(super) async fn update(
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
    if redaction::is_turned_on(before, after) {
        write.redact_activity(before.id).await?;
    }
    let mut changes = diff::between(before, after);
    // Tokens are compared, so that a new payload shows as a change, and never written down.
    redaction::redact_changes(&mut changes, before, after);
    write.log(row_about(after, action, changes), user_id, now).await?;
    contexts(write, &before.evaluation_contexts, after, user_id, now).await
}

/// A change of contexts has a row of its own, without a version (3.6).
async fn contexts(
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
    let (key, name) = (flag.key.clone(), flag.key.clone());
    NewActivity { action, flag_id: flag.id, key, name, changes }
}
