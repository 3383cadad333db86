//! Where a hash puts an identifier: rollouts, variant shares and holdouts.
//!
//! The arithmetic is the contract here, to the last bit: an SDK that evaluates
//! locally must land everyone on the same side of every boundary. Hence the
//! two separate conversions to binary64 in [`fraction`], and shares that are
//! added up in stored order rather than computed from their sum.

use sha1::{Digest, Sha1, block_api::compress};

/// Identifiers are cut to this many Unicode scalar values before hashing.
const IDENTIFIER_LENGTH: usize = 200;

/// The divisor `0xfffffffffffffff`, which binary64 rounds up to 2^60.
const SCALE: f64 = 0x0fff_ffff_ffff_ffff_u64 as f64;

/// The first 200 Unicode scalar values of an identifier.
pub(super) fn cut(identifier: &str) -> &str {
    // No text has more characters than bytes, so that most need not be counted.
    if identifier.len() <= IDENTIFIER_LENGTH {
        return identifier;
    }
    match identifier.char_indices().nth(IDENTIFIER_LENGTH) {
        Some((end, _)) => &identifier[..end],
        None => identifier,
    }
}

/// What is hashed before an identifier for the flag `key`.
pub(super) fn prefix(key: &str) -> Box<str> {
    format!("{key}.").into()
}

/// Hashes for one of the rollouts of the flag with this [`prefix`], onto `0.0..=1.0`.
///
/// The empty identifier is at 0.0, unhashed: it is inside every rollout, even
/// one of 0 %.
pub(super) fn for_rollout(prefix: &str, identifier: &str) -> f64 {
    keyed(prefix, identifier, "")
}

/// Hashes for the choice among the variants of the flag with this [`prefix`].
pub(super) fn for_variant(prefix: &str, identifier: &str) -> f64 {
    keyed(prefix, identifier, "variant")
}

/// Hashes for holdouts, which know neither flag nor holdout: the same people
/// are held out everywhere. The empty identifier is hashed like any other.
pub(super) fn for_holdout(identifier: &str) -> f64 {
    fraction(["holdout-", cut(identifier), ""])
}

fn keyed(prefix: &str, identifier: &str, salt: &str) -> f64 {
    if identifier.is_empty() {
        return 0.0;
    }
    fraction([prefix, cut(identifier), salt])
}

/// The top 60 bits of the SHA-1 of the joined `parts`, as a share of [`SCALE`].
///
/// Numerator and denominator become binary64 before the division. Rounding the
/// exact quotient once instead differs in the last bit for some inputs.
fn fraction(parts: [&str; 3]) -> f64 {
    (digest(parts) >> 4) as f64 / SCALE
}

/// The first 64 bits of the SHA-1 of the joined `parts`.
fn digest(parts: [&str; 3]) -> u64 {
    one_block(parts).unwrap_or_else(|| {
        let hasher = parts.iter().fold(Sha1::new(), |hasher, part| hasher.chain_update(part));
        let digest = hasher.finalize();
        digest[..8].iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte))
    })
}

/// The same, where text and padding fit into one block, as nearly all do: handing a hasher its
/// input takes about as long as hashing it.
fn one_block(parts: [&str; 3]) -> Option<u64> {
    let mut block = [0; 64];
    let mut length = 0;
    for part in parts {
        let room = block[..TEXT_IN_A_BLOCK].get_mut(length..length + part.len())?;
        room.copy_from_slice(part.as_bytes());
        length += part.len();
    }
    block[length] = 0x80;
    block[TEXT_IN_A_BLOCK + 1..].copy_from_slice(&(8 * length as u64).to_be_bytes());
    let mut state = INITIAL;
    compress(&mut state, &[block]);
    Some(u64::from(state[0]) << 32 | u64::from(state[1]))
}

/// What a block holds beside the first byte of the padding and the length.
const TEXT_IN_A_BLOCK: usize = 55;

/// Where SHA-1 begins (FIPS 180-4, 5.3.1).
const INITIAL: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

/// A percentage of identifiers, such as 25.5.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rollout(f64);

impl Rollout {
    /// Everyone, without a hash.
    pub(super) const ALL: Self = Self(100.0);

    /// The rollout of a percentage, unclamped: above 100 it takes everyone,
    /// below 0 no one.
    pub(super) fn of(percentage: f64) -> Self {
        Self(percentage)
    }

    /// The percentage as stored.
    pub(super) fn percentage(self) -> f64 {
        self.0
    }

    /// True if everyone is in, so that no identifier is needed.
    pub(super) fn takes_all(self) -> bool {
        self.0 == 100.0
    }

    /// True if an identifier with this hash is inside. 0 % is no special case.
    pub(super) fn includes(self, hash: f64) -> bool {
        hash <= self.0 / 100.0
    }
}

/// The index of the first share whose accumulated end lies above `hash`.
///
/// None when the shares fall short of it, be it by their sum or by drift. The
/// last share is no fallback: the flag is then plainly on.
pub(super) fn pick(ends: impl IntoIterator<Item = f64>, hash: f64) -> Option<usize> {
    ends.into_iter().position(|end| hash < end)
}

/// Where each share ends, adding in stored order as every evaluator does.
pub(super) fn ends(percentages: impl IntoIterator<Item = f64>) -> impl Iterator<Item = f64> {
    percentages.into_iter().scan(0.0, |end, percentage| {
        *end += percentage / 100.0;
        Some(*end)
    })
}

#[cfg(test)]
mod tests;
