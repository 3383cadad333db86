//! What the activity log says: who did what to which item (management-api 4.6).

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    diff::Change,
    error::{Error, Result},
    fields,
    json::{self, Object},
};

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

impl Action {
    const ALL: [Self; 4] = [Self::Created, Self::Updated, Self::Deleted, Self::Restored];

    fn parse(attr: &str, value: &Value) -> Result<Self> {
        let names = Self::ALL.map(Self::as_str);
        let name = fields::choice(attr, value, &names)?;
        let unknown = || Error::field(attr, "invalid_choice", "Not a valid choice.");
        Self::ALL.into_iter().find(|action| action.as_str() == name).ok_or_else(unknown)
    }
}

/// What a list of rows is narrowed to; everything given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActivityFilter {
    /// Done by this user.
    pub user_id: Option<i64>,
    /// Of this kind.
    pub action: Option<Action>,
    /// At this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Before this time.
    pub until: Option<DateTime<Utc>>,
}

impl ActivityFilter {
    /// The names that [`ActivityFilter::parse`] reads.
    pub const NAMES: [&'static str; 5] = ["user", "user_id", "activity", "since", "until"];

    /// Reads what is known of `sent`; the rest, and what is empty, is ignored.
    ///
    /// # Errors
    ///
    /// `Invalid` on the first that is no user's number, kind or time.
    pub fn parse(sent: &Object) -> Result<Self> {
        let sent = |name: &str| sent.get(name).filter(|value| !json::is_empty(value));
        let user = ["user", "user_id"].into_iter().find_map(|name| Some((name, sent(name)?)));
        let time = |name| sent(name).map(|value| fields::datetime(name, value)).transpose();
        Ok(Self {
            user_id: user.map(|(name, value)| fields::integer(name, value)).transpose()?,
            action: sent("activity").map(|value| Action::parse("activity", value)).transpose()?,
            since: time("since")?,
            until: time("until")?,
        })
    }
}

/// A row's place among others, newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The project's revision that its change led to; 0 for rows from before these were stored.
    pub revision: i64,
    /// Its time.
    pub at: DateTime<Utc>,
    /// Its id, which tells rows of one instant apart.
    pub id: Uuid,
}

impl Mark {
    /// The place as gRPC's page tokens name it.
    #[must_use]
    pub fn token(&self) -> String {
        let Self { revision, at, id } = self;
        format!("{revision}.{}-{}", at.timestamp_micros(), id.simple())
    }

    /// Reads what [`Mark::token`] wrote. An earlier release wrote no revision, and its rows have
    /// none.
    #[must_use]
    pub fn parse(token: &str) -> Option<Self> {
        let (place, id) = token.rsplit_once('-')?;
        let (revision, micros) = place.split_once('.').unwrap_or(("0", place));
        let at = DateTime::from_timestamp_micros(micros.parse().ok()?)?;
        Some(Self { revision: revision.parse().ok()?, at, id: id.parse().ok()? })
    }
}

/// Where a part of the log begins, newest first.
#[derive(Clone, Copy, Debug)]
pub enum Start {
    /// After so many rows.
    Offset(u64),
    /// After this row.
    After(Mark),
}

impl Activity {
    /// Where the row stands.
    #[must_use]
    pub const fn mark(&self) -> Mark {
        Mark { revision: self.revision, at: self.created_at, id: self.id }
    }
}

/// A row about to be written, in the transaction of the change it tells of.
#[derive(Clone, Debug)]
pub struct NewActivity {
    /// What was done.
    pub action: Action,
    /// The flag it was done to.
    pub flag_id: i64,
    /// The flag's key.
    pub key: String,
    /// The name the row shows: the flag's key, or its name where its tags are changed in bulk.
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
    /// The project's revision that the change led to.
    pub revision: i64,
}

/// The person behind a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Given name, may be empty.
    pub first_name: String,
    /// Mail address.
    pub email: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(sent: Value) -> Result<ActivityFilter> {
        ActivityFilter::parse(sent.as_object().unwrap())
    }

    #[test]
    fn filters_are_read_by_name_and_empty_ones_are_none() {
        let nothing = json!({"user": "", "activity": "", "since": "", "page": "2"});
        assert_eq!(parse(nothing).unwrap(), ActivityFilter::default());
        let all = json!({"user": "7", "activity": "deleted", "since": "2026-01-02", "until": "2026-01-03T04:05:06Z"});
        let all = parse(all).unwrap();
        assert_eq!((all.user_id, all.action), (Some(7), Some(Action::Deleted)));
        assert!(all.since.unwrap() < all.until.unwrap());
        assert_eq!(parse(json!({"user_id": 7})).unwrap().user_id, Some(7));
    }

    #[test]
    fn the_filter_that_is_wrong_is_named() {
        let cases = [
            (json!({"user": "ann"}), "user", "invalid_input"),
            (json!({"user_id": "ann"}), "user_id", "invalid_input"),
            (json!({"activity": "undone"}), "activity", "invalid_choice"),
            (json!({"since": "yesterday"}), "since", "invalid_input"),
            (json!({"until": "1"}), "until", "invalid_input"),
        ];
        for (sent, attr, code) in cases {
            let error = parse(sent).unwrap_err();
            assert_eq!((error.attr.as_deref(), error.reason.as_ref()), (Some(attr), code));
        }
    }

    #[test]
    fn a_mark_survives_its_token_and_others_are_refused() {
        let at = DateTime::from_timestamp_micros(-1_234_567).unwrap();
        let mark = Mark { revision: 12, at, id: Uuid::from_u128(7) };
        assert_eq!(Mark::parse(&mark.token()), Some(mark));
        let older = format!("-1234567-{}", mark.id.simple());
        assert_eq!(Mark::parse(&older), Some(Mark { revision: 0, ..mark }));
        for odd in ["", "after-10", "1-", "-x", "1-zz", "x.1-7", ".1-7"] {
            assert_eq!(Mark::parse(odd), None, "{odd}");
        }
    }
}
