//! Identifies a state of a project: a revision, and the token it was committed with.
//!
//! Revisions alone do not: a database that lost commits in a fail-over, or was restored from a
//! backup, gives the same number to another state.

use std::fmt;

/// A random value that is new with each revision of a project.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HistoryToken(i64);

impl HistoryToken {
    /// Returns a new random token.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// Returns the token that the database stores as this number.
    #[must_use]
    pub const fn from_stored(number: i64) -> Self {
        Self(number)
    }

    /// Returns the number that the database stores for the token.
    #[must_use]
    pub const fn as_stored(self) -> i64 {
        self.0
    }

    /// Parses the text form; `None` for anything that [`fmt::Display`] does not write.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = is_hex.then(|| u64::from_str_radix(text, 16).ok()).flatten()?;
        Some(Self(number.cast_signed()))
    }
}

impl fmt::Display for HistoryToken {
    /// Sixteen hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0.cast_unsigned())
    }
}

/// A revision of a project in one history of its database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HistoryPoint {
    /// The revision.
    pub revision: i64,
    /// The token that it was committed with.
    pub token: HistoryToken,
}

impl HistoryPoint {
    /// Returns the revision with this token.
    #[must_use]
    pub const fn new(revision: i64, token: HistoryToken) -> Self {
        Self { revision, token }
    }
}

/// The state that a watcher has, as far as it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchPosition {
    /// The last revision that it has.
    pub revision: i64,
    /// The token that came with it; `None` from clients that do not send it.
    pub token: Option<HistoryToken>,
}

impl WatchPosition {
    /// Whether the position is this state, as far as it says.
    #[must_use]
    pub fn is_at(self, point: HistoryPoint) -> bool {
        self.revision == point.revision && self.token.is_none_or(|token| token == point.token)
    }
}

impl From<HistoryPoint> for WatchPosition {
    fn from(point: HistoryPoint) -> Self {
        Self { revision: point.revision, token: Some(point.token) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_from_its_text() {
        for number in [0, 1, -1, i64::MIN, i64::MAX] {
            let token = HistoryToken::from_stored(number);
            let text = token.to_string();
            assert_eq!((text.len(), HistoryToken::parse(&text)), (16, Some(token)), "{text}");
        }
        for other in ["", "0", "+000000000000001", "00000000000000g0", "00000000000000001"] {
            assert_eq!(HistoryToken::parse(other), None, "{other}");
        }
        assert_ne!(HistoryToken::random(), HistoryToken::random());
    }

    #[test]
    fn a_position_without_a_token_is_compared_by_revision() {
        let point = HistoryPoint::new(3, HistoryToken::from_stored(7));
        let cases = [
            (3, None, true),
            (3, Some(7), true),
            (3, Some(8), false),
            (4, None, false),
            (4, Some(7), false),
        ];
        for (revision, token, expected) in cases {
            let token = token.map(HistoryToken::from_stored);
            let position = WatchPosition { revision, token };
            assert_eq!(position.is_at(point), expected, "{position:?}");
        }
    }
}
