//! Substrings, prefixes, suffixes and regular expressions.

use fancy_regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::form;

/// Steps a pattern with look-around or back-references may backtrack.
const BACKTRACK_LIMIT: usize = 10_000;

/// Bytes a compiled pattern may take: `a{1000}{1000}` is refused, not built.
const PATTERN_SIZE_BYTES: usize = 1 << 20;

/// Where in the property the filter's text must stand.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    Anywhere,
    Start,
    End,
}

/// Texts of which one must stand in its place, ASCII case aside.
#[derive(Debug)]
pub(super) struct Containment {
    place: Place,
    needles: Box<[Box<str>]>,
}

impl Containment {
    /// One text; a list counts as its JSON.
    pub(super) fn of(place: Place, filter: &Value) -> Self {
        Self { place, needles: Box::new([needle(filter)]) }
    }

    /// Any of a list of texts, anywhere.
    pub(super) fn any(filter: &Value) -> Self {
        match filter {
            Value::Array(elements) => {
                Self { place: Place::Anywhere, needles: elements.iter().map(needle).collect() }
            }
            scalar => Self::of(Place::Anywhere, scalar),
        }
    }

    pub(super) fn hits(&self, property: &Value) -> bool {
        let text = form::lower_ascii(form::form(property));
        self.needles.iter().any(|needle| match self.place {
            Place::Anywhere => text.contains(&**needle),
            Place::Start => text.starts_with(&**needle),
            Place::End => text.ends_with(&**needle),
        })
    }
}

fn needle(value: &Value) -> Box<str> {
    form::lower_ascii(form::form(value)).into()
}

/// The filter's pattern, or none if it is no pattern or too large a one.
pub(super) fn pattern(filter: &Value) -> Option<Regex> {
    RegexBuilder::new(&form::form(filter))
        .backtrack_limit(BACKTRACK_LIMIT)
        .delegate_size_limit(PATTERN_SIZE_BYTES)
        .build()
        .ok()
}

/// Searches the property; none if the search ran out of steps.
pub(super) fn search(pattern: &Regex, property: &Value) -> Option<bool> {
    pattern.is_match(&*form::form(property)).ok()
}
