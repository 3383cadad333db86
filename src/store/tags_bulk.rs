//! Tags of many flags at once, in a few statements.

use std::collections::{BTreeSet, HashMap};

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait};

use super::{
    ProjectWrite,
    among::among,
    entity::{feature_flag_tag, tag},
    failure,
    project_write::Kind,
};
use crate::model::error::Result;

/// Rows a statement; databases bound the number of values in one.
const ROWS: usize = 5_000;

impl ProjectWrite {
    /// The tags of each of these flags, sorted; those without are left out.
    pub(crate) async fn tags_among(&self, ids: &[i64]) -> Result<HashMap<i64, Vec<String>>> {
        let links: Vec<(feature_flag_tag::Model, Option<tag::Model>)> =
            feature_flag_tag::Entity::find()
                .filter(feature_flag_tag::Column::ProjectId.eq(self.project.id))
                .filter(among(&self.txn, feature_flag_tag::Column::FlagId, ids.iter().copied()))
                .find_also_related(tag::Entity)
                .all(&self.txn)
                .await
                .map_err(failure)?;
        let mut of_flag: HashMap<i64, Vec<String>> = HashMap::new();
        for (link, tag) in links {
            of_flag.entry(link.flag_id).or_default().extend(tag.map(|tag| tag.name));
        }
        of_flag.values_mut().for_each(|names| names.sort_unstable());
        Ok(of_flag)
    }

    /// Makes these the tags of each flag, whatever it had; tags that nothing carries any more go.
    pub(crate) async fn retag(&mut self, wanted: &[(i64, Vec<String>)]) -> Result<()> {
        // Lists are chosen in memory, by tags too.
        wanted.iter().for_each(|(id, _)| self.touch(Kind::Flag, *id, false));
        let flags = || wanted.iter().map(|(id, _)| *id);
        let names = wanted.iter().flat_map(|(_, names)| names.iter().map(String::as_str));
        let known = self.tags_named(names.collect()).await?;
        let dropped = self.tag_ids_of(flags()).await?;
        feature_flag_tag::Entity::delete_many()
            .filter(feature_flag_tag::Column::ProjectId.eq(self.project.id))
            .filter(among(&self.txn, feature_flag_tag::Column::FlagId, flags()))
            .exec(&self.txn)
            .await
            .map_err(failure)?;
        let links: Vec<_> = wanted
            .iter()
            .flat_map(|(id, names)| names.iter().filter_map(|name| Some((*id, *known.get(name)?))))
            .map(|(flag_id, tag_id)| feature_flag_tag::ActiveModel {
                flag_id: Set(flag_id),
                tag_id: Set(tag_id),
                project_id: Set(self.project.id),
            })
            .collect();
        for rows in links.chunks(ROWS) {
            feature_flag_tag::Entity::insert_many(rows.iter().cloned())
                .exec_without_returning(&self.txn)
                .await
                .map_err(failure)?;
        }
        self.remove_unused(dropped).await
    }

    /// The numbers of these tags, made where they are new.
    async fn tags_named(&self, names: BTreeSet<&str>) -> Result<HashMap<String, i64>> {
        let mut known = self.known_tags(&names).await?;
        let row = |name: &&str| tag::ActiveModel {
            project_id: Set(self.project.id),
            name: Set((*name).to_owned()),
            ..Default::default()
        };
        let new: Vec<_> =
            names.iter().filter(|name| !known.contains_key(**name)).map(row).collect();
        if !new.is_empty() {
            for rows in new.chunks(ROWS) {
                tag::Entity::insert_many(rows.iter().cloned())
                    .exec_without_returning(&self.txn)
                    .await
                    .map_err(failure)?;
            }
            known = self.known_tags(&names).await?;
        }
        Ok(known)
    }

    /// The numbers of those of these tags that there are; of all tags where very many are asked for.
    async fn known_tags(&self, names: &BTreeSet<&str>) -> Result<HashMap<String, i64>> {
        let mut tags = tag::Entity::find()
            .select_only()
            .columns([tag::Column::Name, tag::Column::Id])
            .filter(tag::Column::ProjectId.eq(self.project.id));
        if names.len() <= ROWS {
            tags = tags.filter(tag::Column::Name.is_in(names.iter().copied()));
        }
        let rows: Vec<(String, i64)> = tags.into_tuple().all(&self.txn).await.map_err(failure)?;
        Ok(rows.into_iter().collect())
    }

    async fn tag_ids_of(&self, flags: impl Iterator<Item = i64>) -> Result<Vec<i64>> {
        feature_flag_tag::Entity::find()
            .select_only()
            .column(feature_flag_tag::Column::TagId)
            .distinct()
            .filter(feature_flag_tag::Column::ProjectId.eq(self.project.id))
            .filter(among(&self.txn, feature_flag_tag::Column::FlagId, flags))
            .into_tuple()
            .all(&self.txn)
            .await
            .map_err(failure)
    }

    async fn remove_unused(&self, candidates: Vec<i64>) -> Result<()> {
        if candidates.is_empty() {
            return Ok(());
        }
        let used = feature_flag_tag::Entity::find()
            .select_only()
            .column(feature_flag_tag::Column::TagId)
            .filter(feature_flag_tag::Column::ProjectId.eq(self.project.id))
            .filter(among(&self.txn, feature_flag_tag::Column::TagId, candidates.iter().copied()));
        tag::Entity::delete_many()
            .filter(tag::Column::ProjectId.eq(self.project.id))
            .filter(among(&self.txn, tag::Column::Id, candidates))
            .filter(tag::Column::Id.not_in_subquery(used.into_query()))
            .exec(&self.txn)
            .await
            .map(|_| ())
            .map_err(failure)
    }
}
