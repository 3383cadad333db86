//! What the names in a list's filter stand for, when the list is chosen in memory.

use std::collections::HashSet;

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use super::{
    Store,
    entity::{feature_flag, flag_link, tag},
    failure,
    flag_list::{MOST_LINKED, linked_to},
};
use crate::model::{
    error::Result,
    flag_filter::{FlagFilter, FlagType},
    listed::Outside,
};

impl Store {
    /// Looks up what a filter names; no query without need. `None` when experiments refer to
    /// more flags than are worth carrying over.
    pub(crate) async fn outside(
        &self,
        project_id: i64,
        filter: &FlagFilter,
    ) -> Result<Option<Outside>> {
        let linked = linked_to(self.reader(), project_id, filter).await?;
        let experiments = match filter.flag_type {
            Some(FlagType::Experiment) => self.experiments(project_id).await?,
            _ => Vec::new(),
        };
        let most = usize::try_from(MOST_LINKED).unwrap_or(usize::MAX);
        if linked.len().max(experiments.len()) >= most {
            return Ok(None);
        }
        let wanted = filter.tags.as_deref().unwrap_or_default();
        Ok(Some(Outside {
            linked: linked.into_iter().collect(),
            experiments: experiments.into_iter().collect(),
            excluded: self.with_keys(project_id, &filter.excluded_keys).await?,
            tags: self.tag_ids(project_id, wanted).await?,
            excluded_tags: self.tag_ids(project_id, &filter.excluded_tags).await?,
        }))
    }

    async fn experiments(&self, project_id: i64) -> Result<Vec<i64>> {
        flag_link::Entity::find()
            .select_only()
            .column(flag_link::Column::FlagId)
            .filter(flag_link::Column::ProjectId.eq(project_id))
            .filter(flag_link::Column::Kind.eq("experiment"))
            .limit(MOST_LINKED)
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(failure)
    }

    async fn with_keys(&self, project_id: i64, keys: &[String]) -> Result<HashSet<i64>> {
        if keys.is_empty() {
            return Ok(HashSet::new());
        }
        let ids: Vec<i64> = feature_flag::Entity::find()
            .select_only()
            .column(feature_flag::Column::Id)
            .filter(feature_flag::Column::ProjectId.eq(project_id))
            .filter(feature_flag::Column::Key.is_in(keys.iter().map(String::as_str)))
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(failure)?;
        Ok(ids.into_iter().collect())
    }

    async fn tag_ids(&self, project_id: i64, names: &[String]) -> Result<Vec<i64>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        tag::Entity::find()
            .select_only()
            .column(tag::Column::Id)
            .filter(tag::Column::ProjectId.eq(project_id))
            .filter(tag::Column::Name.is_in(names.iter().map(String::as_str)))
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(failure)
    }
}
