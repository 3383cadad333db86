//! `regex`: patterns with look-around and back-references, and what they cost.
//!
//! A plain pattern reads its text once, with as many states at work as the
//! pattern has places. One that backtracks may read it at every step; it is
//! first tried with few steps, so that the many that need no more pay no more.

use fancy_regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::form;
use crate::engine::work::{BYTES, Work};

/// Steps a pattern with look-around or back-references may backtrack.
const STEPS: usize = 10_000;

/// Steps it is tried with at first.
const FIRST_STEPS: usize = 500;

/// Bytes a compiled pattern may take: `(a{1000}){1000}` is refused, not built.
/// Fifty Unicode words need 3 MB.
const PATTERN_SIZE_BYTES: usize = 10 << 20;

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    /// The same with [`FIRST_STEPS`], if it backtracks.
    first: Option<Regex>,
    /// How many places of the pattern can be matched against at once, at most.
    places: u64,
}

impl Pattern {
    /// The filter's pattern, or none if it is no pattern or too large a one.
    pub(super) fn compile(filter: &Value) -> Option<Self> {
        let text = form::form(filter);
        let shape = Shape::of(&text);
        let first = if shape.backtracks { Some(build(&text, FIRST_STEPS)?) } else { None };
        Some(Self { regex: build(&text, STEPS)?, first, places: shape.places })
    }

    /// Searches the property; none if the search ran out of steps, or costs
    /// more than the question may.
    pub(super) fn search(&self, property: &Value, work: &Work) -> Option<bool> {
        let text = form::form(property);
        let reading = 1 + (text.len() as u64 + 1).saturating_mul(self.places) / BYTES;
        let Some(first) = &self.first else {
            return work.pay(reading).then(|| self.regex.is_match(&*text).ok()).flatten();
        };
        let within = |regex: &Regex, steps: usize| {
            work.pay(reading.saturating_mul(steps as u64))
                .then(|| regex.is_match(&*text).ok())
                .flatten()
        };
        within(first, FIRST_STEPS).or_else(|| within(&self.regex, STEPS))
    }
}

fn build(pattern: &str, steps: usize) -> Option<Regex> {
    RegexBuilder::new(pattern)
        .backtrack_limit(steps)
        .delegate_size_limit(PATTERN_SIZE_BYTES)
        .build()
        .ok()
}

/// What a pattern's text tells of its cost. An estimate: too high for odd
/// patterns, never far too low.
#[derive(Debug, PartialEq)]
struct Shape {
    places: u64,
    backtracks: bool,
}

impl Shape {
    fn of(pattern: &str) -> Self {
        let mut reader = Reader { rest: pattern, ..Reader::default() };
        while let Some(sign) = reader.next() {
            reader.take(sign);
        }
        // Groups left open are no pattern: nothing is lost by not counting them.
        Self { places: reader.level.whole().max(1), backtracks: reader.backtracks }
    }
}

/// A pattern being read.
#[derive(Default)]
struct Reader<'a> {
    rest: &'a str,
    level: Level,
    outer: Vec<Level>,
    backtracks: bool,
}

/// The places of a group so far: of its last item, which a repetition
/// multiplies, and of those before it.
#[derive(Default)]
struct Level {
    before: u64,
    last: u64,
}

impl Level {
    fn item(&mut self, places: u64) {
        self.before = self.whole();
        self.last = places;
    }

    fn whole(&self) -> u64 {
        self.before.saturating_add(self.last)
    }
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let sign = self.rest.chars().next()?;
        self.rest = &self.rest[sign.len_utf8()..];
        Some(sign)
    }

    fn take(&mut self, sign: char) {
        match sign {
            '\\' => self.escape(),
            '[' => self.class(),
            '(' => self.open(),
            ')' => self.close(),
            '{' => self.repeat(),
            '*' | '+' | '?' => self.backtracks |= self.rest.starts_with('+'),
            _ => self.level.item(1),
        }
    }

    fn escape(&mut self) {
        let escaped = self.next().unwrap_or_default();
        self.backtracks |= matches!(escaped, '1'..='9' | 'k' | 'g' | 'G' | 'K' | 'R' | 'X');
        if self.rest.starts_with('{') && matches!(escaped, 'p' | 'P' | 'x' | 'u' | 'U' | 'b') {
            self.skip_past('}');
        }
        self.level.item(1);
    }

    /// A character class, in which classes may stand.
    fn class(&mut self) {
        let mut depth = 1_u32;
        self.rest = self.rest.strip_prefix('^').unwrap_or(self.rest);
        self.rest = self.rest.strip_prefix(']').unwrap_or(self.rest);
        while depth > 0 {
            match self.next() {
                None => break,
                Some('\\') => drop(self.next()),
                Some('[') => depth += 1,
                Some(']') => depth -= 1,
                Some(_) => {}
            }
        }
        self.level.item(1);
    }

    fn open(&mut self) {
        let plain = |rest: &str| {
            let Some(kind) = rest.strip_prefix('?') else { return !rest.starts_with('*') };
            let named = kind.starts_with(['P', '<']) && !kind.starts_with(['=', '!']);
            let looks_behind = kind.starts_with("<=") || kind.starts_with("<!");
            (named && !looks_behind)
                || kind.starts_with(|sign: char| matches!(sign, ':' | '-' | 'a'..='z'))
        };
        self.backtracks |= !plain(self.rest);
        self.outer.push(std::mem::take(&mut self.level));
    }

    fn close(&mut self) {
        let places = self.level.whole().saturating_add(1);
        self.level = self.outer.pop().unwrap_or_default();
        self.level.item(places);
    }

    /// `{2}`, `{2,}` or `{2,5}`; any other brace stands for itself.
    fn repeat(&mut self) {
        let Some((counts, _)) = self.rest.split_once('}') else { return self.level.item(1) };
        let (least, most) = counts.split_once(',').unwrap_or((counts, counts));
        let (least, most) = (count(least), count(most));
        if let Some(times) = least.max(most) {
            self.level.last = self.level.last.saturating_mul(times.max(1));
            self.skip_past('}');
            self.backtracks |= self.rest.starts_with('+');
        } else {
            self.level.item(1);
        }
    }

    fn skip_past(&mut self, sign: char) {
        self.rest = self.rest.split_once(sign).map_or("", |(_, rest)| rest);
    }
}

/// A count of repetitions; one too long to read is very large.
fn count(digits: &str) -> Option<u64> {
    let digits = digits.trim();
    let is_count = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_count.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pattern_is_as_costly_as_its_places_and_repetitions() {
        let cases = [
            ("", 1, false),
            ("abc", 3, false),
            ("a|b", 3, false),
            (r"^\w{32}$", 34, false),
            (r"(ab){10}", 30, false),
            (r"((a{10}){10}){10}", 1110, false),
            (r"[a-z\]{}()]{3}", 3, false),
            (r"[[:alpha:]_]x", 2, false),
            (r"\p{Greek}{4}", 4, false),
            (r"a{,b}", 5, false),
            (r"(?i)a(?:b)(?<n>c)(?P<m>d)", 17, false),
            (r"(?=a)b", 4, true),
            (r"(?<!a)b", 5, true),
            (r"(a)\1", 3, true),
            (r"a++b", 2, true),
            (r"a{2}+b", 3, true),
            ("a{99999999999999999999999}", u64::MAX, false),
        ];
        for (pattern, places, backtracks) in cases {
            assert_eq!(Shape::of(pattern), Shape { places, backtracks }, "{pattern}");
        }
    }

    #[test]
    fn a_search_is_paid_for_by_what_it_may_cost() {
        let spent = |pattern: &str, text: &str| {
            let work = Work::default();
            let before = work.left();
            let found =
                Pattern::compile(&json!(pattern)).expect("a pattern").search(&json!(text), &work);
            (found, before - work.left())
        };
        assert_eq!(spent("b", &"a".repeat(6_399)), (Some(false), 101));
        assert_eq!(spent("(?=b)b", "abc"), (Some(true), 500));
        let alternatives = "(?=(a|a)+$)^(a|a)*(?!a)b";
        assert_eq!(spent(alternatives, &"a".repeat(31)).0, None, "out of steps");
        assert_eq!(spent(alternatives, &"a".repeat(31)).1, 9 * 10_500);
        let endless = spent("(?=.*x)b", &"a".repeat(1 << 20));
        assert_eq!(endless, (None, 0), "not even begun");
    }

    #[test]
    fn usual_patterns_of_many_letters_are_built() {
        for pattern in [
            r"^\w{32}$",
            r"^\w{8}-\w{4}-\w{4}-\w{4}-\w{12}$",
            r"^[\w.+-]{1,64}@[\w-]+(\.[\w-]+){1,5}$",
        ] {
            assert!(Pattern::compile(&json!(pattern)).is_some(), "{pattern}");
        }
        for pattern in ["(a{1000}){1000}", "((a{100}){100}){100}", &"(".repeat(100_000)] {
            assert!(Pattern::compile(&json!(pattern)).is_none(), "{}", &pattern[..15]);
        }
    }
}
