//! Bounds on what requests may cost, shared by both edges: the memory of
//! bodies in flight, the processor time of decoding them, how long they may
//! take to arrive, and how often callers may ask.
//!
//! A bound is applied before the cost arises: a body is charged while it
//! arrives and while it is decompressed, and what it will take once parsed is
//! estimated before it is parsed.

mod cpu;
mod inflate;
mod memory;
mod policy;
mod rate;

use std::time::Duration;

pub use cpu::DecodePool;
pub use inflate::{Compression, InflateError, inflate};
pub use memory::{MemoryBudget, Reservation};
pub use policy::{RateLimit, RatePolicy};
pub use rate::{RateLimiter, address_group};

/// Bodies up to this size are decoded where they are read: it takes less time than handing them
/// to another thread. Larger ones are decoded in the [`DecodePool`].
pub const MAX_INLINE_BYTES: usize = 64 * 1024;

/// What bounds request bodies. Cheap to clone; clones share.
#[derive(Clone, Debug)]
pub struct BodyLimits {
    /// The memory that all bodies in flight may take.
    pub memory: MemoryBudget,
    /// Where large bodies are decoded.
    pub decode_pool: DecodePool,
    /// How long a body may take to arrive.
    pub timeout: Duration,
}

impl BodyLimits {
    /// Creates limits with this budget in bytes and this time for a body to arrive.
    #[must_use]
    pub fn new(memory_bytes: usize, timeout: Duration) -> Self {
        Self {
            memory: MemoryBudget::new(memory_bytes),
            decode_pool: DecodePool::default(),
            timeout,
        }
    }
}
