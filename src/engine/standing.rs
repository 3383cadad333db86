//! The results of flags that other flags read, while a question is answered.

use serde_json::Value;

use super::Audience;
use super::decide::decide;
use super::definition::{Expected, Flag, FlagTest};
use super::outcome::Outcome;
use super::reason::Reason;
use super::scene::Scene;
use super::set::FlagSet;

/// Where each flag stands. Those that nothing reads need not be here.
#[derive(Debug)]
pub(super) struct Standings<'f> {
    set: &'f FlagSet,
    /// By position; empty while nothing is settled.
    settled: Vec<Standing<'f>>,
}

/// One flag's standing.
#[derive(Debug, Clone, Copy)]
pub(super) enum Standing<'f> {
    /// Not asked for.
    Unasked,
    /// Not served to whoever asks: absent from the answer, false for others.
    Withheld,
    /// It reads itself: absent from the answer, missing for others.
    Cyclic,
    Decided(Outcome<'f>),
}

impl<'f> Standings<'f> {
    /// No flag is settled, which is all that a flag without dependencies needs.
    fn none(set: &'f FlagSet) -> Self {
        Self { set, settled: Vec::new() }
    }

    /// Settles the flags that `flag` reads, which need not be of the set itself.
    pub(super) fn read_by(
        set: &'f FlagSet,
        flag: &Flag,
        scene: &Scene<'_>,
        audience: &Audience<'_>,
    ) -> Self {
        if flag.dependencies().is_empty() {
            return Self::none(set);
        }
        let read: Vec<usize> =
            flag.dependencies().iter().filter_map(|&id| set.position_by_id(id)).collect();
        if read.is_empty() {
            Self::none(set)
        } else {
            Self::of(set, set.links().required(read.into_iter()), scene, audience)
        }
    }

    /// Settles the flags at `positions`, which come after what they read.
    pub(super) fn of(
        set: &'f FlagSet,
        positions: impl IntoIterator<Item = usize>,
        scene: &Scene<'_>,
        audience: &Audience<'_>,
    ) -> Self {
        let mut standings = Self { set, settled: vec![Standing::Unasked; set.flags().len()] };
        for at in positions {
            standings.settled[at] = standings.settle(at, scene, audience);
        }
        standings
    }

    fn settle(&self, at: usize, scene: &Scene<'_>, audience: &Audience<'_>) -> Standing<'f> {
        let flag = &self.set.flags()[at];
        if !audience.admits(flag) {
            Standing::Withheld
        } else if self.set.links().is_cyclic(at) {
            Standing::Cyclic
        } else {
            Standing::Decided(decide(flag, scene, self))
        }
    }

    /// The standings in flag order.
    pub(super) fn into_iter(self) -> impl Iterator<Item = Standing<'f>> {
        self.settled.into_iter()
    }

    /// True if some of these flags, or a flag they read, is not there.
    pub(super) fn lacks_any(&self, ids: &[i64]) -> bool {
        ids.iter().any(|&id| match self.by_id(id) {
            None | Some(Standing::Cyclic) => true,
            Some(Standing::Decided(outcome)) => outcome.reason == Reason::MissingDependency,
            Some(Standing::Withheld | Standing::Unasked) => false,
        })
    }

    /// True if the flag that the test names came out as it expects. One that
    /// failed has no result, not even false.
    pub(super) fn satisfies(&self, test: &FlagTest) -> bool {
        let (Some(id), Some(expected)) = (test.id, &test.expected) else { return false };
        match self.by_id(id) {
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
        match self.by_id(id)? {
            Standing::Withheld => Some(Value::Bool(false)),
            Standing::Decided(outcome) if !outcome.failed => {
                Some(outcome.variant.map_or(Value::Bool(outcome.enabled), Value::from))
            }
            _ => None,
        }
    }

    fn by_id(&self, id: i64) -> Option<&Standing<'f>> {
        self.settled.get(self.set.position_by_id(id)?)
    }
}
