//! Decides which shape of answer a request asks for (evaluation 13).

/// The path that a request came in on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// `/flags`.
    Flags,
    /// `/decide`, or `/flags` on its behalf.
    Decide,
}

/// The shapes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The keys of enabled flags.
    DecideV1,
    /// The values of enabled flags by key.
    DecideV2,
    /// Values and payloads of all flags by key.
    V1,
    /// A record a flag, with reason and metadata.
    V2,
    /// The same with the typed value beside it; see `docs/decisions.md`.
    Typed,
}

/// What an answer should look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Protocol {
    pub(crate) shape: Shape,
    /// Whether the browser's settings are merged in.
    pub(crate) with_config: bool,
}

impl Protocol {
    /// What the query's `v` (or `version`) and `config` ask for; empty ones count as absent.
    pub(crate) fn of(endpoint: Endpoint, version: Option<&str>, config: Option<&str>) -> Self {
        let number = version.map(number);
        let said = config.map(is_true);
        let (shape, with_config) = match (endpoint, number, said) {
            (Endpoint::Flags, None, None) => (Shape::V2, true),
            (Endpoint::Flags, None | Some(..=1), _) => (Shape::V1, said.unwrap_or(false)),
            (Endpoint::Flags, Some(2), _) => (Shape::V2, said.unwrap_or(false)),
            (Endpoint::Flags, Some(_), _) => (Shape::Typed, said.unwrap_or(false)),
            (Endpoint::Decide, None | Some(..=1), _) => (Shape::DecideV1, said.unwrap_or(true)),
            (Endpoint::Decide, Some(2), _) => (Shape::DecideV2, said.unwrap_or(true)),
            (Endpoint::Decide, Some(3), _) => (Shape::V1, said.unwrap_or(true)),
            (Endpoint::Decide, Some(_), _) => (Shape::V2, said.unwrap_or(true)),
        };
        Self { shape, with_config }
    }
}

/// A version that is no number is the first.
fn number(version: &str) -> u32 {
    version.trim().parse().unwrap_or(1)
}

/// Whether a parameter switches something on.
pub(crate) fn is_true(text: &str) -> bool {
    text == "1" || text.eq_ignore_ascii_case("true")
}

#[cfg(test)]
mod tests {
    use super::{Endpoint::*, Shape::*, *};

    #[test]
    fn the_query_chooses_the_shape() {
        let cases = [
            (Flags, None, None, V2, true),
            (Flags, None, Some("true"), V1, true),
            (Flags, None, Some("false"), V1, false),
            (Flags, Some("1"), None, V1, false),
            (Flags, Some("0"), None, V1, false),
            (Flags, Some("two"), None, V1, false),
            (Flags, Some("-2"), None, V1, false),
            (Flags, Some("2"), None, V2, false),
            (Flags, Some("2"), Some("true"), V2, true),
            (Flags, Some("3"), None, Typed, false),
            (Flags, Some("4"), Some("1"), Typed, true),
            (Decide, None, None, DecideV1, true),
            (Decide, Some("1"), Some("false"), DecideV1, false),
            (Decide, Some("x"), None, DecideV1, true),
            (Decide, Some("2"), None, DecideV2, true),
            (Decide, Some("3"), None, V1, true),
            (Decide, Some("4"), None, V2, true),
            (Decide, Some("5"), Some("false"), V2, false),
        ];
        for (endpoint, version, config, shape, with_config) in cases {
            let got = Protocol::of(endpoint, version, config);
            assert_eq!(got, Protocol { shape, with_config }, "{endpoint:?} {version:?} {config:?}");
        }
    }
}
