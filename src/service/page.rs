//! Pages of a list: what was asked for, and what is answered.

use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};

use crate::model::error::{Error, Result};

/// The most results of one page (architecture 2).
pub(crate) const MOST: u64 = 10_000;

/// The most stored text that a gRPC page is made of, in bytes, unless one result has more. Its
/// message is up to three times as long, and clients read messages of 4 MiB.
const MAX_PAGE_BYTES: i64 = 1 << 20;

/// The most stored text that is read at a time, in bytes, unless one result has more.
const MAX_BATCH_BYTES: i64 = 1 << 20;

/// The most results that are read at a time.
const MAX_BATCH_RESULTS: usize = 1_000;

/// Which part of a list is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// How many results to leave out.
    pub(crate) offset: u64,
    /// How many at most; never more than [`MOST`].
    pub(crate) limit: u64,
    /// Whether the page may be shorter, where its results are large.
    pub(crate) may_shorten: bool,
}

impl Wanted {
    /// Clips a limit to the most that one page holds.
    pub(crate) fn new(offset: u64, limit: u64) -> Self {
        // Databases count in signed numbers.
        Self {
            offset: offset.min(i64::MAX.unsigned_abs()),
            limit: limit.clamp(1, MOST),
            may_shorten: false,
        }
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
        let wanted = Self::new(offset.ok_or_else(unknown_token)?, limit);
        Ok(Self { may_shorten: true, ..wanted })
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

/// A stored result: what names it, and how many bytes of text it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sized<Id> {
    pub(crate) id: Id,
    pub(crate) bytes: i64,
}

/// Returns how many results, from the first on, make up a page of bounded size; at least one.
pub(crate) fn shortened<Id>(results: &[Sized<Id>]) -> usize {
    let mut total = 0_i64;
    let fits = results.iter().take_while(|result| {
        total = total.saturating_add(result.bytes);
        total <= MAX_PAGE_BYTES
    });
    fits.count().max(1).min(results.len())
}

/// Splits results into batches of bounded size, in their order.
fn batches<Id>(results: Vec<Sized<Id>>) -> Vec<Vec<Id>> {
    let (mut batches, mut bytes) = (Vec::<Vec<Id>>::new(), 0_i64);
    for result in results {
        bytes = bytes.saturating_add(result.bytes);
        match batches.last_mut() {
            Some(batch) if bytes <= MAX_BATCH_BYTES && batch.len() < MAX_BATCH_RESULTS => {
                batch.push(result.id);
            }
            _ => {
                bytes = result.bytes;
                batches.push(vec![result.id]);
            }
        }
    }
    batches
}

/// A part of a list whose results are read in batches, as they are asked for.
pub(crate) struct Listing<T> {
    pub(crate) total: i64,
    pub(crate) wanted: Wanted,
    /// Batches that were not read yet.
    left: usize,
    batches: BoxStream<'static, Result<Vec<T>>>,
}

impl<T: Send + 'static> Listing<T> {
    /// A part of a list of `total`, whose `results` are read by `read`.
    pub(crate) fn new<Id, F>(
        wanted: Wanted,
        total: i64,
        mut results: Vec<Sized<Id>>,
        read: impl Fn(Vec<Id>) -> F + Send + 'static,
    ) -> Self
    where
        Id: Send + 'static,
        F: Future<Output = Result<Vec<T>>> + Send + 'static,
    {
        let mut wanted = wanted;
        if wanted.may_shorten {
            let fitting = shortened(&results);
            if fitting < results.len() {
                results.truncate(fitting);
                wanted.limit = fitting as u64;
            }
        }
        let batches = batches(results);
        let left = batches.len();
        Self { total, wanted, left, batches: stream::iter(batches).then(read).boxed() }
    }

    /// Reads the next results; `None` after the last.
    pub(crate) async fn next_batch(&mut self) -> Result<Option<Vec<T>>> {
        self.left = self.left.saturating_sub(1);
        self.batches.try_next().await
    }

    /// Whether no results are left to read.
    pub(crate) fn is_read(&self) -> bool {
        self.left == 0
    }

    /// Reads all results.
    pub(crate) async fn into_page(mut self) -> Result<Page<T>> {
        let mut results = Vec::new();
        while let Some(batch) = self.next_batch().await? {
            results.extend(batch);
        }
        Ok(Page { results, total: self.total, wanted: self.wanted })
    }
}

impl<T> std::fmt::Debug for Listing<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { total, wanted, .. } = self;
        f.debug_struct("Listing").field("total", total).field("wanted", wanted).finish()
    }
}

/// A part of a list, and how long the whole of it is.
#[derive(Clone, Debug)]
pub(crate) struct Page<T> {
    pub(crate) results: Vec<T>,
    pub(crate) total: i64,
    pub(crate) wanted: Wanted,
}

impl Wanted {
    /// Where the page after this one begins in a list of `total`; `None` on the last one.
    pub(crate) fn next_offset(self, total: i64) -> Option<u64> {
        let next = self.offset.saturating_add(self.limit);
        (i64::try_from(next).is_ok_and(|next| next < total)).then_some(next)
    }
}

impl<T> Page<T> {
    /// Where the next page begins; `None` on the last one.
    pub(crate) fn next_offset(&self) -> Option<u64> {
        self.wanted.next_offset(self.total)
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
        assert_eq!(second, Wanted { offset: 2, limit: 2, may_shorten: true });
        let last = Page { results: vec![()], total: 3, wanted: second };
        assert_eq!(last.next_token(), "");
    }

    fn sized(sizes: &[i64]) -> Vec<Sized<usize>> {
        (0..).zip(sizes).map(|(id, bytes)| Sized { id, bytes: *bytes }).collect()
    }

    #[test]
    fn pages_and_batches_are_bounded_by_bytes_and_hold_one_result_at_least() {
        const HALF: i64 = MAX_PAGE_BYTES / 2;
        let cases: [(&[i64], usize, &[usize]); 6] = [
            (&[], 0, &[]),
            (&[1, 2, 3], 3, &[3]),
            (&[HALF, HALF, 1], 2, &[2, 1]),
            (&[HALF, HALF + 1, 1], 1, &[1, 2]),
            (&[4 * HALF, 1, 1], 1, &[1, 2]),
            (&[1, i64::MAX, i64::MAX], 1, &[1, 1, 1]),
        ];
        for (sizes, page, expected) in cases {
            assert_eq!(shortened(&sized(sizes)), page, "{sizes:?}");
            let lengths: Vec<usize> = batches(sized(sizes)).iter().map(Vec::len).collect();
            assert_eq!(lengths, expected, "{sizes:?}");
        }
        let many = batches(sized(&vec![0; MAX_BATCH_RESULTS * 2 + 1]));
        assert_eq!(many.concat(), (0..=MAX_BATCH_RESULTS * 2).collect::<Vec<_>>());
        assert_eq!(many.len(), 3);
    }

    #[tokio::test]
    async fn a_shortened_page_leads_on_to_what_it_left_out() {
        let wanted = Wanted::by_token(10, "after-2", 100).unwrap();
        let large = sized(&[MAX_PAGE_BYTES; 3]);
        let read = |ids: Vec<usize>| async { Ok(ids) };
        let page = Listing::new(wanted, 5, large.clone(), read).into_page().await.unwrap();
        assert_eq!((page.results.as_slice(), page.next_token()), (&[0][..], "after-3".to_owned()));
        let whole = Wanted { may_shorten: false, ..wanted };
        let page = Listing::new(whole, 5, large, read).into_page().await.unwrap();
        assert_eq!((page.results.as_slice(), page.next_token()), (&[0, 1, 2][..], String::new()));
    }

    #[test]
    fn odd_sizes_and_tokens_are_refused_and_large_ones_clipped() {
        assert!(Wanted::by_token(-1, "", 100).is_err());
        assert!(Wanted::by_token(0, "elsewhere", 100).is_err());
        assert_eq!(Wanted::by_token(i32::MAX, "", 100).unwrap().limit, MOST);
        assert_eq!(Wanted::by_token(0, "", 100).unwrap().limit, 100);
    }
}
