//! The integration suite: the real service in process on a port of its own, and the built binary,
//! each test on a database of its own, on SQLite and on PostgreSQL.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop with the value that surprised it"
)]

#[macro_use]
mod support;

mod access;
mod batch;
mod cohort_members;
mod cohort_targeting;
mod cohorts;
mod commands;
mod concurrency;
mod concurrent_edits;
mod continuity;
mod contract;
mod dashboard_page;
mod dashboards;
mod definitions;
mod directory;
mod encrypted;
mod enrich;
mod fidelity;
mod filter_rules;
mod flag_fields;
mod flag_life_rules;
mod flag_lists;
mod invariants;
mod layers;
mod life_grpc;
mod life_rest;
mod limits;
mod migrations;
mod offline;
mod outage;
mod parity;
mod propagation;
mod startup;
mod stored_facts;
mod vectors;
mod wires;
