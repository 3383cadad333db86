//! Reads what a caller wants a flag to become (management-api 3.3).
//!
//! REST bodies and gRPC messages both arrive as one JSON object, so that a
//! rule on a field is written once. Fields are judged in their declared order
//! and the first wrong one is reported; then come the rules that look at the
//! flag as a whole, in [`FlagWrite::apply`].

use std::{borrow::Cow, collections::HashSet};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    config_version,
    decoration::{same_undecorated, undecorated},
    encrypted::{self, Cipher},
    error::{Error, Result},
    fields,
    filters::{self, Known, Origin, Own, PreparedFilters, same_meaning},
    flag::FeatureFlag,
    guards,
    json::{Object, same_double},
    link::LinkKind,
};

/// The longest key, in characters.
pub const MAX_KEY_LENGTH: usize = 400;
const MAX_CONTEXTS: usize = 50;
/// The longest tag or evaluation context, in characters.
const MAX_LABEL_LENGTH: usize = 255;
const MOST_TAGS: usize = 1_000;
const MOST_DASHBOARDS: usize = 1_000;
const CREATION_CONTEXTS: [&str; 6] = [
    "feature_flags",
    "experiments",
    "surveys",
    "early_access_features",
    "web_experiments",
    "product_tours",
];

/// How a write treats what it does not mention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// A new flag: `key` is needed, the rest has defaults.
    Create,
    /// Leaves what is absent as it is.
    Patch,
    /// As [`Method::Patch`], but `key` is needed.
    Put,
}

/// What must be looked up before a write can be judged.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Whether another live flag of the project has the wanted key.
    pub key_taken: bool,
    /// What the project knows of the flags and cohorts that the filters refer to.
    pub known: Known,
    /// Which of the wanted dashboards the project has.
    pub dashboards: HashSet<i64>,
    /// Where the write comes from.
    pub origin: Origin,
    /// The sent filters, prepared before the project was locked; `None` if they were not.
    pub prepared: Option<PreparedFilters>,
}

/// Which fields came as typed messages, and so without a spelling of their own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Typed {
    /// `filters`.
    pub filters: bool,
    /// `rollback_conditions`.
    pub rollback_conditions: bool,
}

/// The wanted change, each field `None` where it was not sent.
#[derive(Clone, Debug, Default)]
pub struct FlagWrite {
    key: Option<String>,
    name: Option<String>,
    filters: Option<Value>,
    deleted: Option<bool>,
    active: Option<bool>,
    created_at: Option<DateTime<Utc>>,
    /// Judged here; used by [`super::conflict`], which reads the raw body.
    _version: Option<i64>,
    ensure_experience_continuity: Option<Option<bool>>,
    rollback_conditions: Option<Value>,
    performed_rollback: Option<Option<bool>>,
    archived: Option<bool>,
    tags: Option<Vec<String>>,
    analytics_dashboards: Option<Vec<i64>>,
    should_create_usage_dashboard: Option<bool>,
    evaluation_contexts: Option<Vec<String>>,
    has_enriched_analytics: Option<Option<bool>>,
    creation_context: Option<String>,
    is_remote_configuration: Option<Option<bool>>,
    has_encrypted_payloads: Option<Option<bool>>,
    evaluation_runtime: Option<Option<String>>,
    bucketing_identifier: Option<Option<String>>,
    last_called_at: Option<Option<DateTime<Utc>>>,
    /// Judged, and of no effect: there are no folders here.
    _create_in_folder: Option<String>,
}

/// The key that a body asks for, as far as it is one, for looking up [`Facts`].
#[must_use]
pub fn wanted_key(body: &Object) -> Option<String> {
    fields::short_text("key", body.get("key")?, MAX_KEY_LENGTH).ok()
}

impl FlagWrite {
    /// Judges each field of `body` against the flag as it stands (or as creation begins it).
    ///
    /// # Errors
    ///
    /// The first wrong field, with its stock or documented message.
    pub fn parse(
        body: &Object,
        method: Method,
        current: &FeatureFlag,
        facts: &Facts,
    ) -> Result<Self> {
        let field = |name: &str| body.get(name);
        let boolean = |name| field(name).map(|v| fields::boolean(name, v)).transpose();
        let maybe = |name| field(name).map(|v| fields::nullable_boolean(name, v)).transpose();
        let key = key(body, method, facts)?;
        let is_remote = maybe("is_remote_configuration").ok().flatten();
        let own = own(current, key.as_deref());
        let context = filters::Context {
            creating: method == Method::Create,
            origin: facts.origin,
            is_remote_configuration: is_remote.unwrap_or(current.is_remote_configuration)
                == Some(true),
            own: &own,
            known: &facts.known,
        };
        Ok(Self {
            key,
            name: field("name").map(|v| fields::text("name", v)).transpose()?,
            filters: filters_field(body, method, context, facts.prepared.as_ref())?,
            deleted: boolean("deleted")?,
            active: boolean("active")?,
            created_at: field("created_at")
                .map(|v| fields::datetime("created_at", v))
                .transpose()?,
            _version: field("version").map(|v| fields::integer("version", v)).transpose()?,
            ensure_experience_continuity: maybe("ensure_experience_continuity")?,
            rollback_conditions: field("rollback_conditions")
                .map(|v| fields::any("rollback_conditions", v))
                .transpose()?,
            performed_rollback: maybe("performed_rollback")?,
            tags: field("tags").map(tags).transpose()?,
            evaluation_contexts: field("evaluation_contexts").map(contexts).transpose()?,
            analytics_dashboards: field("analytics_dashboards")
                .map(|v| dashboards(v, &facts.dashboards))
                .transpose()?,
            has_enriched_analytics: maybe("has_enriched_analytics")?,
            creation_context: field("creation_context")
                .map(|v| fields::choice("creation_context", v, &CREATION_CONTEXTS))
                .transpose()?,
            is_remote_configuration: maybe("is_remote_configuration")?,
            has_encrypted_payloads: maybe("has_encrypted_payloads")?,
            evaluation_runtime: choice_or_null(
                body,
                "evaluation_runtime",
                &["server", "client", "all", ""],
            )?,
            bucketing_identifier: choice_or_null(
                body,
                "bucketing_identifier",
                &["distinct_id", "device_id"],
            )?,
            last_called_at: field("last_called_at")
                .map(|v| fields::nullable("last_called_at", v, fields::datetime))
                .transpose()?,
            _create_in_folder: field("_create_in_folder")
                .map(|v| fields::text("_create_in_folder", v))
                .transpose()?,
            should_create_usage_dashboard: boolean("_should_create_usage_dashboard")?,
            archived: boolean("archived")?,
        })
    }

    /// Keeps what is stored where a typed field only spells it differently: a message cannot
    /// say how a value was spelled.
    #[must_use]
    pub fn keeping_spelling_of(
        mut self,
        current: &FeatureFlag,
        typed: Typed,
        cipher: &impl Cipher,
    ) -> Self {
        if typed.filters {
            // The client wrote back what it was shown: names, and payloads in clear.
            let shown = undecorated(&encrypted::shown(current, Some(cipher)));
            self.filters =
                self.filters.filter(|wanted| !same_meaning(&undecorated(wanted), &shown));
        }
        if typed.rollback_conditions {
            let stored = &current.rollback_conditions;
            self.rollback_conditions =
                self.rollback_conditions.filter(|wanted| !same_double(wanted, stored));
        }
        self
    }

    /// The flag as it would become, after the rules that look at the whole of it.
    ///
    /// # Errors
    ///
    /// A rule of 3.3 that the effective state breaks; `attr` is null.
    pub fn apply(self, current: &FeatureFlag, method: Method) -> Result<FeatureFlag> {
        let filters = self.filters.filter(|wanted| !same_undecorated(wanted, &current.filters));
        let performed =
            if self.active == Some(true) { Some(Some(false)) } else { self.performed_rollback };
        let created_at = self.created_at.filter(|_| method == Method::Create);
        let wanted = FeatureFlag {
            key: self.key.unwrap_or_else(|| current.key.clone()),
            name: self.name.unwrap_or_else(|| current.name.clone()),
            filters: filters.unwrap_or_else(|| current.filters.clone()),
            deleted: self.deleted.unwrap_or(current.deleted),
            active: self.active.unwrap_or(current.active),
            archived: self.archived.unwrap_or(current.archived),
            created_at: created_at.unwrap_or(current.created_at),
            ensure_experience_continuity: self
                .ensure_experience_continuity
                .unwrap_or(current.ensure_experience_continuity),
            rollback_conditions: self
                .rollback_conditions
                .unwrap_or_else(|| current.rollback_conditions.clone()),
            performed_rollback: performed.unwrap_or(current.performed_rollback),
            tags: self.tags.unwrap_or_else(|| current.tags.clone()),
            analytics_dashboards: self
                .analytics_dashboards
                .unwrap_or_else(|| current.analytics_dashboards.clone()),
            evaluation_contexts: self
                .evaluation_contexts
                .unwrap_or_else(|| current.evaluation_contexts.clone()),
            has_enriched_analytics: self
                .has_enriched_analytics
                .unwrap_or(current.has_enriched_analytics),
            is_remote_configuration: self
                .is_remote_configuration
                .unwrap_or(current.is_remote_configuration),
            has_encrypted_payloads: self
                .has_encrypted_payloads
                .unwrap_or(current.has_encrypted_payloads),
            evaluation_runtime: self
                .evaluation_runtime
                .unwrap_or_else(|| current.evaluation_runtime.clone()),
            bucketing_identifier: self
                .bucketing_identifier
                .unwrap_or_else(|| current.bucketing_identifier.clone()),
            last_called_at: self.last_called_at.unwrap_or(current.last_called_at),
            ..current.clone()
        };
        check_whole(&wanted, current, method)?;
        Ok(wanted)
    }

    /// Whether a new flag gets a dashboard of its usage; it does unless the write says no.
    #[must_use]
    pub fn wants_usage_dashboard(&self) -> bool {
        self.should_create_usage_dashboard.unwrap_or(true)
    }

    /// Whether the write is a survey's own, which need not name a context.
    #[must_use]
    pub fn is_from_survey(&self) -> bool {
        self.creation_context.as_deref() == Some("surveys")
    }
}

fn key(body: &Object, method: Method, facts: &Facts) -> Result<Option<String>> {
    let Some(value) = body.get("key") else {
        return if method == Method::Patch { Ok(None) } else { Err(fields::required("key")) };
    };
    let key = fields::short_text("key", value, MAX_KEY_LENGTH)?;
    if facts.key_taken {
        return Err(key_taken());
    }
    if !is_key(&key) {
        let detail = "Only letters, numbers, hyphens (-) & underscores (_) are allowed.";
        return Err(Error::field("key", "invalid_key", detail));
    }
    Ok(Some(key))
}

/// Whether a flag can have this key, as far as its text goes.
#[must_use]
pub fn is_key(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    (1..=MAX_KEY_LENGTH).contains(&text.len()) && text.bytes().all(allowed)
}

/// The refusal of a key that a live flag of the project already has.
#[must_use]
pub fn key_taken() -> Error {
    Error::field("key", "unique", "There is already a feature flag with this key.")
}

/// The flag that filters are judged for; before it is created its key is the wanted one.
fn own(current: &FeatureFlag, wanted_key: Option<&str>) -> Own {
    let key = if current.key.is_empty() { wanted_key.unwrap_or_default() } else { &current.key };
    Own {
        id: (current.id != 0).then_some(current.id),
        key: key.to_owned(),
        filters: current.filters.clone(),
        has_early_access: current.live_links(LinkKind::EarlyAccess).next().is_some(),
    }
}

fn filters_field(
    body: &Object,
    method: Method,
    context: filters::Context<'_>,
    prepared: Option<&PreparedFilters>,
) -> Result<Option<Value>> {
    match body.get("filters") {
        None if context.creating => Ok(Some(filters::initial(context))),
        None => Ok(None),
        Some(sent) if is_let_go(sent, method) => {
            config_version::check_reserved(sent).map(|()| None)
        }
        Some(sent) => {
            let prepared =
                prepared.map_or_else(|| Cow::Owned(prepare(sent, context)), Cow::Borrowed);
            filters::accept(sent, &prepared, context).map(Some)
        }
    }
}

fn prepare(sent: &Value, context: filters::Context<'_>) -> PreparedFilters {
    PreparedFilters::new(sent, context.fills_rollout(), &context.known.grammar)
}

/// Prepares the filters that a body brings, which needs nothing but the body; `None` if it brings
/// none that are judged.
#[must_use]
pub fn prepared_filters(
    body: &Object,
    method: Method,
    grammar: &filters::Grammar,
) -> Option<PreparedFilters> {
    let sent = body.get("filters").filter(|sent| !is_let_go(sent, method))?;
    let is_remote = body.get("is_remote_configuration").and_then(|value| {
        fields::nullable_boolean("is_remote_configuration", value).ok().flatten()
    });
    let fills_rollout = method == Method::Create && is_remote == Some(true);
    Some(PreparedFilters::new(sent, fills_rollout, grammar))
}

/// On PATCH, filters without `groups` are let go: the stored ones stay (3.5).
fn is_let_go(sent: &Value, method: Method) -> bool {
    method == Method::Patch && sent.as_object().is_some_and(|sent| !sent.contains_key("groups"))
}

fn dashboards(value: &Value, known: &HashSet<i64>) -> Result<Vec<i64>> {
    let attr = "analytics_dashboards";
    let mut ids = Vec::new();
    for item in bounded(attr, value, MOST_DASHBOARDS)? {
        let id = fields::integer(attr, item).ok().filter(|id| known.contains(id));
        let unknown = || {
            let shown = item.as_str().map_or_else(|| item.to_string(), str::to_owned);
            let detail = format!("Invalid pk \"{shown}\" - object does not exist.");
            Error::field(attr, "does_not_exist", detail)
        };
        ids.push(id.ok_or_else(unknown)?);
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

fn choice_or_null(body: &Object, name: &str, allowed: &[&str]) -> Result<Option<Option<String>>> {
    let read = |attr: &str, value: &Value| fields::choice(attr, value, allowed);
    body.get(name).map(|value| fields::nullable(name, value, read)).transpose()
}

/// A list of at most so many items.
pub(super) fn bounded<'a>(attr: &str, value: &'a Value, most: usize) -> Result<&'a [Value]> {
    let items = fields::list(attr, value)?;
    if items.len() > most {
        let detail = format!("Ensure this field has no more than {most} elements.");
        return Err(Error::field(attr, "max_length", detail));
    }
    Ok(items)
}

fn tags(value: &Value) -> Result<Vec<String>> {
    let names = bounded("tags", value, MOST_TAGS)?.iter().map(|tag| label("tags", tag));
    names.collect::<Result<Vec<_>>>().map(labels)
}

/// A tag as it was typed, trimmed; only text can be one.
pub(super) fn label(attr: &str, value: &Value) -> Result<String> {
    match value {
        Value::String(text) if text.chars().count() > MAX_LABEL_LENGTH => {
            let detail =
                format!("Ensure this field has no more than {MAX_LABEL_LENGTH} characters.");
            Err(Error::field(attr, "max_length", detail))
        }
        Value::String(_) => fields::text(attr, value),
        _ => Err(Error::field(attr, "invalid_input", "Not a valid string.")),
    }
}

fn contexts(value: &Value) -> Result<Vec<String>> {
    let listed = fields::list("evaluation_contexts", value)?;
    if listed.len() > MAX_CONTEXTS {
        let detail = format!("evaluation_contexts must be a list of at most {MAX_CONTEXTS} items.");
        return Err(Error::rule(detail));
    }
    let name = |context: &Value| {
        context
            .as_str()
            .map(str::trim)
            .filter(|name| !name.is_empty() && !name.contains('\0'))
            .filter(|name| name.chars().count() <= MAX_LABEL_LENGTH)
            .map(str::to_owned)
            .ok_or_else(|| Error::rule("Invalid evaluation context name."))
    };
    listed.iter().map(name).collect::<Result<Vec<_>>>().map(labels)
}

/// Trimmed, lower-cased, each once, sorted (3.6).
pub(super) fn labels(names: Vec<String>) -> Vec<String> {
    let mut labels: Vec<_> = names.into_iter().map(|name| name.trim().to_lowercase()).collect();
    labels.retain(|label| !label.is_empty());
    labels.sort();
    labels.dedup();
    labels
}

fn check_whole(wanted: &FeatureFlag, current: &FeatureFlag, method: Method) -> Result<()> {
    let clash = |flag: &FeatureFlag| {
        flag.bucketing_identifier.as_deref() == Some("device_id")
            && flag.ensure_experience_continuity == Some(true)
    };
    if clash(wanted) && (method == Method::Create || !clash(current)) {
        return Err(Error::rule(
            "Cannot enable 'persist across authentication steps' when using device ID bucketing. \
             These features are incompatible.",
        ));
    }
    if wanted.has_encrypted_payloads == Some(true) && wanted.is_remote_configuration != Some(true) {
        return Err(Error::rule(
            "Encrypted payloads require the flag to be a remote configuration.",
        ));
    }
    if wanted.archived && wanted.active {
        let is_enabling = current.archived && method != Method::Create;
        return Err(if is_enabling {
            guards::enabling_archived()
        } else {
            guards::archiving_enabled()
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
