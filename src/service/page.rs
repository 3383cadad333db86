//! Pages of a list: what was asked for, and what is answered.

use crate::model::error::{Error, Result};

/// The most results of one page (architecture 2).
pub(crate) const MOST: u64 = 10_000;

/// Which part of a list is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// How many results to leave out.
    pub(crate) offset: u64,
    /// How many at most; never more than [`MOST`].
    pub(crate) limit: u64,
}

impl Wanted {
    /// Clips a limit to the most that one page holds.
    pub(crate) fn new(offset: u64, limit: u64) -> Self {
        // Databases count in signed numbers.
        Self { offset: offset.min(i64::MAX.unsigned_abs()), limit: limit.clamp(1, MOST) }
    }

    /// Reads gRPC's page size and token.
    pub(crate) fn by_token(page_size: i32, page_token: &str, default: u64) -> Result<Self> {
        let limit = match u64::try_from(page_size) {
            Ok(0) => default,
            Ok(size) => size,
            Err(_) => {
                let detail = "Ensure this value is greater than or equal to 0.";
                return Err(Error::field("page_size", "min_value", detail));
            }
        };
        let offset = match page_token {
            "" => Some(0),
            token => token.strip_prefix("after-").and_then(|offset| offset.parse().ok()),
        };
        Ok(Self::new(offset.ok_or_else(unknown_token)?, limit))
    }
}

/// The refusal of a page token that this list never gave.
pub(super) fn unknown_token() -> Error {
    Error::field("page_token", "invalid_input", "This is no token of this list.")
}

impl Wanted {
    /// The wanted part of a list that is at hand as a whole.
    pub(crate) fn cut<T>(self, all: Vec<T>) -> Page<T> {
        let total = i64::try_from(all.len()).unwrap_or(i64::MAX);
        let at = |number| usize::try_from(number).unwrap_or(usize::MAX);
        let results = all.into_iter().skip(at(self.offset)).take(at(self.limit)).collect();
        Page { results, total, wanted: self }
    }
}

/// A part of a list, and how long the whole of it is.
#[derive(Clone, Debug)]
pub(crate) struct Page<T> {
    pub(crate) results: Vec<T>,
    pub(crate) total: i64,
    pub(crate) wanted: Wanted,
}

impl<T> Page<T> {
    /// Where the next page begins; `None` on the last one.
    pub(crate) fn next_offset(&self) -> Option<u64> {
        let next = self.wanted.offset.saturating_add(self.wanted.limit);
        (i64::try_from(next).is_ok_and(|next| next < self.total)).then_some(next)
    }

    /// gRPC's token for the next page; empty on the last one.
    pub(crate) fn next_token(&self) -> String {
        self.next_offset().map(|offset| format!("after-{offset}")).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_lead_from_page_to_page_and_end() {
        let first =
            Page { results: vec![(); 2], total: 3, wanted: Wanted::by_token(2, "", 100).unwrap() };
        let second = Wanted::by_token(2, &first.next_token(), 100).unwrap();
        assert_eq!(second, Wanted { offset: 2, limit: 2 });
        let last = Page { results: vec![()], total: 3, wanted: second };
        assert_eq!(last.next_token(), "");
    }

    #[test]
    fn odd_sizes_and_tokens_are_refused_and_large_ones_clipped() {
        assert!(Wanted::by_token(-1, "", 100).is_err());
        assert!(Wanted::by_token(0, "elsewhere", 100).is_err());
        assert_eq!(Wanted::by_token(i32::MAX, "", 100).unwrap().limit, MOST);
        assert_eq!(Wanted::by_token(0, "", 100).unwrap().limit, 100);
    }
}
