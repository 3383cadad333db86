//! The flag itself: every stored field of management-api 3.1, and what hangs on it.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::link::{Link, LinkKind};

/// A person who manages flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its number.
    pub id: i64,
    /// Its stable public identity.
    pub uuid: Uuid,
    /// The id under which the user is evaluated as a subject.
    pub distinct_id: String,
    /// Given name, may be empty.
    pub first_name: String,
    /// Family name, may be empty.
    pub last_name: String,
    /// Mail address, unique.
    pub email: String,
    /// Whether the address was proved; unknown is `None`.
    pub is_email_verified: Option<bool>,
}

/// How a flag is named where its id or its key will do (management-api 4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlagRef {
    /// By its number.
    Id(i64),
    /// By its key.
    Key(String),
}

impl FlagRef {
    /// All digits are an id, anything else is a key; `None` for what no flag can have.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.contains('\0') {
            return None;
        }
        match !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            true => text.parse().ok().map(Self::Id),
            false => Some(Self::Key(text.to_owned())),
        }
    }
}

/// A feature flag with all that is shown of it.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureFlag {
    /// Its number, unique in the whole service.
    pub id: i64,
    /// The project it belongs to.
    pub project_id: i64,
    /// What clients ask for; unique in the project, soft-deleted flags included.
    pub key: String,
    /// A description for people, called `name` for history.
    pub name: String,
    /// Conditions, variants and payloads, normalised (3.4, 3.5).
    pub filters: Value,
    /// Softly deleted: kept, shown when asked for by id, never evaluated.
    pub deleted: bool,
    /// Whether it is evaluated.
    pub active: bool,
    /// Put away; such a flag is inactive. Beyond the seed.
    pub archived: bool,
    /// Counts PATCH and PUT; `None` only in data from elsewhere.
    pub version: Option<i64>,
    /// Who made it; nobody when that user is gone.
    pub created_by: Option<User>,
    /// Who changed it last; nobody when that user is gone.
    pub last_modified_by: Option<User>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last saved.
    pub updated_at: Option<DateTime<Utc>>,
    /// Whether answers persist from anonymous to identified.
    pub ensure_experience_continuity: Option<bool>,
    /// Inert data, any JSON.
    pub rollback_conditions: Value,
    /// Inert data; a write of `active: true` sets it to false.
    pub performed_rollback: Option<bool>,
    /// The dashboard of its usage.
    pub usage_dashboard: Option<i64>,
    /// Dashboards that people linked to it.
    pub analytics_dashboards: Vec<i64>,
    /// What other products hold on to it.
    pub links: Vec<Link>,
    /// Whether views and interactions were seen for it.
    pub has_enriched_analytics: Option<bool>,
    /// Whether it delivers its payload rather than decide.
    pub is_remote_configuration: Option<bool>,
    /// Whether its payload is stored encrypted.
    pub has_encrypted_payloads: Option<bool>,
    /// `server`, `client`, `all`; `None` is all.
    pub evaluation_runtime: Option<String>,
    /// `distinct_id` or `device_id`; `None` is the distinct id.
    pub bucketing_identifier: Option<String>,
    /// The latest evaluation that ingestion heard of.
    pub last_called_at: Option<DateTime<Utc>>,
    /// Labels for people, sorted.
    pub tags: Vec<String>,
    /// Where it is evaluated, sorted; nowhere named means everywhere.
    pub evaluation_contexts: Vec<String>,
}

impl FeatureFlag {
    /// A flag as creation begins it: every field at its default (3.1).
    #[must_use]
    pub fn fresh(project_id: i64, key: String, created_at: DateTime<Utc>) -> Self {
        Self {
            id: 0,
            project_id,
            key,
            name: String::new(),
            filters: json!({"groups": []}),
            deleted: false,
            active: true,
            archived: false,
            version: Some(1),
            created_by: None,
            last_modified_by: None,
            created_at,
            updated_at: None,
            ensure_experience_continuity: Some(false),
            rollback_conditions: Value::Null,
            performed_rollback: None,
            usage_dashboard: None,
            analytics_dashboards: Vec::new(),
            links: Vec::new(),
            has_enriched_analytics: Some(false),
            is_remote_configuration: Some(false),
            has_encrypted_payloads: Some(false),
            evaluation_runtime: Some("all".into()),
            bucketing_identifier: Some("distinct_id".into()),
            last_called_at: None,
            tags: Vec::new(),
            evaluation_contexts: Vec::new(),
        }
    }

    /// What people call it: its name, or its key when it has none.
    #[must_use]
    pub fn title(&self) -> &str {
        if self.name.is_empty() { &self.key } else { &self.name }
    }

    /// What is linked to it of one kind and not deleted there.
    pub fn live_links(&self, kind: LinkKind) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(move |link| link.is_live(kind))
    }

    /// A plain flag for tests.
    #[cfg(test)]
    pub(crate) fn example() -> Self {
        Self { id: 17, ..Self::fresh(1, "new-checkout".into(), DateTime::UNIX_EPOCH) }
    }
}
