//! The results of flags that other flags read, while a question is answered.

use serde_json::Value;

use super::Audience;
use super::decide::decide;
use super::definition::{Expected, Flag, FlagTest};
use super::lookup::Map;
use super::outcome::Outcome;
use super::reason::Reason;
use super::scene::Scene;
use super::set::FlagSet;

/// Where the flags that others read stand, by their ids.
#[derive(Debug, Default)]
pub(super) struct Standings<'f>(Map<i64, Standing<'f>>);

/// One flag's standing.
#[derive(Debug, Clone, Copy)]
pub(super) enum Standing<'f> {
    /// Not served to whoever asks: absent from the answer, false for others.
    Withheld,
    /// It reads itself: absent from the answer, missing for others.
    Cyclic,
    Decided(Outcome<'f>),
}

impl<'f> Standings<'f> {
    /// Settles the flags that `flag` reads, which need not be of the set itself.
    pub(super) fn read_by(
        set: &'f FlagSet,
        flag: &Flag,
        scene: &Scene<'_>,
        audience: &Audience<'_>,
    ) -> Self {
        let read: Vec<usize> =
            flag.dependencies().iter().filter_map(|&id| set.position_by_id(id)).collect();
        match read.is_empty() {
            true => Self::default(),
            false => Self::of(set, set.links().required(read.into_iter()), scene, audience),
        }
    }

    /// Settles the flags at `positions`, which come after what they read.
    pub(super) fn of(
        set: &'f FlagSet,
        positions: impl IntoIterator<Item = usize>,
        scene: &Scene<'_>,
        audience: &Audience<'_>,
    ) -> Self {
        let mut standings = Self::default();
        for at in positions {
            let flag = &set.flags()[at];
            let is_cyclic = set.links().is_cyclic(at);
            let standing = standings.settle(flag, is_cyclic, scene, audience);
            standings.0.insert(flag.id(), standing);
        }
        standings
    }

    /// Where a flag stands of which all that it reads is settled.
    pub(super) fn settle(
        &self,
        flag: &'f Flag,
        is_cyclic: bool,
        scene: &Scene<'_>,
        audience: &Audience<'_>,
    ) -> Standing<'f> {
        if !audience.admits(flag) {
            Standing::Withheld
        } else if is_cyclic {
            Standing::Cyclic
        } else {
            Standing::Decided(decide(flag, scene, self))
        }
    }

    /// True if some of these flags, or a flag they read, is not there.
    pub(super) fn lacks_any(&self, ids: &[i64]) -> bool {
        ids.iter().any(|id| match self.0.get(id) {
            None | Some(Standing::Cyclic) => true,
            Some(Standing::Decided(outcome)) => outcome.reason == Reason::MissingDependency,
            Some(Standing::Withheld) => false,
        })
    }

    /// True if the flag that the test names came out as it expects. One that
    /// failed has no result, not even false.
    pub(super) fn satisfies(&self, test: &FlagTest) -> bool {
        let (Some(id), Some(expected)) = (test.id, &test.expected) else { return false };
        match self.0.get(&id) {
            Some(Standing::Withheld) => *expected == Expected::Off,
            Some(Standing::Decided(outcome)) if !outcome.failed => match expected {
                Expected::On => outcome.enabled,
                Expected::Off => !outcome.enabled,
                Expected::Variant(key) => outcome.variant == Some(key),
            },
            _ => false,
        }
    }

    /// A flag's result as JSON: a boolean or its variant.
    pub(super) fn value(&self, id: i64) -> Option<Value> {
        match self.0.get(&id)? {
            Standing::Withheld => Some(Value::Bool(false)),
            Standing::Decided(outcome) if !outcome.failed => {
                Some(outcome.variant.map_or(Value::Bool(outcome.enabled), Value::from))
            }
            _ => None,
        }
    }

    /// Where one of them stands.
    pub(super) fn get(&self, id: i64) -> Option<Standing<'f>> {
        self.0.get(&id).copied()
    }
}
