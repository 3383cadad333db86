//! The cases that the engine is measured by.
//!
//! The engine is compiled here from its sources, alone: it names nothing of the
//! service but the formats of rules, so this takes seconds, and its instruction counts move when the
//! engine moves and not when a compiler splits the service differently.

#[path = "../../../src/engine/mod.rs"]
pub mod engine;
#[path = "../../../src/rules_format.rs"]
pub mod rules_format;

pub mod cases;
