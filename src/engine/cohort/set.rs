//! A project's cohorts, and who is in them.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Body, Cohort, Leaf, Node};
use crate::engine::dependency::Graph;
use crate::engine::lookup::Map;
use crate::engine::property::Terms;
use crate::engine::reason::Failure;
use crate::engine::subject::Subject;

/// A project's cohorts, with what is known of them before anyone asks.
#[derive(Debug)]
pub(in crate::engine) struct CohortSet {
    cohorts: Vec<Arc<Cohort>>,
    positions: Map<i64, usize>,
    graph: Graph,
    traits: Vec<Traits>,
    /// For each cohort, the static ones that decide who is in it.
    listed: Vec<Box<[i64]>>,
}

/// What a cohort is by itself and by the cohorts it reads.
#[derive(Debug, Clone, Copy, Default)]
struct Traits {
    /// Why it cannot be evaluated.
    failure: Option<Failure>,
    /// True if it asks for behaviour.
    is_behavioral: bool,
}

/// Whether someone is in a cohort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) struct Membership {
    pub(in crate::engine) is_member: bool,
    /// True if the cohort asks for behaviour, which is not known here.
    pub(in crate::engine) is_uncertain: bool,
}

/// The memberships found while one question is answered, by position.
pub(in crate::engine) type Memberships = RefCell<Vec<Option<bool>>>;

impl CohortSet {
    pub(in crate::engine) fn new(cohorts: Vec<Arc<Cohort>>) -> Self {
        let positions: Map<i64, usize> =
            cohorts.iter().enumerate().map(|(at, cohort)| (cohort.id, at)).collect();
        let leaves: Vec<Vec<&Leaf>> = cohorts.iter().map(|cohort| cohort.leaves()).collect();
        let nested = |leaf: &&Leaf| match leaf {
            Leaf::Cohort(id, _) => positions.get(id).copied(),
            _ => None,
        };
        let graph = Graph::new(
            leaves.iter().map(|leaves| leaves.iter().filter_map(nested).collect()).collect(),
        );
        let mut traits = vec![Traits::default(); cohorts.len()];
        let mut listed = vec![Box::<[i64]>::default(); cohorts.len()];
        for &at in graph.order() {
            let own = own_traits(&cohorts[at], &leaves[at], &positions, graph.is_cyclic(at));
            traits[at] = graph.reads(at).iter().map(|&read| traits[read]).fold(own, Traits::with);
            let read = graph.reads(at).iter().flat_map(|&read| listed[read].iter().copied());
            let own = cohorts[at].is_static().then_some(cohorts[at].id);
            listed[at] = read.chain(own).collect::<BTreeSet<i64>>().into_iter().collect();
        }
        Self { cohorts, positions, graph, traits, listed }
    }

    /// The static cohorts that decide who is in a cohort: itself, or those it reads.
    pub(in crate::engine) fn listed(&self, id: i64) -> &[i64] {
        self.positions.get(&id).map_or(&[], |&at| &self.listed[at])
    }

    /// The set after some cohorts were changed or added, and some removed; the others are shared.
    pub(in crate::engine) fn with_changes(
        &self,
        changed: Vec<Arc<Cohort>>,
        removed: &[i64],
    ) -> Self {
        let mut cohorts = self.cohorts.clone();
        for cohort in changed {
            match self.positions.get(&cohort.id) {
                Some(&at) => cohorts[at] = cohort,
                None => cohorts.push(cohort),
            }
        }
        cohorts.retain(|cohort| !removed.contains(&cohort.id));
        Self::new(cohorts)
    }

    /// The cohort with this id.
    pub(in crate::engine) fn get(&self, id: i64) -> Option<&Arc<Cohort>> {
        self.positions.get(&id).map(|&at| &self.cohorts[at])
    }

    pub(in crate::engine) fn iter(&self) -> impl Iterator<Item = &Arc<Cohort>> {
        self.cohorts.iter()
    }

    /// Whether the subject is in the cohort; none in a project without cohorts,
    /// where no cohort filter matches.
    ///
    /// # Errors
    ///
    /// The [`Failure`] of a cohort that does not exist, cannot be understood
    /// or contains itself, or that reads such a cohort; or of a person of whom
    /// what decides could not be read.
    pub(in crate::engine) fn membership(
        &self,
        id: i64,
        subject: &Subject<'_>,
        terms: &Terms,
        known: &Memberships,
    ) -> Result<Option<Membership>, Failure> {
        if self.cohorts.is_empty() {
            return Ok(None);
        }
        let at = *self.positions.get(&id).ok_or(Failure::CohortNotFound)?;
        if let Some(failure) = self.traits[at].failure {
            return Err(failure);
        }
        if subject.facts().stored_unavailable && self.reads_unknown(at, subject) {
            return Err(Failure::DatabaseUnavailable);
        }
        let is_member = self.is_member(at, subject, terms, &mut known.borrow_mut());
        Ok(Some(Membership { is_member, is_uncertain: self.traits[at].is_behavioral }))
    }

    /// True if the cohort, or one that it reads, goes by what only the store
    /// knows: who is listed, or a property that was not sent.
    fn reads_unknown(&self, at: usize, subject: &Subject<'_>) -> bool {
        let is_missing = |leaf: &Leaf| match leaf {
            Leaf::Person(key, _) => subject.person_property(key).is_none(),
            Leaf::Cohort(..) | Leaf::Behavior | Leaf::Never => false,
        };
        self.graph.required([at]).into_iter().any(|at| {
            let cohort = &self.cohorts[at];
            cohort.is_static() || cohort.leaves().into_iter().any(is_missing)
        })
    }

    /// Evaluates the cohort after those it reads, each once a question.
    fn is_member(
        &self,
        at: usize,
        subject: &Subject<'_>,
        terms: &Terms,
        known: &mut Vec<Option<bool>>,
    ) -> bool {
        known.resize(self.cohorts.len(), None);
        let evaluate = |at: usize, known: &mut Vec<Option<bool>>| {
            let scope = Scope { set: self, subject, terms, known };
            let is_member = known[at].unwrap_or_else(|| scope.is_member(&self.cohorts[at]));
            *known[at].insert(is_member)
        };
        if !self.graph.reads(at).is_empty() {
            let reads = self.graph.reads(at).iter().copied();
            for read in self.graph.required_beyond(|at| known[at].is_some(), reads) {
                evaluate(read, known);
            }
        }
        evaluate(at, known)
    }
}

impl Traits {
    /// These traits of a cohort that reads one with those.
    fn with(self, read: Self) -> Self {
        Self {
            failure: self.failure.or(read.failure),
            is_behavioral: self.is_behavioral || read.is_behavioral,
        }
    }
}

fn own_traits(
    cohort: &Cohort,
    leaves: &[&Leaf],
    positions: &Map<i64, usize>,
    is_cyclic: bool,
) -> Traits {
    let is_lost = |leaf: &&Leaf| matches!(leaf, Leaf::Cohort(id, _) if !positions.contains_key(id));
    let failure = if matches!(cohort.body, Body::Malformed) {
        Some(Failure::CohortFiltersParsing)
    } else if is_cyclic {
        Some(Failure::CohortCycle)
    } else {
        leaves.iter().any(is_lost).then_some(Failure::CohortNotFound)
    };
    Traits { failure, is_behavioral: leaves.iter().any(|leaf| matches!(leaf, Leaf::Behavior)) }
}

/// What one cohort is evaluated in: the cohorts it reads are already known.
struct Scope<'a> {
    set: &'a CohortSet,
    subject: &'a Subject<'a>,
    terms: &'a Terms,
    known: &'a [Option<bool>],
}

impl Scope<'_> {
    fn is_member(&self, cohort: &Cohort) -> bool {
        match &cohort.body {
            Body::Static => self.subject.is_in_static_cohort(cohort.id),
            Body::Tree(root) => self.holds(root),
            Body::Malformed => false,
        }
    }

    /// Recurses no deeper than the parser lets trees nest.
    fn holds(&self, node: &Node) -> bool {
        match node {
            Node::All(nodes) => nodes.iter().all(|node| self.holds(node)),
            Node::Any(nodes) => nodes.iter().any(|node| self.holds(node)),
            Node::Leaf(leaf, negation) => self.leaf_holds(leaf) != *negation,
        }
    }

    fn leaf_holds(&self, leaf: &Leaf) -> bool {
        match leaf {
            Leaf::Person(key, test) => test.passes(self.subject.person_property(key), self.terms),
            Leaf::Cohort(id, wanted) => {
                let known = self.set.positions.get(id).and_then(|&at| self.known[at]);
                known == Some(*wanted)
            }
            Leaf::Behavior | Leaf::Never => false,
        }
    }
}
