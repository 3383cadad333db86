//! From stored flags to a snapshot: whole, or only what changed.

use std::{collections::HashSet, sync::Arc};

use super::ProjectSnapshot;
use crate::{
    engine::{self, CohortSource, Flag, FlagSet, FlagSource, Matching, Settings},
    model::{
        cohort::Cohort, error::Result, flag::FeatureFlag, group::GroupType,
        history_point::HistoryPoint, link::LinkKind, project::Project,
    },
    store::{Store, changes::Changes},
};

/// Reads and compiles all of a project.
///
/// What it holds is read after the project's row, so it may be newer than its revision
/// says, never older; a patch that comes again changes nothing.
pub(super) async fn whole(store: &Store, project: Project) -> Result<ProjectSnapshot> {
    let flags = store.definitions(project.id, None).await?;
    let cohorts = store.cohort_definitions(project.id, None).await?;
    let settings = settings(&project, store.group_types(project.id).await?);
    let flags = flags.iter().map(compiled).collect();
    let cohorts = cohorts.iter().map(compiled_cohort).collect();
    Ok(ProjectSnapshot { flags: FlagSet::new(settings, flags, cohorts), project })
}

/// Reads and compiles the flags and cohorts that changed; the rest is shared with the state before.
pub(super) async fn patched(
    store: &Store,
    before: &ProjectSnapshot,
    changes: &Changes,
) -> Result<ProjectSnapshot> {
    let project_id = before.project.id;
    let mut set = None;
    if !changes.flag_ids.is_empty() {
        let found = store.definitions(project_id, Some(&changes.flag_ids)).await?;
        let gone = gone(&changes.flag_ids, found.iter().map(|flag| flag.id));
        set = Some(before.flags.with_changes(found.iter().map(compiled).collect(), &gone));
    }
    if !changes.cohort_ids.is_empty() {
        let found = store.cohort_definitions(project_id, Some(&changes.cohort_ids)).await?;
        let gone = gone(&changes.cohort_ids, found.iter().map(|cohort| cohort.id));
        let changed = found.iter().map(compiled_cohort).collect();
        set = Some(set.as_ref().unwrap_or(&before.flags).with_cohorts(changed, &gone));
    }
    let HistoryPoint { revision, token } = changes.newest().unwrap_or(before.project.point());
    Ok(ProjectSnapshot {
        project: Project { revision, history_token: token, ..before.project.clone() },
        flags: set.unwrap_or_else(|| before.flags.with_changes(Vec::new(), &[])),
    })
}

/// Those that changed and are no longer there.
fn gone(changed: &[i64], found: impl Iterator<Item = i64>) -> Vec<i64> {
    let found: HashSet<i64> = found.collect();
    changed.iter().copied().filter(|id| !found.contains(id)).collect()
}

/// A stored flag as the engine knows it.
pub(crate) fn compiled(flag: &FeatureFlag) -> Arc<Flag> {
    Arc::new(Flag::compile(&FlagSource {
        id: flag.id,
        key: &flag.key,
        version: flag.version,
        active: flag.active,
        deleted: flag.deleted,
        filters: &flag.filters,
        ensure_experience_continuity: flag.ensure_experience_continuity == Some(true),
        evaluation_runtime: flag.evaluation_runtime.as_deref(),
        bucketing_identifier: flag.bucketing_identifier.as_deref(),
        evaluation_contexts: &flag.evaluation_contexts,
        has_encrypted_payloads: flag.has_encrypted_payloads == Some(true),
        has_experiment: flag.live_links(LinkKind::Experiment).next().is_some(),
    }))
}

/// A static cohort's members stay in the store: it is compiled to the fact that they do.
fn compiled_cohort(cohort: &Cohort) -> Arc<engine::Cohort> {
    Arc::new(engine::Cohort::compile(&CohortSource {
        id: cohort.id,
        is_static: cohort.is_static,
        filters: Some(&cohort.filters),
        groups: cohort.filters.get("groups"),
    }))
}

fn settings(project: &Project, group_types: Vec<GroupType>) -> Settings {
    Settings {
        time_zone: project.timezone.parse().unwrap_or_default(),
        matching: Matching::from_version(project.property_matching_version.into()),
        group_types: group_types.into_iter().map(|kind| (kind.index.into(), kind.name)).collect(),
    }
}
