//! Tags and evaluation contexts: names of a project, tied to its flags.
//!
//! Both are the same thing in two tables (a name, and a link from a flag), so
//! one macro spells out the queries for each. A name that nothing ties
//! any more is removed with its last link.

use std::collections::HashMap;

use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait,
    QueryFilter, QueryOrder, QuerySelect, QueryTrait, sea_query::Expr,
};

use super::{
    ProjectWrite,
    entity::{evaluation_context, feature_flag_evaluation_context, feature_flag_tag, tag},
    failure,
};
use crate::model::{error::Result, flag::FeatureFlag};

/// Beyond this many flags all links of the project are read: databases bound the
/// number of values in a statement.
pub(super) const MOST_NAMED: usize = 10_000;

macro_rules! labels {
    ($add:ident, $replace:ident, $field:ident, $name:ident, $link:ident, $id:ident, $Id:ident, $what:literal) => {
        #[doc = concat!("Fills in the ", $what, " of each flag, sorted.")]
        pub(super) async fn $add(
            connection: &impl ConnectionTrait,
            project_id: i64,
            flags: &mut [FeatureFlag],
        ) -> Result<()> {
            let mut links = $link::Entity::find().filter($link::Column::ProjectId.eq(project_id));
            if flags.len() <= MOST_NAMED {
                links = links.filter($link::Column::FlagId.is_in(flags.iter().map(|flag| flag.id)));
            }
            let pairs: Vec<($link::Model, Option<$name::Model>)> =
                links.find_also_related($name::Entity).all(connection).await.map_err(failure)?;
            let mut of_flag: HashMap<i64, Vec<String>> = HashMap::new();
            for (link, label) in pairs {
                of_flag.entry(link.flag_id).or_default().extend(label.map(|label| label.name));
            }
            for flag in flags {
                flag.$field = of_flag.remove(&flag.id).unwrap_or_default();
                flag.$field.sort_unstable();
            }
            Ok(())
        }

        #[doc = concat!("Makes these names the ", $what, " of a flag, whatever it had.")]
        pub(super) async fn $replace(
            write: &ProjectWrite,
            flag_id: i64,
            names: &[String],
        ) -> Result<()> {
            let project_id = write.project.id;
            let before: Vec<i64> = $link::Entity::find()
                .select_only()
                .column($link::Column::$Id)
                .filter($link::Column::ProjectId.eq(project_id))
                .filter($link::Column::FlagId.eq(flag_id))
                .into_tuple()
                .all(&write.txn)
                .await
                .map_err(failure)?;
            if before.is_empty() && names.is_empty() {
                return Ok(());
            }
            $link::Entity::delete_many()
                .filter($link::Column::ProjectId.eq(project_id))
                .filter($link::Column::FlagId.eq(flag_id))
                .exec(&write.txn)
                .await
                .map_err(failure)?;
            let known = $name::Entity::find()
                .filter($name::Column::ProjectId.eq(project_id))
                .filter($name::Column::Name.is_in(names))
                .order_by_asc($name::Column::Id)
                .all(&write.txn)
                .await
                .map_err(failure)?;
            for name in names {
                let id = match known.iter().find(|known| known.name == *name) {
                    Some(known) => known.id,
                    None => {
                        let row = $name::ActiveModel {
                            project_id: Set(project_id),
                            name: Set(name.clone()),
                            ..Default::default()
                        };
                        row.insert(&write.txn).await.map_err(failure)?.id
                    }
                };
                let link = $link::ActiveModel {
                    flag_id: Set(flag_id),
                    $id: Set(id),
                    project_id: Set(project_id),
                };
                $link::Entity::insert(link)
                    .exec_without_returning(&write.txn)
                    .await
                    .map_err(failure)?;
            }
            // Asked of each name by itself: all links of a project may be very many.
            let is_of_name = ($link::Entity, $link::Column::$Id);
            let tied = $link::Entity::find()
                .select_only()
                .column($link::Column::FlagId)
                .filter(Expr::col(is_of_name).equals(($name::Entity, $name::Column::Id)));
            $name::Entity::delete_many()
                .filter($name::Column::ProjectId.eq(project_id))
                .filter($name::Column::Id.is_in(before))
                .filter(Expr::exists(tied.into_query()).not())
                .exec(&write.txn)
                .await
                .map(|_| ())
                .map_err(failure)
        }
    };
}

labels!(add_tags, replace_tags, tags, tag, feature_flag_tag, tag_id, TagId, "tags");
labels!(
    add_contexts,
    replace_contexts,
    evaluation_contexts,
    evaluation_context,
    feature_flag_evaluation_context,
    evaluation_context_id,
    EvaluationContextId,
    "evaluation contexts"
);
