//! The rules of a write that need to look beyond the flag itself: who holds its
//! key, what it refers to, what depends on it (management-api 3.3, 3.7).

use serde_json::Value;

use crate::{
    engine::grammar,
    model::{
        error::{Error, Result},
        fields,
        filters::{Grammar, Origin, PreparedFilters, References},
        flag::FeatureFlag,
        guards,
        json::Object,
        link::{Link, LinkKind},
        numbers::grouped,
        project::Project,
        write::{Facts, Method, prepared_filters, wanted_key},
    },
    store::ProjectWrite,
};

/// What is stored is what evaluation can read.
pub(super) const GRAMMAR: Grammar = Grammar {
    is_date: grammar::is_date,
    is_version: grammar::is_version,
    problem: grammar::problem,
    is_cohort: grammar::is_cohort,
};

/// How many things a write may refer to; each is looked up under the project's lock.
const MOST_REFERENCES: usize = 1_000;

/// Prepares the filters of a body before the project is locked, on a thread for long computations.
///
/// # Errors
///
/// `Internal` if the computation panicked.
pub(super) async fn prepare(body: &Object, method: Method) -> Result<Option<PreparedFilters>> {
    if !body.contains_key("filters") {
        return Ok(None);
    }
    let names = ["filters", "is_remote_configuration"];
    let body: Object = names
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), body.get(name)?.clone())))
        .collect();
    tokio::task::spawn_blocking(move || prepared_filters(&body, method, &GRAMMAR))
        .await
        .map_err(Error::internal)
}

/// Looks up everything that a body is judged by.
pub(super) async fn facts(
    write: &ProjectWrite,
    body: &Object,
    current: &FeatureFlag,
    holder: &KeyHolder,
    (origin, prepared): (Origin, Option<PreparedFilters>),
) -> Result<Facts> {
    let references = References::of(body.get("filters").unwrap_or(&Value::Null));
    if references.flags.len().max(references.cohorts.len()) > MOST_REFERENCES {
        let detail = format!("Filters may refer to at most {MOST_REFERENCES} flags or cohorts.");
        return Err(Error::field("filters", "invalid_input", detail));
    }
    let wanted = body.get("analytics_dashboards").and_then(Value::as_array);
    let wanted = wanted.into_iter().flatten().take(MOST_REFERENCES);
    let dashboards = wanted.filter_map(|id| fields::integer("", id).ok());
    Ok(Facts {
        key_taken: holder.is_other(current.id),
        known: write.known(&references, GRAMMAR).await?,
        dashboards: write.known_dashboards(dashboards.collect()).await?,
        origin,
        prepared,
    })
}

/// The key that a write wants, and whoever holds it.
pub(super) struct KeyHolder {
    key: String,
    /// The holder's number, and whether it is softly deleted.
    held_by: Option<(i64, bool)>,
}

impl KeyHolder {
    pub(super) async fn of(write: &ProjectWrite, body: &Object) -> Result<Self> {
        let Some(key) = wanted_key(body) else {
            return Ok(Self { key: String::new(), held_by: None });
        };
        Ok(Self { held_by: write.key_holder(&key).await?, key })
    }

    /// The key is taken by any live flag other than `own`.
    fn is_other(&self, own: i64) -> bool {
        self.held_by.is_some_and(|(id, deleted)| !deleted && id != own)
    }

    /// A softly deleted holder gives way: for good, or, where an experiment or early access still
    /// refers to it, by being renamed.
    pub(super) async fn make_way(self, write: &mut ProjectWrite, own: Option<i64>) -> Result<()> {
        let Some((id, true)) = self.held_by.filter(|(id, _)| Some(*id) != own) else {
            return Ok(());
        };
        let links = write.links_to(id).await?;
        guards::key_reuse(&self.key, &links)?;
        let is_kept =
            |link: &Link| matches!(link.kind, LinkKind::Experiment | LinkKind::EarlyAccess);
        match links.iter().any(is_kept) {
            false => write.remove_flag(id).await,
            true => write.rename_flag(id, guards::deleted_key(&self.key, id)).await,
        }
    }
}

/// What a change does to a flag, as far as others are concerned.
#[derive(Debug)]
pub(super) struct Transition {
    deletes: bool,
    disables: bool,
    enables: bool,
}

impl Transition {
    pub(super) fn between(before: &FeatureFlag, after: &FeatureFlag) -> Self {
        Self {
            deletes: !before.deleted && after.deleted,
            disables: before.active && !after.active,
            enables: !before.active && after.active,
        }
    }

    /// # Errors
    ///
    /// `Blocked`, naming what is in the way.
    pub(super) async fn check(
        &self,
        write: &ProjectWrite,
        before: &FeatureFlag,
        after: &FeatureFlag,
    ) -> Result<()> {
        if self.deletes || self.disables {
            let dependents = write.dependents(before.id).await?;
            if self.deletes {
                guards::deletion(&before.links, &dependents)?;
            } else {
                guards::disabling(&dependents)?;
            }
        }
        if self.enables {
            let read = References::of(&after.filters).flags;
            guards::enabling(&write.disabled(read).await?)?;
        }
        Ok(())
    }
}

/// The key of a flag that is deleted (an experiment keeps its own) or restored.
pub(super) async fn rekey(
    write: &ProjectWrite,
    before: &FeatureFlag,
    after: &mut FeatureFlag,
    key_was_sent: bool,
) -> Result<()> {
    let has_experiment = || before.links.iter().any(|link| link.kind == LinkKind::Experiment);
    if !before.deleted && after.deleted && has_experiment() {
        after.key = guards::deleted_key(&after.key, after.id);
    }
    let original = guards::original_key(before).filter(|_| before.deleted && !after.deleted);
    if let Some(original) = original.filter(|_| !key_was_sent) {
        after.key = free_key(write, original).await?;
    }
    Ok(())
}

/// The key itself, or the first of `key-2`, `key-3`, … that no flag has.
async fn free_key(write: &ProjectWrite, key: &str) -> Result<String> {
    let mut candidate = key.to_owned();
    let mut number = 2_u32;
    while write.has_key(&candidate).await? {
        candidate = format!("{key}-{number}");
        number += 1;
    }
    Ok(candidate)
}

pub(super) fn check_limit(write: &ProjectWrite) -> Result<()> {
    let limit = write.project.feature_flag_limit;
    if write.flag_count() < limit {
        return Ok(());
    }
    let limit = grouped(limit.unsigned_abs());
    Err(Error::blocked(format!(
        "Maximum of {limit} feature flags allowed per team. \
         Please delete unused flags or contact support to increase this limit."
    )))
}

pub(super) fn check_contexts(
    project: &Project,
    after: &FeatureFlag,
    before: Option<&FeatureFlag>,
    from_survey: bool,
) -> Result<()> {
    let exempt = from_survey || !project.require_evaluation_contexts;
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

#[cfg(test)]
mod tests;
