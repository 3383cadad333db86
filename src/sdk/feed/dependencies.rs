//! Names in each flag the flags that it reads, by key and in the order in
//! which they have to be decided.

use std::{borrow::Cow, collections::HashMap};

use serde_json::{Value, json};

use super::{properties, properties_mut};
use crate::model::flag::FeatureFlag;

/// The flags of a feed, and which of them each one reads.
pub(super) struct Chains<'a>(HashMap<i64, Node<'a>>);

struct Node<'a> {
    key: &'a str,
    /// See [`reads`].
    reads: Cow<'a, [Option<i64>]>,
}

/// How far a walk has come with a flag.
enum Mark {
    /// What it reads is being looked at: to come upon it again is a cycle.
    Open,
    Placed,
}

impl<'a> Chains<'a> {
    pub(super) fn of(flags: &'a [FeatureFlag]) -> Self {
        let node = |flag: &'a FeatureFlag| {
            (flag.id, Node { key: &flag.key, reads: reads(&flag.filters).into() })
        };
        Self(flags.iter().map(node).collect())
    }

    /// The same, of flags whose id, key and [`reads`] are known.
    pub(super) fn known(flags: impl Iterator<Item = (i64, &'a str, &'a [Option<i64>])>) -> Self {
        Self(flags.map(|(id, key, reads)| (id, Node { key, reads: reads.into() })).collect())
    }

    /// Puts keys in place of ids, with a `dependency_chain` beside each: the flags to decide
    /// first, the one named last. It is empty where there is no such order, for a flag that is not
    /// in the feed or a cycle; an SDK then asks the service.
    pub(super) fn rewrite(&self, flag: i64, filters: &mut Value) {
        for property in properties_mut(filters).filter(|property| is_flag(property)) {
            let named = id(property);
            let chain = named.and_then(|id| self.chain(flag, id)).unwrap_or_default();
            if let Some(node) = named.and_then(|id| self.0.get(&id)) {
                property["key"] = json!(node.key);
            }
            property["dependency_chain"] = json!(chain);
        }
    }

    /// The keys of all that `target` reads and its own, each after what it reads. `reader` is
    /// being decided already. Nothing recurses, so no chain is too long for the stack.
    fn chain(&self, reader: i64, target: i64) -> Option<Vec<&'a str>> {
        let mut marks = HashMap::from([(reader, Mark::Open)]);
        let (mut chain, mut path) = (Vec::new(), Vec::new());
        let mut next = Some(target);
        loop {
            if let Some(id) = next {
                match marks.get(&id) {
                    Some(Mark::Open) => return None,
                    Some(Mark::Placed) => {}
                    None => {
                        path.push((id, self.0.get(&id)?.reads.iter()));
                        marks.insert(id, Mark::Open);
                    }
                }
            }
            let Some((id, reads)) = path.last_mut() else { return Some(chain) };
            next = match reads.next() {
                Some(read) => Some((*read)?),
                None => {
                    chain.push(self.0.get(id)?.key);
                    marks.insert(*id, Mark::Placed);
                    path.pop();
                    None
                }
            };
        }
    }
}

/// The flags that conditions read: ids in the order of the filters, `None` for what is no id.
pub(super) fn reads(filters: &Value) -> Vec<Option<i64>> {
    properties(filters).filter(|property| is_flag(property)).map(id).collect()
}

fn is_flag(property: &Value) -> bool {
    property["type"] == "flag"
}

/// The id that a filter names, which is stored as text.
fn id(property: &Value) -> Option<i64> {
    match &property["key"] {
        Value::String(text) => text.parse().ok(),
        other => other.as_i64(),
    }
}
