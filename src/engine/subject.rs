//! What is known of the one asked about: identifiers, properties, groups.
//!
//! Properties are looked up in layers rather than merged: what the request
//! sent, what is injected, what is stored, and what another property implies.
//! Nothing is copied, however many properties a person has and however few
//! are asked for.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};

use super::bucket::cut;

/// Properties by name.
pub type Properties = Map<String, Value>;

/// Properties with an `$initial_` twin named without the `$`.
const WITH_INITIAL: [&str; 18] = [
    "$app_build",
    "$app_name",
    "$app_namespace",
    "$app_version",
    "$browser",
    "$browser_version",
    "$current_url",
    "$device_type",
    "$os",
    "$os_version",
    "$pathname",
    "$raw_user_agent",
    "$referrer",
    "$referring_domain",
    "$screen_height",
    "$screen_width",
    "$viewport_height",
    "$viewport_width",
];

/// Campaign keys, which keep their whole name behind `$initial_`.
const CAMPAIGN: [&str; 24] = [
    "_kx",
    "dclid",
    "epik",
    "fbclid",
    "gad_source",
    "gbraid",
    "gclid",
    "gclsrc",
    "igshid",
    "irclid",
    "li_fat_id",
    "mc_cid",
    "msclkid",
    "qclid",
    "rdt_cid",
    "sccid",
    "ttclid",
    "twclid",
    "utm_campaign",
    "utm_content",
    "utm_medium",
    "utm_source",
    "utm_term",
    "wbraid",
];

/// The one asked about.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    distinct_id: &'a str,
    /// The same before it was cut.
    sent_distinct_id: &'a str,
    /// The same as filters see it, made when the first one asks.
    distinct_id_property: OnceLock<Value>,
    facts: Facts<'a>,
}

/// What is known beside the distinct id, borrowed from the request and the store.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts<'a> {
    /// The request's device id.
    pub device_id: Option<&'a str>,
    /// The id the person had before logging in.
    pub anon_distinct_id: Option<&'a str>,
    /// Person properties the request sent; they win over stored ones.
    pub sent: Option<&'a Properties>,
    /// Person properties from the store, with columns of the person's row as
    /// `__posthog_person_metadata__<column>`.
    pub stored: Option<&'a Properties>,
    /// True if what is stored of the person was needed and could not be read.
    /// A filter on a property that is missing then never matches, and a flag
    /// that goes by a cohort or an enrolment that is not known fails.
    pub stored_unavailable: bool,
    /// Group keys by group type name.
    pub groups: Option<&'a Properties>,
    /// Group properties the request sent: objects, by group type name.
    pub sent_groups: Option<&'a Properties>,
    /// Group properties from the store, by group type name.
    pub stored_groups: &'a [(String, Arc<Properties>)],
    /// As `stored_unavailable`, for the properties of groups.
    pub stored_groups_unavailable: bool,
    /// Hash keys kept for flags with experience continuity.
    pub hash_keys: HashKeys<'a>,
    /// The static cohorts the person is in; none for people not known.
    pub static_cohorts: Option<&'a HashSet<i64>>,
}

/// Stored hash keys by flag key.
#[derive(Debug, Clone, Copy, Default)]
pub enum HashKeys<'a> {
    /// None are stored, or no flag needs them.
    #[default]
    Absent,
    /// What is stored.
    Read(&'a HashMap<String, String>),
    /// They could not be read: flags that may need them fail.
    Unavailable,
}

impl<'a> Subject<'a> {
    /// The one with this distinct id, which is cut to 200 characters.
    pub fn new(distinct_id: &'a str, facts: Facts<'a>) -> Self {
        Self {
            distinct_id: cut(distinct_id),
            sent_distinct_id: distinct_id,
            distinct_id_property: OnceLock::new(),
            facts,
        }
    }

    /// The same one, of whom more is known.
    #[must_use]
    pub fn with_facts<'b>(self, facts: Facts<'b>) -> Subject<'b>
    where
        'a: 'b,
    {
        let Self { distinct_id, sent_distinct_id, distinct_id_property, .. } = self;
        Subject { distinct_id, sent_distinct_id, distinct_id_property, facts }
    }

    /// The distinct id, at most 200 characters of it.
    pub fn distinct_id(&self) -> &str {
        self.distinct_id
    }

    /// The distinct id as it was sent, by which what is stored of the person is found.
    pub fn sent_distinct_id(&self) -> &str {
        self.sent_distinct_id
    }

    /// A person property as filters see it.
    ///
    /// What the request sent wins over what is stored. The distinct id is
    /// there unless the request sent another; `$os` and `$os_name` stand in
    /// for each other; an `$initial_` property falls back to its present one.
    pub fn person_property(&self, key: &str) -> Option<&Value> {
        self.person_layers(key).or_else(|| match initial_of(key) {
            Some(present) => self.person_layers(present),
            None => None,
        })
    }

    /// A property of the group the subject is in, for a group type's name.
    ///
    /// `$group_key` is the key given in the request, whatever else says.
    pub fn group_property(&self, group_type: &str, key: &str) -> Option<&Value> {
        let injected = if key == "$group_key" { self.group_key(group_type) } else { None };
        injected.or_else(|| self.sent_group(group_type)?.get(key)).or_else(|| {
            let mut stored = self.facts.stored_groups.iter();
            stored.find(|(name, _)| name == group_type)?.1.get(key)
        })
    }

    /// What the request sent of the group of this type.
    pub(super) fn sent_group(&self, group_type: &str) -> Option<&'a Properties> {
        self.facts.sent_groups?.get(group_type)?.as_object()
    }

    /// The key given for a group type, of whatever JSON type.
    pub(super) fn group_key(&self, group_type: &str) -> Option<&'a Value> {
        self.facts.groups?.get(group_type)
    }

    /// The device id, from wherever the request carries it; never empty.
    pub fn device_id(&self) -> Option<&'a str> {
        self.sent_id(self.facts.device_id, "$device_id")
    }

    /// The anonymous id, from wherever the request carries it; never empty.
    pub fn anon_distinct_id(&self) -> Option<&'a str> {
        self.sent_id(self.facts.anon_distinct_id, "$anon_distinct_id")
    }

    /// What is known beside the distinct id.
    pub fn facts(&self) -> &Facts<'a> {
        &self.facts
    }

    /// The hash key stored for a flag.
    pub(super) fn hash_key(&self, flag_key: &str) -> Option<&'a str> {
        match self.facts.hash_keys {
            HashKeys::Read(keys) => keys.get(flag_key).map(String::as_str),
            HashKeys::Absent | HashKeys::Unavailable => None,
        }
    }

    pub(super) fn is_in_static_cohort(&self, id: i64) -> bool {
        self.facts.static_cohorts.is_some_and(|cohorts| cohorts.contains(&id))
    }

    fn sent_id(&self, own: Option<&'a str>, property: &str) -> Option<&'a str> {
        let sent = || self.facts.sent?.get(property)?.as_str();
        own.filter(|id| !id.is_empty()).or_else(sent).filter(|id| !id.is_empty())
    }

    /// The property, or the one of the two names of an operating system that
    /// is there.
    fn person_layers(&self, key: &str) -> Option<&Value> {
        self.person_layer(key).or_else(|| match key {
            "$os" => self.person_layer("$os_name"),
            "$os_name" => self.person_layer("$os"),
            _ => None,
        })
    }

    fn person_layer(&self, key: &str) -> Option<&Value> {
        let layer = |properties: Option<&'a Properties>| property(properties?, key);
        let injected = || {
            let made = || Value::from(self.distinct_id);
            (key == "distinct_id").then(|| self.distinct_id_property.get_or_init(made))
        };
        layer(self.facts.sent).or_else(injected).or_else(|| layer(self.facts.stored))
    }
}

/// A property by its name. Few are compared one by one, which takes less than hashing the name.
pub(super) fn property<'a>(properties: &'a Properties, name: &str) -> Option<&'a Value> {
    const FEW: usize = 8;
    if properties.len() > FEW {
        return properties.get(name);
    }
    properties.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
}

/// The property whose value an absent `$initial_` property takes.
fn initial_of(key: &str) -> Option<&'static str> {
    let name = key.strip_prefix("$initial_")?;
    let is_present = |present: &&str| present.strip_prefix('$') == Some(name);
    WITH_INITIAL
        .into_iter()
        .find(is_present)
        .or_else(|| CAMPAIGN.into_iter().find(|campaign| *campaign == name))
}

#[cfg(test)]
mod tests;
