//! Tags and evaluation contexts: names of a project, tied to its flags.
//!
//! Both are the same thing in two tables (a name, and a link from a flag), so
//! one macro spells out the queries for each. A name that nothing ties
//! any more is removed with its last link.

use std::collections::HashMap;

use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, EntityTrait,
    ExprTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, sea_query::Expr,
};

use super::{
    ProjectWrite,
    entity::{evaluation_context, feature_flag_evaluation_context, feature_flag_tag, tag},
    failure,
};
use crate::model::error::Result;

/// Beyond this many flags all links of the project are read: databases bound the
/// number of values in a statement.
const MOST_NAMED: usize = 10_000;

/// What flags have, by the flag's number.
pub(super) type OfFlags<T> = HashMap<i64, Vec<T>>;

/// The flags to name in a statement; `None` where all are read.
pub(super) fn named(flag_ids: Option<&[i64]>) -> Option<impl Iterator<Item = i64>> {
    flag_ids.filter(|ids| ids.len() <= MOST_NAMED).map(|ids| ids.iter().copied())
}

macro_rules! labels {
    ($of:ident, $replace:ident, $name:ident, $link:ident, $id:ident, $Id:ident, $what:literal) => {
        #[doc = concat!("The ", $what, " of these flags, or of all, sorted.")]
        pub(super) async fn $of(
            connection: &impl ConnectionTrait,
            project_id: i64,
            flag_ids: Option<&[i64]>,
        ) -> Result<OfFlags<String>> {
            let named = named(flag_ids).map(|ids| $link::Column::FlagId.is_in(ids));
            let pairs: Vec<($link::Model, Option<$name::Model>)> = $link::Entity::find()
                .filter($link::Column::ProjectId.eq(project_id))
                .filter(Condition::all().add_option(named))
                .find_also_related($name::Entity)
                .all(connection)
                .await
                .map_err(failure)?;
            let mut of_flag = OfFlags::new();
            for (link, label) in pairs {
                of_flag.entry(link.flag_id).or_default().extend(label.map(|label| label.name));
            }
            of_flag.values_mut().for_each(|names| names.sort_unstable());
            Ok(of_flag)
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

labels!(tags_of, replace_tags, tag, feature_flag_tag, tag_id, TagId, "tags");
labels!(
    contexts_of,
    replace_contexts,
    evaluation_context,
    feature_flag_evaluation_context,
    evaluation_context_id,
    EvaluationContextId,
    "evaluation contexts"
);
