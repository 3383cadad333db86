//! The nouns of the service and their rules, pure: no IO, no clock, no
//! framework, so that each rule is read and tested on its own.

pub mod activity;
pub mod api_key;
pub mod caller;
pub mod cohort;
pub mod conflict;
pub mod dashboard;
pub mod decoration;
pub mod definitions;
pub mod diff;
pub mod encrypted;
pub mod error;
pub mod fields;
pub mod filters;
pub mod flag;
pub mod flag_filter;
pub mod group;
pub mod guards;
pub mod json;
pub mod link;
pub mod listed;
pub mod numbers;
pub mod people;
pub mod person;
pub mod project;
pub mod shown;
pub mod sketch;
pub mod status;
pub mod usage_range;
pub mod write;
