//! Check 8 of management-api 3.5: regular expressions, judged as Python's `re`
//! judges them.
//!
//! Python takes some that our engine does not (a `{` that opens no repetition
//! is a literal) and refuses some that it takes (two repetitions in a row), so
//! a pattern is translated first, and then compiled.

use fancy_regex::RegexBuilder;

/// Larger compiled patterns are refused, as an absurd one would eat the memory of every replica.
const MOST_BYTES: usize = 1 << 19;

/// Whether Python would compile the pattern.
pub(in crate::model) fn compiles(pattern: &str) -> bool {
    let Some(translated) = translated(pattern) else { return false };
    RegexBuilder::new(&translated).delegate_size_limit(MOST_BYTES).build().is_ok()
}

/// How many expressions a pattern is compiled to, at most: one, and another for each look-around and
/// back-reference. Each may be as large as [`MOST_BYTES`], so it is these that are counted.
pub(in crate::model) fn parts(pattern: &str) -> usize {
    const GROUPS: [&str; 6] = ["(?=", "(?!", "(?<=", "(?<!", "(?>", "(?("];
    let groups: usize = GROUPS.iter().map(|opening| pattern.matches(opening).count()).sum();
    let is_reference = |pair: &&[u8]| matches!(pair, [b'\\', b'1'..=b'9' | b'k' | b'g']);
    let references = pattern.as_bytes().windows(2).filter(is_reference).count();
    let named = pattern.matches("(?P=").count();
    let possessive = ["*+", "++", "?+", "}+"].iter().map(|end| pattern.matches(end).count());
    1 + groups + references + named + possessive.sum::<usize>()
}

/// The pattern in our engine's dialect; `None` when Python refuses what ours would take.
fn translated(pattern: &str) -> Option<String> {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    let mut last = Last::Nothing;
    let mut in_class = false;
    while let Some(next) = rest.chars().next() {
        let (taken, is_repetition) = match next {
            '\\' => (escape(rest, &mut out), false),
            '[' if !in_class => {
                in_class = true;
                (class_start(rest, &mut out), false)
            }
            ']' if in_class => {
                in_class = false;
                (literal("]", &mut out), false)
            }
            _ if in_class => (class_member(next, &mut out), false),
            '{' => match repetition(rest) {
                Some(length) if is_backwards(&rest[..length]) => return None,
                Some(length) => (literal(&rest[..length], &mut out), true),
                None => {
                    out.push_str("\\{");
                    (1, false)
                }
            },
            '}' => {
                out.push_str("\\}");
                (1, false)
            }
            '*' | '+' | '?' => (literal(&rest[..1], &mut out), true),
            other => (literal(&rest[..other.len_utf8()], &mut out), false),
        };
        last = last.then(&rest[..taken], is_repetition)?;
        rest = &rest[taken..];
    }
    Some(out)
}

/// What came before, as far as it decides whether a repetition may follow.
#[derive(Clone, Copy, PartialEq)]
enum Last {
    Nothing,
    Something,
    Repetition,
    /// A repetition made lazy or possessive; nothing more may follow.
    Settled,
}

impl Last {
    /// `None` for a repetition of a repetition.
    fn then(self, text: &str, is_repetition: bool) -> Option<Self> {
        match (self, is_repetition) {
            (_, false) => Some(Self::Something),
            (Self::Repetition, true) if text == "?" || text == "+" => Some(Self::Settled),
            (Self::Repetition | Self::Settled, true) => None,
            // `(?` opens a group; whether there is something to repeat the compiler knows.
            (Self::Nothing | Self::Something, true) => Some(Self::Repetition),
        }
    }
}

fn literal(text: &str, out: &mut String) -> usize {
    out.push_str(text);
    text.len()
}

fn escape(rest: &str, out: &mut String) -> usize {
    let length = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
    match &rest[..length] {
        "\\Z" => out.push_str("\\z"),
        escape => out.push_str(escape),
    }
    length
}

/// In Python a `]` right after the opening is a member.
fn class_start(rest: &str, out: &mut String) -> usize {
    let opening = if rest.starts_with("[^") { "[^" } else { "[" };
    out.push_str(opening);
    if rest[opening.len()..].starts_with(']') {
        out.push_str("\\]");
        return opening.len() + 1;
    }
    opening.len()
}

/// Our engine nests classes and knows set operations in them; Python does not.
fn class_member(member: char, out: &mut String) -> usize {
    if matches!(member, '[' | '&' | '~') {
        out.push('\\');
    }
    out.push(member);
    member.len_utf8()
}

/// The length of a well-formed repetition: `{n}`, `{n,}`, `{,m}`, `{n,m}`.
fn repetition(rest: &str) -> Option<usize> {
    // Only as far as digits go: looking for a brace from each brace would be quadratic.
    let inside = &rest[1..];
    let inside = &inside[..inside.find(|c: char| !c.is_ascii_digit() && c != ',')?];
    if !rest[1 + inside.len()..].starts_with('}') || inside.matches(',').count() > 1 {
        return None;
    }
    inside.bytes().any(|byte| byte.is_ascii_digit()).then_some(inside.len() + 2)
}

/// Whether a well-formed repetition asks for at least more than at most.
fn is_backwards(repetition: &str) -> bool {
    let inside = repetition.trim_matches(['{', '}']);
    let bounds = inside
        .split_once(',')
        .and_then(|(from, to)| Some((from.parse::<u64>().ok()?, to.parse::<u64>().ok()?)));
    bounds.is_some_and(|(from, to)| from > to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_judged_as_python_judges_them() {
        let accepted = [
            "",
            "a",
            "^a.*b$",
            r"\d+\.\d",
            "v{x}",
            "{",
            "}",
            "a{,",
            "a{1,2}",
            "a{2,}?",
            "a*?",
            "a++",
            "[a-z]{2}",
            "(?P<year>[0-9]{4})-(?P=year)",
            "(?i)abc",
            "(?<=a)b",
            "(?!a)b",
            r"(a)\1",
            r"end\Z",
            "[]a]",
            "[^]a]",
            "[[a]",
            "[a&&b]",
            "é+",
            "x|",
            "(?:a|b)?",
            "a{1}{x}",
        ];
        for pattern in accepted {
            assert!(compiles(pattern), "{pattern}");
        }
        let refused =
            ["(", ")", "[", "a**", "a{1}{2}", "*a", "a???", "[z-a]", r"\", "(?<a", "a{2,1}"];
        for pattern in refused {
            assert!(!compiles(pattern), "{pattern}");
        }
    }

    #[test]
    fn what_is_compiled_by_itself_is_counted() {
        let cases = [
            ("", 1),
            ("^a.*b$", 1),
            ("(?:a|b)(?P<n>c)", 1),
            ("(?=a)b(?!c)", 3),
            (r"(?<=a)(?<!b)(?>c)", 4),
            (r"(a)\1(?P=n)\d", 3),
            ("a++b*+", 3),
        ];
        for (pattern, count) in cases {
            assert_eq!(parts(pattern), count, "{pattern}");
        }
        assert_eq!(parts(&r"(?=\w{8})".repeat(50_000)), 50_001);
    }

    #[test]
    fn an_absurdly_large_pattern_is_refused() {
        assert!(!compiles("((((a{99}){99}){99}){99}){99}"));
    }
}
