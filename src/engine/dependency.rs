//! The order in which things that read one another are evaluated.
//!
//! Flags read flags and cohorts read cohorts; both are nodes here, told by
//! their positions. Nothing recurses, so that no chain is too long for the
//! stack, and a cycle costs only its participants their place.

use std::collections::VecDeque;

use super::lookup::Set;

/// Nodes in an order in which each follows what it reads.
#[derive(Debug, Default)]
pub(super) struct Graph {
    /// For each node, the nodes it reads.
    reads: Vec<Box<[usize]>>,
    order: Vec<usize>,
    /// For each node, its place in `order`.
    rank: Vec<usize>,
    cyclic: Vec<bool>,
}

impl Graph {
    /// Orders the nodes `0..reads.len()`.
    pub(super) fn new(reads: Vec<Box<[usize]>>) -> Self {
        let mut readers = vec![Vec::new(); reads.len()];
        for (node, read) in reads.iter().enumerate() {
            for &target in read {
                readers[target].push(node);
            }
        }
        let mut progress = Progress::new(&reads, &readers);
        progress.place((0..reads.len()).filter(|&node| reads[node].is_empty()).collect());
        let cyclic: Vec<bool> =
            (0..reads.len()).map(|node| !progress.placed[node] && reaches(&reads, node)).collect();
        // Cycles wait for themselves: placing them lets those that read them follow.
        progress.place((0..reads.len()).filter(|&node| cyclic[node]).collect());
        let order = progress.order;
        let mut rank = vec![0; reads.len()];
        for (place, &node) in order.iter().enumerate() {
            rank[node] = place;
        }
        Self { reads, order, rank, cyclic }
    }

    /// Every node, each after what it reads; participants of cycles anywhere.
    pub(super) fn order(&self) -> &[usize] {
        &self.order
    }

    /// The nodes that `node` reads.
    pub(super) fn reads(&self, node: usize) -> &[usize] {
        &self.reads[node]
    }

    /// True for a node that reads itself, directly or through others.
    pub(super) fn is_cyclic(&self, node: usize) -> bool {
        self.cyclic[node]
    }

    /// The nodes of `roots` and all they read, each after what it reads.
    pub(super) fn required(&self, roots: impl IntoIterator<Item = usize>) -> Vec<usize> {
        self.required_beyond(|_| false, roots)
    }

    /// The same without the nodes that are `known`, and without what only they read.
    pub(super) fn required_beyond(
        &self,
        known: impl Fn(usize) -> bool,
        roots: impl IntoIterator<Item = usize>,
    ) -> Vec<usize> {
        let mut pending: Vec<usize> = roots.into_iter().collect();
        let mut seen: Set<usize> = Set::default();
        while let Some(node) = pending.pop() {
            if !known(node) && seen.insert(node) {
                pending.extend(self.reads(node));
            }
        }
        let mut required: Vec<usize> = seen.into_iter().collect();
        required.sort_unstable_by_key(|&node| self.rank[node]);
        required
    }
}

/// An order in the making.
struct Progress<'a> {
    /// For each node, the nodes that read it.
    readers: &'a [Vec<usize>],
    /// For each node, how many of the nodes it reads are not placed.
    waits_for: Vec<usize>,
    order: Vec<usize>,
    placed: Vec<bool>,
}

impl<'a> Progress<'a> {
    fn new(reads: &[Box<[usize]>], readers: &'a [Vec<usize>]) -> Self {
        Self {
            readers,
            waits_for: reads.iter().map(|read| read.len()).collect(),
            order: Vec::with_capacity(reads.len()),
            placed: vec![false; reads.len()],
        }
    }

    /// Places the `ready` nodes, and then each that waited for placed ones only.
    fn place(&mut self, ready: Vec<usize>) {
        let mut ready = VecDeque::from(ready);
        while let Some(node) = ready.pop_front() {
            if std::mem::replace(&mut self.placed[node], true) {
                continue;
            }
            self.order.push(node);
            for &reader in &self.readers[node] {
                self.waits_for[reader] -= 1;
                if self.waits_for[reader] == 0 {
                    ready.push_back(reader);
                }
            }
        }
    }
}

/// True if `start` is among the nodes it reads, directly or through others.
fn reaches(reads: &[Box<[usize]>], start: usize) -> bool {
    let mut pending = reads[start].to_vec();
    let mut seen = Set::default();
    while let Some(node) = pending.pop() {
        if node == start {
            return true;
        }
        if seen.insert(node) {
            pending.extend(&reads[node]);
        }
    }
    false
}

#[cfg(test)]
mod tests;
