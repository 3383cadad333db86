//! The integration suite: the real service in process on a port of its own, and the built binary,
//! each test on a database of its own, on SQLite and on PostgreSQL.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop with the value that surprised it"
)]

#[macro_use]
mod support;

mod access;
mod activity;
mod api_coverage;
mod batch;
mod blast_radius;
mod bulk_delete;
mod bulk_keys;
mod bulk_tags;
mod clock_jumps;
mod cohort_members;
mod cohort_targeting;
mod cohorts;
mod commands;
mod concurrency;
mod concurrent_edits;
mod connection_limits;
mod connections;
mod continuity;
mod contract;
mod damage;
mod dashboard_page;
mod dashboards;
mod database_faults;
mod database_files;
mod database_load;
mod database_room;
mod definitions;
mod directory;
mod disabled_flags;
mod edge_answers;
mod encrypted;
mod encryption_keys;
mod enrich;
mod evaluation_reasons;
mod exposure;
mod fidelity;
mod filter_rules;
mod filter_soundness;
mod flag_fields;
mod flag_life_rules;
mod flag_lists;
mod group_types;
mod hints;
mod history;
mod import;
mod import_source;
mod ingest_bounds;
mod ingest_concurrency;
mod ingest_crash;
mod ingest_rules;
mod ingest_wires;
mod invariants;
mod json_text;
mod large_pages;
mod layers;
mod life_grpc;
mod life_rest;
mod limits;
mod migrations;
mod my_flags;
mod offline;
mod openapi;
mod outage;
mod overload;
mod parity;
mod project_keys;
mod projects;
mod propagation;
mod proxies;
mod rate_limits;
mod rates;
mod remote_config;
mod request_bombs;
mod restarts;
mod rules_formats;
mod sentences;
mod startup;
mod status;
mod stored_facts;
mod strict_writes;
mod test_evaluation;
mod time_travel;
mod unheard;
mod unstorable;
mod vectors;
mod versions;
mod watch;
mod watch_readers;
mod watch_replicas;
mod wires;
