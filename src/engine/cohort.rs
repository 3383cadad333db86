//! Cohorts: sets of people, listed or described by a tree of filters.
//!
//! Whatever a cohort reads are person properties and other cohorts. What it
//! would read of behaviour is not known here: such a leaf never matches, and
//! whoever asks is told that the answer may differ from the member list.

mod parse;
mod set;

use serde_json::Value;

pub(super) use set::{CohortSet, Memberships};

use super::property::PropertyTest;

/// A cohort as stored.
#[derive(Debug, Clone, Copy)]
pub struct CohortSource<'a> {
    /// What filters refer to.
    pub id: i64,
    /// True for a cohort that lists its members.
    pub is_static: bool,
    /// The stored `filters`: an object with the tree as `properties`; null where they cannot be read.
    pub filters: Option<&'a Value>,
    /// The stored `groups` of cohorts older than `filters`.
    pub groups: Option<&'a Value>,
}

/// A compiled cohort.
#[derive(Debug)]
pub struct Cohort {
    id: i64,
    body: Body,
}

#[derive(Debug)]
enum Body {
    /// Its members are listed.
    Static,
    /// Its members are described.
    Tree(Node),
    /// Its description could not be understood.
    Malformed,
}

/// A node of a description.
#[derive(Debug)]
enum Node {
    All(Box<[Node]>),
    Any(Box<[Node]>),
    Leaf(Leaf, Negation),
}

/// True for a leaf that holds when its filter does not.
type Negation = bool;

#[derive(Debug)]
enum Leaf {
    Person(Box<str>, PropertyTest),
    /// Membership in another cohort, or for false the lack of it.
    Cohort(i64, bool),
    /// Behaviour, which is not known here.
    Behavior,
    /// A filter that never matches.
    Never,
}

impl Cohort {
    /// Compiles a stored cohort, if need be to one that flags fail on.
    pub fn compile(source: &CohortSource<'_>) -> Self {
        let body = match source.is_static {
            true => Body::Static,
            false => parse::tree(source).map_or(Body::Malformed, Body::Tree),
        };
        Self { id: source.id, body }
    }

    /// What filters refer to.
    pub fn id(&self) -> i64 {
        self.id
    }

    /// True for a cohort whose members must be read from the store.
    pub fn is_static(&self) -> bool {
        matches!(self.body, Body::Static)
    }

    /// False for a description that could not be understood.
    pub(super) fn is_sound(&self) -> bool {
        !matches!(self.body, Body::Malformed)
    }

    fn leaves(&self) -> Vec<&Leaf> {
        let Body::Tree(root) = &self.body else { return Vec::new() };
        let (mut pending, mut leaves) = (vec![root], Vec::new());
        while let Some(node) = pending.pop() {
            match node {
                Node::All(nodes) | Node::Any(nodes) => pending.extend(nodes),
                Node::Leaf(leaf, _) => leaves.push(leaf),
            }
        }
        leaves
    }
}

#[cfg(test)]
mod tests;
