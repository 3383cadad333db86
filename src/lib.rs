//! Flagstaff: a self-hosted feature-flag service, gRPC first, that `PostHog`'s
//! SDKs can use unmodified.
//!
//! # Layers
//!
//! Arrows point inward; `tests/it/layers.rs` keeps them.
//!
//! ```text
//! cli, server → grpc, rest → auth, service → store, snapshot → sdk → engine → model
//! ```
//!
//! [`model`] holds the nouns and their rules, [`engine`] decides what a flag is
//! for a subject, and `sdk` reads and writes what `PostHog`'s SDKs speak; all
//! three are pure. [`store`] alone knows the database,
//! [`snapshot`] keeps what evaluation reads in memory, [`service`] holds the
//! use-cases. [`grpc`] and [`rest`] are two dialects of the same operations and
//! know nothing of each other; generated types end at [`wire`]. [`server`] is
//! the one file that knows everyone. [`clock`] and [`rules_format`] lean on nothing, and anybody may
//! name them.

pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod encryption;
pub mod engine;
pub mod grpc;
pub mod limits;
pub mod model;
pub mod rest;
pub mod rules_format;
mod sdk;
pub mod server;
pub mod service;
pub mod snapshot;
pub mod store;
pub mod telemetry;
pub mod wire;
