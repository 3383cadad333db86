//! From stored flags to a snapshot: whole, or only what changed.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::ProjectSnapshot;
use crate::{
    engine::{Flag, FlagSet, FlagSource, Matching, Settings},
    model::{error::Result, flag::FeatureFlag, link::LinkKind, project::Project},
    store::{Store, changes::Changes},
};

/// Reads and compiles all of a project.
///
/// The flags are read after the project's row, so they may be newer than its revision
/// says, never older; a patch that comes again changes nothing.
pub(super) async fn whole(store: &Store, project: Project) -> Result<ProjectSnapshot> {
    let flags = store.definitions(project.id, None).await?;
    let flags = flags.iter().map(compiled).collect();
    Ok(ProjectSnapshot { flags: FlagSet::new(settings(&project), flags, Vec::new()), project })
}

/// Reads and compiles the flags that changed; the rest is shared with the state before.
pub(super) async fn patched(
    store: &Store,
    before: &ProjectSnapshot,
    changes: &Changes,
    wanted: i64,
) -> Result<ProjectSnapshot> {
    let flags = store.definitions(before.project.id, Some(&changes.flag_ids)).await?;
    let found: HashSet<i64> = flags.iter().map(|flag| flag.id).collect();
    let gone = |id: &i64| !found.contains(id);
    let removed: Vec<i64> = changes.flag_ids.iter().copied().filter(gone).collect();
    let changed = flags.iter().map(compiled).collect();
    let revision = changes.revision.max(wanted);
    Ok(ProjectSnapshot {
        project: Project { revision, ..before.project.clone() },
        flags: before.flags.with_changes(changed, &removed),
    })
}

fn compiled(flag: &FeatureFlag) -> Arc<Flag> {
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

fn settings(project: &Project) -> Settings {
    Settings {
        time_zone: project.timezone.parse().unwrap_or_default(),
        matching: Matching::from_version(project.property_matching_version.into()),
        group_types: HashMap::new(),
    }
}
