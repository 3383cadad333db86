//! The tables as SeaORM sees them, one a file.
//!
//! Entities stop at `store`: a repository turns them into the nouns of `model`
//! before it answers, so that a column can move without the rest noticing. The
//! schema itself (indexes, defaults, foreign keys) is owned by the `migrations`
//! crate; the entities repeat only names, types and primary keys.
//!
//! Three rules hold for every table. Rows that carry `project_id` are never
//! read without it. Timestamps are UTC and always written by the service, since
//! the two databases spell "now" differently. JSON is text, exactly as it was
//! normalised, so that it comes back exactly.

#![allow(
    dead_code,
    reason = "the derives make more than is read, and some tables have no reader yet"
)]
#![expect(
    unreachable_pub,
    reason = "DeriveEntityModel makes pub items beside each Model, which must match it"
)]

pub(crate) mod activity_log;
pub(crate) mod api_key;
pub(crate) mod api_key_project;
pub(crate) mod change_log;
pub(crate) mod cohort;
pub(crate) mod cohort_member;
pub(crate) mod dashboard;
pub(crate) mod evaluation_context;
pub(crate) mod feature_flag;
pub(crate) mod feature_flag_dashboard;
pub(crate) mod feature_flag_evaluation_context;
pub(crate) mod feature_flag_tag;
pub(crate) mod flag_cohort;
pub(crate) mod flag_dependency;
pub(crate) mod flag_link;
pub(crate) mod group;
pub(crate) mod group_type;
pub(crate) mod hash_key_override;
pub(crate) mod ingested_event;
pub(crate) mod organization;
pub(crate) mod person;
pub(crate) mod person_change;
pub(crate) mod person_distinct_id;
pub(crate) mod project;
pub(crate) mod tag;
pub(crate) mod tile;
pub(crate) mod usage_hour;
pub(crate) mod usage_unique;
pub(crate) mod user;
