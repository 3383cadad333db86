//! `project`: what every flag, person and activity row belongs to.
//!
//! Its row carries the counters that a change raises in its own transaction, so a total
//! never needs a scan.

use sea_orm::entity::prelude::*;

/// A project, which PostHog's paths also call a team or environment.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "project")]
pub struct Model {
    /// Never reused, not even after the row is gone.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The organization it belongs to; the project goes with it.
    pub organization_id: i64,
    /// Shown to people; not unique.
    pub name: String,
    /// The public `phc_…` token, in clear: it ships inside client apps. Unique.
    pub api_token: String,
    /// IANA name, `UTC` by default; relative dates and usage days are read in it.
    pub timezone: String,
    /// How `exact` compares: 1 (the default) or 2.
    pub property_matching_version: i32,
    /// The most live flags the project may hold; 2000 by default.
    pub feature_flag_limit: i32,
    /// Whether each new flag must name an evaluation context.
    pub require_evaluation_contexts: bool,
    /// Whether writes with unknown fields are refused.
    pub strict_writes: bool,
    /// When the row was made.
    pub created_at: DateTimeUtc,
    /// Raised by every change that evaluation can see; 0 before the first.
    pub revision: i64,
    /// Random, new with each revision: tells apart two histories that reached the same revision.
    pub history_token: i64,
    /// The token of the newest revision that changed what feeds show.
    pub definitions_token: i64,
    /// Flags that are not deleted.
    pub flag_count: i64,
    /// Activity rows of scope `FeatureFlag`.
    pub activity_count: i64,
}

/// No joins start here.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
