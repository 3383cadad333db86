//! Substrings, prefixes and suffixes.

use serde_json::Value;

use super::form;

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

    /// How often a property is read.
    pub(super) fn readings(&self) -> u64 {
        self.needles.len() as u64
    }

    pub(super) fn hits(&self, property: &Value) -> bool {
        form::ascii_lowered(form::form(property), |text| {
            self.needles.iter().any(|needle| match self.place {
                Place::Anywhere => text.contains(&**needle),
                Place::Start => text.starts_with(&**needle),
                Place::End => text.ends_with(&**needle),
            })
        })
    }
}

fn needle(value: &Value) -> Box<str> {
    form::ascii_lowered(form::form(value), |lower| lower.into())
}
