//! Decides what each flag is for whoever asks.
//!
//! Everything here is a pure function of compiled definitions, a subject and
//! a time: no clock, no randomness, no IO, no lock. The same inputs give the
//! same answer in every process and in every release, and the answer that the
//! SDKs compute for themselves.
//!
//! A flag is decided in this order, and the first step that has an answer gives it:
//!
//! 1. a flag it reads is missing: off;
//! 2. early access: the person enrolled or opted out;
//! 3. the holdout: the identifier is kept out of the experiment;
//! 4. its conditions, in stored order: all filters hold, and the identifier
//!    lies inside the rollout;
//! 5. none matched: off, for the most telling of their reasons.

mod bucket;
mod cohort;
mod decide;
mod definition;
mod dependency;
mod explain;
#[cfg(test)]
mod fixtures;
pub mod grammar;
#[cfg(test)]
mod laws;
mod lookup;
mod memo;
mod needs;
mod outcome;
mod property;
mod reason;
mod rendered;
mod runtime;
mod scene;
mod set;
mod standing;
mod subject;
mod work;

use chrono::{DateTime, Utc};

pub use cohort::{Cohort, CohortSource};
pub use definition::{Flag, FlagSource};
pub use explain::{ConditionReport, Explanation, PropertyReport, explain};
pub use needs::{Needs, needs, needs_of};
pub use outcome::Outcome;
pub use property::Matching;
pub use reason::{Failure, Miss, Reason};
pub use rendered::Form;
pub use runtime::{RequestRuntime, Runtime};
pub use set::{FlagSet, Settings};
pub use subject::{Facts, HashKeys, Properties, Subject};

use decide::decide;
use scene::Scene;
use set::Served;
use standing::{Standing, Standings};

/// Keys of the flags that target surveys begin like this.
const SURVEY_PREFIX: &str = "survey-targeting-";

/// Who asks, as far as it decides which flags they are answered about.
#[derive(Debug, Clone, Copy, Default)]
pub struct Audience<'a> {
    /// The kind of program that asks.
    pub runtime: RequestRuntime,
    /// The contexts it asks for; none for all.
    pub evaluation_contexts: &'a [String],
    /// True if only flags that target surveys are wanted.
    pub survey_only: bool,
    /// True if flags with encrypted payloads are wanted as well: for those who manage them.
    pub encrypted_too: bool,
    /// True if a flag that is switched off is answered as such where it is asked for by its key.
    pub switched_off_by_key: bool,
}

/// Which flags to evaluate.
#[derive(Debug, Clone, Copy, Default)]
pub struct Selection<'a> {
    /// Keys asked for; flags they depend on come along. None for all flags.
    pub flag_keys: Option<&'a [String]>,
    /// Who asks.
    pub audience: Audience<'a>,
}

/// The answer about all selected flags.
#[derive(Debug)]
pub struct Evaluation<'f> {
    /// One outcome a flag, in the set's order, those that are switched off last. Flags not served
    /// to the audience are left out, and so are those that depend on themselves.
    pub outcomes: Vec<Outcome<'f>>,
    /// True if some outcome failed, or was left out for a cycle.
    pub errors_while_computing: bool,
}

impl Audience<'_> {
    /// True if the audience is answered about the flag.
    #[inline]
    pub fn admits(&self, flag: &Flag) -> bool {
        flag.is_served(self.encrypted_too) && self.concerns(flag)
    }

    /// True if the audience is told that the flag, asked for by its key, is switched off.
    fn is_told_off(&self, flag: &Flag) -> bool {
        self.switched_off_by_key
            && flag.is_switched_off()
            && flag.is_shown(self.encrypted_too)
            && self.concerns(flag)
    }

    #[inline]
    fn concerns(&self, flag: &Flag) -> bool {
        self.runtime.admits(flag.runtime())
            && flag.is_in_context(self.evaluation_contexts)
            && (!self.survey_only || flag.key().starts_with(SURVEY_PREFIX))
    }
}

impl Selection<'_> {
    /// Where the selected flags stand, and those they read, each after what it reads; none
    /// where all are selected.
    fn positions(&self, set: &FlagSet) -> Option<Vec<usize>> {
        let asked = self.flag_keys?.iter().filter_map(|key| set.position(key));
        Some(set.links().required(asked))
    }

    /// The flags asked for by their keys of which the audience is told that they are switched off.
    fn switched_off<'f>(&self, set: &'f FlagSet, audience: &Audience<'_>) -> Vec<Outcome<'f>> {
        if !audience.switched_off_by_key {
            return Vec::new();
        }
        let asked = self.flag_keys.unwrap_or_default().iter();
        let mut off: Vec<usize> = asked
            .filter_map(|key| set.position(key))
            .filter(|&at| audience.is_told_off(&set.flags()[at]))
            .collect();
        off.sort_unstable();
        off.dedup();
        off.into_iter().map(|at| Outcome::switched_off(&set.flags()[at])).collect()
    }
}

/// Evaluates the selected flags for one subject.
pub fn evaluate<'f>(
    set: &'f FlagSet,
    subject: &Subject<'_>,
    selection: &Selection<'_>,
    now: DateTime<Utc>,
) -> Evaluation<'f> {
    let scene = Scene::new(set, subject, now);
    let contexts = set.contexts_that_matter(selection.audience.evaluation_contexts);
    let audience = &Audience { evaluation_contexts: &contexts, ..selection.audience };
    match selection.positions(set) {
        None => evaluate_all(set, &scene.remembering(), audience),
        Some(positions) => {
            let mut evaluation = evaluate_some(set, positions, &scene, audience);
            evaluation.outcomes.extend(selection.switched_off(set, audience));
            evaluation
        }
    }
}

fn evaluate_all<'f>(
    set: &'f FlagSet,
    scene: &Scene<'_>,
    audience: &Audience<'_>,
) -> Evaluation<'f> {
    let linked = Standings::of(set, set.links().order(), scene, audience);
    let served = set.plan().served();
    let mut evaluation = Evaluation::with_room_for(served.len());
    for Served { flag, is_linked } in served {
        match is_linked {
            false => evaluation.take(linked.settle(flag, false, scene, audience)),
            true => linked.get(flag.id()).into_iter().for_each(|it| evaluation.take(it)),
        }
    }
    evaluation
}

fn evaluate_some<'f>(
    set: &'f FlagSet,
    mut positions: Vec<usize>,
    scene: &Scene<'_>,
    audience: &Audience<'_>,
) -> Evaluation<'f> {
    let standings = Standings::of(set, positions.iter().copied(), scene, audience);
    positions.sort_unstable();
    let mut evaluation = Evaluation::with_room_for(positions.len());
    let settled = positions.iter().filter_map(|&at| standings.get(set.flags()[at].id()));
    settled.for_each(|standing| evaluation.take(standing));
    evaluation
}

impl<'f> Evaluation<'f> {
    fn with_room_for(flags: usize) -> Self {
        Self { outcomes: Vec::with_capacity(flags), errors_while_computing: false }
    }

    /// Adds what is to be told of a flag.
    fn take(&mut self, standing: Standing<'f>) {
        match standing {
            Standing::Decided(outcome) => {
                self.errors_while_computing |= outcome.failed;
                self.outcomes.push(outcome);
            }
            Standing::Cyclic => self.errors_while_computing = true,
            Standing::Withheld => {}
        }
    }
}

/// Evaluates a flag that need not be the set's own, whether it is on or off. What it depends on
/// is the set's.
pub fn evaluate_other<'f>(
    set: &'f FlagSet,
    flag: &'f Flag,
    subject: &Subject<'_>,
    now: DateTime<Utc>,
) -> Outcome<'f> {
    let scene = Scene::new(set, subject, now);
    decide(flag, &scene, &Standings::read_by(set, flag, &scene, &Audience::default()))
}

/// True for names under which filters find columns of the person's row.
pub fn is_person_column(name: &str) -> bool {
    name.starts_with(definition::PERSON_METADATA_PREFIX)
}

/// Evaluates one flag and whatever it depends on.
///
/// None if there is no such flag, the audience is not answered about it, or
/// it depends on itself.
pub fn evaluate_one<'f>(
    set: &'f FlagSet,
    subject: &Subject<'_>,
    key: &str,
    audience: &Audience<'_>,
    now: DateTime<Utc>,
) -> Option<Outcome<'f>> {
    let at = set.position(key)?;
    let flag = &set.flags()[at];
    if !audience.admits(flag) || set.links().is_cyclic(at) {
        return audience.is_told_off(flag).then(|| Outcome::switched_off(flag));
    }
    let scene = Scene::new(set, subject, now);
    Some(decide(flag, &scene, &Standings::read_by(set, flag, &scene, audience)))
}

#[cfg(test)]
mod tests;
