//! The cases that the engine is measured by.
//!
//! The engine is compiled here from its sources, with the one module beside it that it names:
//! it knows nothing of the service, so this takes seconds, and its instruction counts move when
//! the engine moves and not when a compiler splits the service differently.

#[path = "../../../src/engine/mod.rs"]
pub mod engine;
#[path = "../../../src/rules_format.rs"]
pub mod rules_format;

pub mod cases;
