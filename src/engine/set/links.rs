//! Which flags of a set read which.
//!
//! Most flags read none and are read by none. Such lone flags are not in here, so they come, go
//! and move without a word, and what is known costs what the linked ones are.

use super::super::definition::Flag;
use super::super::dependency::Graph;
use super::super::lookup::{Map, Set};
use super::{Flags, Positions};

/// How the linked flags hang together, by their positions in the set.
#[derive(Debug, Default)]
pub(in crate::engine) struct Links {
    /// The numbers of the flags that read others.
    readers: Set<i64>,
    /// What they read, whether it is there or not.
    read: Set<i64>,
    /// Each linked flag is a node; here are their positions, rising.
    positions: Box<[usize]>,
    nodes: Map<usize, usize>,
    graph: Graph,
}

impl Links {
    /// The links of flags among which those at `readers` may read others, and no others do.
    fn new(flags: &Flags, by_id: &Positions, readers: impl Iterator<Item = usize>) -> Self {
        let mut links = Self::default();
        let mut edges = Vec::new();
        for at in readers.filter(|&at| !read_by(&flags[at]).is_empty()) {
            links.readers.insert(flags[at].id());
            links.read.extend(read_by(&flags[at]));
            let found = read_by(&flags[at]).iter().filter_map(|id| by_id.get(id).copied());
            edges.push((at, found.collect::<Vec<usize>>()));
        }
        let mut positions: Vec<usize> =
            edges.iter().flat_map(|(at, read)| read.iter().chain([at])).copied().collect();
        positions.sort_unstable();
        positions.dedup();
        links.nodes = positions.iter().enumerate().map(|(node, &at)| (at, node)).collect();
        let mut reads = vec![Box::default(); positions.len()];
        for (at, read) in edges {
            reads[links.nodes[&at]] = read.iter().map(|at| links.nodes[at]).collect();
        }
        Self { positions: positions.into(), graph: Graph::new(reads), ..links }
    }

    /// The links of a set's flags.
    pub(super) fn of(flags: &Flags, by_id: &Positions) -> Self {
        Self::new(flags, by_id, 0..flags.len())
    }

    /// The links once the flags of these numbers have changed, come or gone.
    pub(super) fn with_changes(&self, flags: &Flags, by_id: &Positions, ids: &[i64]) -> Self {
        let readers: Set<i64> = self.readers.iter().chain(ids).copied().collect();
        Self::new(flags, by_id, readers.iter().filter_map(|id| by_id.get(id).copied()))
    }

    /// True for a flag that reads none and that none reads.
    pub(super) fn is_lone(&self, flag: &Flag) -> bool {
        read_by(flag).is_empty() && !self.read.contains(&flag.id())
    }

    /// True for a flag that reads itself, directly or through others.
    pub(in crate::engine) fn is_cyclic(&self, at: usize) -> bool {
        self.nodes.get(&at).is_some_and(|&node| self.graph.is_cyclic(node))
    }

    /// The flags at `roots` and all they read, each after what it reads.
    pub(in crate::engine) fn required(&self, roots: impl Iterator<Item = usize>) -> Vec<usize> {
        let (mut required, mut nodes) = (Vec::new(), Vec::new());
        for at in roots {
            match self.nodes.get(&at) {
                Some(&node) => nodes.push(node),
                None => required.push(at),
            }
        }
        required.sort_unstable();
        required.dedup();
        if !nodes.is_empty() {
            let linked = self.graph.required(nodes);
            required.extend(linked.into_iter().map(|node| self.positions[node]));
        }
        required
    }

    /// The positions of linked flags, each after what is read there.
    pub(in crate::engine) fn order(&self) -> impl Iterator<Item = usize> {
        self.graph.order().iter().map(|&node| self.positions[node])
    }

    /// True for the position of a linked flag.
    pub(in crate::engine) fn holds(&self, at: usize) -> bool {
        self.nodes.contains_key(&at)
    }
}

/// The flags that a flag reads. One that is never served is false whatever it
/// reads, so it reads nothing.
pub(super) fn read_by(flag: &Flag) -> &[i64] {
    if flag.is_served(true) { flag.dependencies() } else { &[] }
}
