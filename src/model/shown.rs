//! A flag as a caller sees it: what is stored, and what only the moment and the
//! caller decide (management-api 3.2).

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    caller::{Caller, CredentialKind},
    decoration::{self, Names},
    encrypted::{self, Cipher},
    fields::timestamp,
    flag::{FeatureFlag, User},
    link::{Link, LinkKind},
    status::{self, Status},
};

/// What showing a flag needs beside the flag.
#[derive(Debug)]
pub struct Seen<'a, C> {
    /// The moment that its status is told for.
    pub now: DateTime<Utc>,
    /// Decrypts payloads.
    pub cipher: &'a C,
    /// What its filters' cohorts and groups are called.
    pub names: &'a Names,
}

/// A flag on its way out.
#[derive(Clone, Debug)]
pub struct ShownFlag {
    /// What is stored.
    pub flag: FeatureFlag,
    /// Whether it is in use, as of now.
    pub status: Status,
    /// Whether this caller may change it.
    pub can_edit: bool,
}

impl ShownFlag {
    /// The flag as `caller` sees it at `now`: encrypted payloads in clear for personal keys alone,
    /// and names beside what its filters refer to.
    #[must_use]
    pub fn to(caller: &Caller, mut flag: FeatureFlag, seen: Seen<'_, impl Cipher>) -> Self {
        let status = status::of(&flag, seen.now).status;
        let reader = (caller.kind == CredentialKind::Personal).then_some(seen.cipher);
        flag.filters = encrypted::shown(&flag, reader);
        decoration::decorate(&mut flag.filters, seen.names);
        Self { status, can_edit: caller.may_edit(flag.id), flag }
    }

    /// The caller's level of access, in the documented word.
    #[must_use]
    pub const fn access_level(&self) -> &'static str {
        if self.can_edit { "editor" } else { "viewer" }
    }

    /// The few fields that a list of the caller's own values shows (management-api 5).
    #[must_use]
    pub fn to_minimal_json(&self) -> Value {
        let flag = &self.flag;
        json!({
            "id": flag.id,
            "team_id": flag.project_id,
            "name": flag.name,
            "key": flag.key,
            "filters": flag.filters,
            "deleted": flag.deleted,
            "active": flag.active,
            "ensure_experience_continuity": flag.ensure_experience_continuity,
            "version": flag.version,
            "evaluation_runtime": flag.evaluation_runtime,
            "bucketing_identifier": flag.bucketing_identifier,
            "evaluation_contexts": flag.evaluation_contexts,
        })
    }

    /// Every field in the documented order: the REST representation, and what `original_flag`
    /// is held against.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let flag = &self.flag;
        let linked = |kind| flag.live_links(kind).map(Link::to_json).collect::<Vec<_>>();
        let experiments: Vec<_> =
            flag.live_links(LinkKind::Experiment).map(|link| link.ref_id).collect();
        json!({
            "id": flag.id,
            "name": flag.name,
            "key": flag.key,
            "filters": flag.filters,
            "deleted": flag.deleted,
            "active": flag.active,
            "created_by": flag.created_by.as_ref().map(user),
            "created_at": timestamp(flag.created_at),
            "updated_at": flag.updated_at.map(timestamp),
            "version": flag.version,
            "last_modified_by": flag.last_modified_by.as_ref().map(user),
            "ensure_experience_continuity": flag.ensure_experience_continuity,
            "experiment_set": experiments,
            "experiment_set_metadata": linked(LinkKind::Experiment),
            "surveys": linked(LinkKind::Survey),
            "features": linked(LinkKind::EarlyAccess),
            "rollback_conditions": flag.rollback_conditions,
            "performed_rollback": flag.performed_rollback,
            "can_edit": self.can_edit,
            "tags": flag.tags,
            "evaluation_contexts": flag.evaluation_contexts,
            "usage_dashboard": flag.usage_dashboard,
            "analytics_dashboards": flag.analytics_dashboards,
            "has_enriched_analytics": flag.has_enriched_analytics,
            "user_access_level": self.access_level(),
            "is_remote_configuration": flag.is_remote_configuration,
            "has_encrypted_payloads": flag.has_encrypted_payloads,
            "status": self.status.upper(),
            "evaluation_runtime": flag.evaluation_runtime,
            "bucketing_identifier": flag.bucketing_identifier,
            "last_called_at": flag.last_called_at.map(timestamp),
            "is_used_in_replay_settings": flag.live_links(LinkKind::Replay).next().is_some(),
            "archived": flag.archived,
        })
    }
}

fn user(user: &User) -> Value {
    json!({
        "id": user.id,
        "uuid": user.uuid,
        "distinct_id": user.distinct_id,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "email": user.email,
        "is_email_verified": user.is_email_verified,
        "hedgehog_config": null,
        "role_at_organization": null,
    })
}
