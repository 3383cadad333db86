//! What the activity log says: who did what to which item (management-api 4.6).

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::diff::Change;

/// The scope of rows about flags.
pub const FLAG_SCOPE: &str = "FeatureFlag";

/// What was done to a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It was made.
    Created,
    /// Some of its fields were changed.
    Updated,
    /// It was softly deleted.
    Deleted,
    /// It was brought back.
    Restored,
}

impl Action {
    /// The word stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Restored => "restored",
        }
    }
}

/// A row about to be written, in the transaction of the change it tells of.
#[derive(Clone, Debug)]
pub struct NewActivity {
    /// What was done.
    pub action: Action,
    /// The flag it was done to.
    pub flag_id: i64,
    /// The name the row shows: the flag's key.
    pub name: String,
    /// What differs.
    pub changes: Vec<Change>,
}

impl NewActivity {
    /// The stored and shown `detail`.
    #[must_use]
    pub fn detail(&self) -> Value {
        let changes: Vec<Value> = self.changes.iter().map(Change::to_json).collect();
        json!({"changes": changes, "trigger": null, "name": self.name, "short_id": null, "type": null})
    }

    /// The version that the change led to, when it was one that counts.
    #[must_use]
    pub fn version(&self) -> Option<i64> {
        self.changes.iter().find(|change| change.field == "version")?.after.as_i64()
    }
}

/// A row as it is shown.
#[derive(Clone, Debug)]
pub struct Activity {
    /// Time-ordered, so it breaks ties between rows of one instant.
    pub id: Uuid,
    /// Who did it; nobody for the system itself.
    pub user: Option<Actor>,
    /// `created`, `updated`, `deleted`, `restored`.
    pub activity: String,
    /// What kind of item it is about.
    pub scope: String,
    /// The item's id, as text.
    pub item_id: Option<String>,
    /// Changes, trigger, name.
    pub detail: Value,
    /// When it was done.
    pub created_at: DateTime<Utc>,
}

/// The person behind a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Given name, may be empty.
    pub first_name: String,
    /// Mail address.
    pub email: String,
}
