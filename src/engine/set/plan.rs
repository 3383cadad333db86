//! What is known of a set's flags together, for those who ask about all of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Flags;
use super::links::Links;
use crate::engine::definition::Flag;

/// The flags of a set that anybody is answered about, in the set's order, and what they read.
#[derive(Debug)]
pub(in crate::engine) struct Plan {
    served: Box<[Served]>,
    /// The person properties that they name, each once.
    properties: Box<[Box<str>]>,
    /// True if they read nothing but properties of the person.
    only_properties: bool,
}

/// One of the flags.
#[derive(Debug)]
pub(in crate::engine) struct Served {
    pub(in crate::engine) flag: Arc<Flag>,
    /// True if it reads another, or another reads it.
    pub(in crate::engine) is_linked: bool,
}

impl Plan {
    pub(super) fn of(flags: &Flags, links: &Links) -> Self {
        let served = flags.iter().enumerate().filter(|(_, flag)| flag.is_served(true));
        let served: Box<[Served]> = served
            .map(|(at, flag)| Served { flag: Arc::clone(flag), is_linked: links.holds(at) })
            .collect();
        let read: BTreeSet<&str> =
            served.iter().flat_map(|served| served.flag.person_properties()).collect();
        let properties = read.into_iter().map(Box::from).collect();
        let only_properties = !served.iter().any(|served| reads_more(&served.flag));
        Self { served, properties, only_properties }
    }

    pub(in crate::engine) fn served(&self) -> &[Served] {
        &self.served
    }

    /// True if nothing stored can change an answer where these properties are sent. False tells
    /// nothing: flags that this audience is not answered about may read what was not sent.
    pub(in crate::engine) fn is_settled_by(&self, is_sent: impl Fn(&str) -> bool) -> bool {
        self.only_properties && self.properties.iter().all(|property| is_sent(property))
    }
}

/// True if a flag reads something stored that is no property of the person.
fn reads_more(flag: &Flag) -> bool {
    flag.needs_hash_keys()
        || flag.cohorts().next().is_some()
        || flag.group_properties().next().is_some()
}
