//! Changes to group types, under the project's lock.

use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, EntityTrait, QueryFilter, QuerySelect,
    sea_query::{Expr, ExprTrait},
};

use super::{
    ProjectWrite,
    entity::{cohort, feature_flag, group, group_type},
    failure,
    listen::announce_people,
    persons_write::lock_persons,
    project_write::Kind,
};
use crate::model::{
    error::Result,
    group::{GroupType, write::uses_group_type},
    json,
    people::PeopleChanged,
};

/// What filters that name a group type have in them.
const NAMED: &str = "%group_type_index%";

impl ProjectWrite {
    /// A group type of the project.
    pub(crate) async fn group_type_at(&self, index: i32) -> Result<Option<GroupType>> {
        let types = super::groups::of_project(&self.txn, self.project.id).await?;
        Ok(types.into_iter().find(|kind| kind.index == index))
    }

    /// Stores the display names of a group type. Evaluation does not read them.
    pub(crate) async fn rename_group_type(&self, kind: &GroupType) -> Result<()> {
        let row = group_type::ActiveModel {
            name_singular: Set(kind.name_singular.clone()),
            name_plural: Set(kind.name_plural.clone()),
            ..Default::default()
        };
        group_type::Entity::update_many()
            .set(row)
            .filter(group_type::Column::ProjectId.eq(self.project.id))
            .filter(group_type::Column::GroupTypeIndex.eq(kind.index))
            .exec(&self.txn)
            .await
            .map(drop)
            .map_err(failure)
    }

    /// The flags and the cohorts that use a group type and are not deleted, by key and by name.
    pub(crate) async fn users_of_group_type(
        &self,
        index: i32,
    ) -> Result<(Vec<String>, Vec<String>)> {
        let flags: Vec<(String, String)> = feature_flag::Entity::find()
            .select_only()
            .columns([feature_flag::Column::Key, feature_flag::Column::Filters])
            .filter(feature_flag::Column::ProjectId.eq(self.project.id))
            .filter(feature_flag::Column::Deleted.eq(false))
            .filter(Expr::col(feature_flag::Column::Filters).like(NAMED))
            .into_tuple()
            .all(&self.txn)
            .await
            .map_err(failure)?;
        let cohorts: Vec<(String, Option<String>)> = cohort::Entity::find()
            .select_only()
            .columns([cohort::Column::Name, cohort::Column::Filters])
            .filter(cohort::Column::ProjectId.eq(self.project.id))
            .filter(cohort::Column::Deleted.eq(false))
            .filter(Expr::col(cohort::Column::Filters).like(NAMED))
            .into_tuple()
            .all(&self.txn)
            .await
            .map_err(failure)?;
        let cohorts =
            cohorts.into_iter().map(|(name, filters)| (name, filters.unwrap_or_default()));
        Ok((users(flags, index), users(cohorts, index)))
    }

    /// Deletes a group type with its groups. Its index may be taken by another afterwards.
    pub(crate) async fn delete_group_type(&mut self, index: i32) -> Result<()> {
        // Events about its groups are written before, or find it gone.
        lock_persons(&self.txn, self.project.id).await?;
        group::Entity::delete_many()
            .filter(group::Column::ProjectId.eq(self.project.id))
            .filter(group::Column::GroupTypeIndex.eq(index))
            .exec(&self.txn)
            .await
            .map_err(failure)?;
        group_type::Entity::delete_many()
            .filter(group_type::Column::ProjectId.eq(self.project.id))
            .filter(group_type::Column::GroupTypeIndex.eq(index))
            .exec(&self.txn)
            .await
            .map_err(failure)?;
        self.touch(Kind::Project, self.project.id, false);
        announce_people(&self.txn, self.project.id, &PeopleChanged::many()).await
    }
}

/// The names of those whose filters use a group type. Filters that cannot be read may use it.
fn users(all: impl IntoIterator<Item = (String, String)>, index: i32) -> Vec<String> {
    let uses = |filters: &str| {
        json::parse_stored(filters).map_or(true, |filters| uses_group_type(&filters, index))
    };
    all.into_iter().filter(|(_, filters)| uses(filters)).map(|(name, _)| name).collect()
}
