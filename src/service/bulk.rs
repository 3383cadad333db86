//! Many flags at once: their keys, their deletion, their tags (management-api
//! 4.7–4.9). One request is one transaction, one revision and one refresh of
//! what evaluation reads; what fails half-way changes nothing.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::Services;
use crate::{
    model::{
        activity::{Action, NewActivity},
        bulk::{self, Doomed, GivenId, WantedKeys},
        bulk_tags::TagUpdate,
        caller::{Caller, Scope},
        diff::Change,
        error::Result,
        json::Object,
        link::{Link, LinkKind},
        project::ProjectRef,
        status::Rollout,
    },
    rules_format::RulesFormat,
    store::{ProjectWrite, flags_bulk::BulkFlag},
};

/// Keys by id, in the order asked for.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) keys: Vec<(i64, String)>,
    pub(crate) warning: Option<String>,
}

/// What a bulk deletion came to.
#[derive(Debug, Default)]
pub(crate) struct Deletion {
    pub(crate) deleted: Vec<DeletedFlag>,
    pub(crate) errors: Vec<Refused>,
}

/// A flag that was deleted, as it was before.
#[derive(Debug)]
pub(crate) struct DeletedFlag {
    pub(crate) id: i64,
    pub(crate) key: String,
    pub(crate) rollout: Rollout,
}

/// A flag, or what was taken for one, that was not deleted.
#[derive(Debug)]
pub(crate) struct Refused {
    /// The id as it was given.
    pub(crate) id: Value,
    /// `None` when there is no such flag.
    pub(crate) key: Option<String>,
    pub(crate) reason: String,
}

/// What a bulk change of tags came to.
#[derive(Debug)]
pub(crate) struct Tagging {
    /// Flags and all their tags afterwards, newest flag first.
    pub(crate) updated: Vec<(i64, Vec<String>)>,
    /// Flags left alone and why, in the order asked for.
    pub(crate) skipped: Vec<(i64, &'static str)>,
}

impl Services {
    /// The keys of flags by their ids. Ids that name nothing here are left out.
    pub(crate) async fn flag_keys(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        body: &Object,
    ) -> Result<Keys> {
        let project = self.open(caller, Scope::FLAG_READ, project).await?;
        let WantedKeys { ids, warning } = WantedKeys::parse(body)?;
        let mut known = match ids.is_empty() {
            true => HashMap::new(),
            false => self.store.flag_keys(project.id, &ids).await?,
        };
        let keys = ids.into_iter().filter_map(|id| Some((id, known.remove(&id)?))).collect();
        Ok(Keys { keys, warning })
    }

    /// Softly deletes the flags that `ids` or `filters` name, as far as nothing else needs them.
    pub(crate) async fn delete_flags(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        body: &Object,
    ) -> Result<Deletion> {
        let project = self.open(caller, Scope::FLAG_WRITE, project).await?;
        let doomed = Doomed::parse(body)?;
        let mut write = self.begin(project.id).await?;
        let now = self.clock.now();
        let (candidates, absent) = match doomed {
            Doomed::Filter(filter) => (write.flags_matching(&filter, now).await?, Vec::new()),
            Doomed::Ids(given) => found(&write, caller, given).await?,
        };
        let sorted = sort(&write, candidates).await?;
        if !sorted.deleted.is_empty() {
            let rows: Vec<NewActivity> = sorted.deleted.iter().map(deletion_of).collect();
            write.delete_flags(&rows, &sorted.renamed, caller.user_id, now).await?;
            self.commit(write, now).await?;
        }
        let errors = absent.into_iter().chain(sorted.errors).collect();
        Ok(Deletion { deleted: sorted.deleted, errors })
    }

    /// Adds, removes or sets the tags of many flags. No version is counted.
    pub(crate) async fn tag_flags(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        body: &Object,
    ) -> Result<Tagging> {
        let project = self.open(caller, Scope::FLAG_WRITE, project).await?;
        let update = TagUpdate::parse(body)?;
        let mut write = self.begin(project.id).await?;
        let now = self.clock.now();
        let mut flags = write.flags_among(update.ids.iter().copied(), true).await?;
        let skipped = skipped(caller, &update.ids, &flags);
        flags.retain(|flag| caller.may_edit(flag.id) && is_supported(flag));
        let ids: Vec<i64> = flags.iter().map(|flag| flag.id).collect();
        let mut before = write.tags_among(&ids).await?;
        let (mut updated, mut changed, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        for flag in flags {
            let before = before.remove(&flag.id).unwrap_or_default();
            let after = update.apply(&before);
            updated.push((flag.id, after.clone()));
            if before != after {
                rows.push(tagging_of(flag, before, &after));
                changed.push((updated[updated.len() - 1].0, after));
            }
        }
        if !changed.is_empty() {
            write.retag(&changed).await?;
            write.log_all(rows, caller.user_id, now).await?;
            self.commit(write, now).await?;
        }
        Ok(Tagging { updated, skipped })
    }
}

/// The flags that ids name, in their order, and the ids that name none.
async fn found(
    write: &ProjectWrite,
    caller: &Caller,
    given: Vec<GivenId>,
) -> Result<(Vec<BulkFlag>, Vec<Refused>)> {
    let flags = write.flags_among(given.iter().filter_map(|given| given.id), false).await?;
    let editable = flags.into_iter().filter(|flag| caller.may_edit(flag.id));
    let mut by_id: HashMap<i64, BulkFlag> = editable.map(|flag| (flag.id, flag)).collect();
    let (mut found, mut absent) = (Vec::new(), Vec::new());
    for GivenId { raw, id } in given {
        let reason = match id.map(|id| by_id.remove(&id)) {
            Some(Some(flag)) => {
                found.push(flag);
                continue;
            }
            Some(None) => "Flag not found",
            None => "Invalid flag ID format",
        };
        absent.push(Refused { id: raw, key: None, reason: reason.into() });
    }
    Ok((found, absent))
}

/// Candidates for deletion, sorted into those that go and those that stay.
#[derive(Default)]
struct Sorted {
    deleted: Vec<DeletedFlag>,
    /// Those among them that an experiment refers to: their key makes way.
    renamed: Vec<i64>,
    errors: Vec<Refused>,
}

async fn sort(write: &ProjectWrite, candidates: Vec<BulkFlag>) -> Result<Sorted> {
    let ids: Vec<i64> = candidates.iter().map(|flag| flag.id).collect();
    let batch: HashSet<i64> = ids.iter().copied().collect();
    let links = write.links_among(&ids).await?;
    let dependents = write.dependents_among(&ids).await?;
    let mut sorted = Sorted::default();
    for BulkFlag { id, key, filters, .. } in candidates {
        let links: &[Link] = links.get(&id).map_or(&[], Vec::as_slice);
        let dependents = dependents.get(&id).map_or(&[][..], Vec::as_slice);
        if let Some(reason) = bulk::refusal(links, dependents, &batch) {
            sorted.errors.push(Refused { id: id.into(), key: Some(key), reason });
            continue;
        }
        if links.iter().any(|link| link.kind == LinkKind::Experiment) {
            sorted.renamed.push(id);
        }
        sorted.deleted.push(DeletedFlag { id, key, rollout: Rollout::of(&filters) });
    }
    Ok(sorted)
}

fn skipped(caller: &Caller, ids: &[i64], flags: &[BulkFlag]) -> Vec<(i64, &'static str)> {
    let known: HashMap<i64, &BulkFlag> = flags.iter().map(|flag| (flag.id, flag)).collect();
    let reason = |id: i64| match known.get(&id) {
        None => Some("Not found"),
        Some(_) if !caller.may_edit(id) => Some("Permission denied"),
        Some(flag) if !is_supported(flag) => Some("Unsupported rules format"),
        Some(_) => None,
    };
    ids.iter().filter_map(|id| Some((*id, reason(*id)?))).collect()
}

/// Whether a flag takes other writes than its deletion.
fn is_supported(flag: &BulkFlag) -> bool {
    RulesFormat::of(&flag.filters).is_supported()
}

/// The row of one deletion: under the key it had, and without changes (4.6).
fn deletion_of(flag: &DeletedFlag) -> NewActivity {
    let (key, name) = (flag.key.clone(), flag.key.clone());
    NewActivity { action: Action::Deleted, flag_id: flag.id, key, name, changes: Vec::new() }
}

fn tagging_of(flag: BulkFlag, before: Vec<String>, after: &[String]) -> NewActivity {
    let change =
        Change { field: "tags", action: "changed", before: before.into(), after: after.into() };
    let BulkFlag { id: flag_id, key, name, .. } = flag;
    let name = if name.is_empty() { key.clone() } else { name };
    NewActivity { action: Action::Updated, flag_id, key, name, changes: vec![change] }
}
