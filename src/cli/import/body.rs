//! Answers of a source, read within bounds: their size, the number and depth of what they hold, and
//! the size of all of them together, so that no source exhausts the memory of the import.

use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::Response;
use serde_json::Value;

use crate::model::json::{self, Limits};

/// The largest answer, in bytes: a page of 100 flags of 640 KiB each.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// The most values in one answer; each takes more memory than its text.
const MAX_ANSWER_VALUES: usize = 2_000_000;
/// The largest answer that only explains a refusal, in bytes.
const MAX_ERROR_BYTES: usize = 64 << 10;
/// The most that all answers of an import come to, in bytes.
const MAX_TOTAL_BYTES: usize = 512 << 20;
/// The most values in all answers of an import.
const MAX_TOTAL_VALUES: usize = 8_000_000;

/// What the answers of an import may still come to.
#[derive(Debug)]
pub(super) struct Budget {
    bytes: AtomicUsize,
    values: AtomicUsize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            bytes: AtomicUsize::new(MAX_TOTAL_BYTES),
            values: AtomicUsize::new(MAX_TOTAL_VALUES),
        }
    }
}

impl Budget {
    /// Takes an answer's part. Returns whether there was that much left.
    fn take(&self, bytes: usize, values: usize) -> bool {
        let take = |left: &AtomicUsize, part| {
            left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(part))
        };
        take(&self.bytes, bytes).is_ok() && take(&self.values, values).is_ok()
    }
}

/// Why an answer has no value.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The connection broke, or the time was over.
    Broken(reqwest::Error),
    /// It is larger than any answer of the API, or no JSON.
    Answer(&'static str),
}

/// Reads an answer as JSON. Its bytes are bounded while they arrive, its values before they are
/// made. The depth is bounded by the parser.
///
/// # Errors
///
/// [`Refusal`].
pub(super) async fn read(answer: Response, budget: &Budget) -> Result<Value, Refusal> {
    let bytes = bytes(answer, MAX_ANSWER_BYTES).await?;
    let values = count_values(&bytes);
    if values > MAX_ANSWER_VALUES {
        return Err(Refusal::Answer("the answer holds more values than any project has"));
    }
    if !budget.take(bytes.len(), values) {
        return Err(Refusal::Answer("the answers are larger than any project"));
    }
    let parsed = tokio::task::spawn_blocking(move || parse(&bytes, Limits::STORED)).await;
    parsed.ok().flatten().ok_or(Refusal::Answer("the answer is not JSON"))
}

/// Reads what explains a refusal; null if it is too large or no JSON.
pub(super) async fn read_error(answer: Response) -> Value {
    let bytes = bytes(answer, MAX_ERROR_BYTES).await.unwrap_or_default();
    parse(&bytes, Limits::REQUEST).unwrap_or_default()
}

/// Parses an answer; `None` if it is no JSON within the limits.
fn parse(bytes: &[u8], limits: Limits) -> Option<Value> {
    json::parse_lenient(&String::from_utf8_lossy(bytes), limits).ok()
}

async fn bytes(mut answer: Response, limit: usize) -> Result<Vec<u8>, Refusal> {
    let too_large = || Refusal::Answer("the answer is too large");
    let announced = answer.content_length().unwrap_or(0);
    if announced > limit as u64 {
        return Err(too_large());
    }
    let mut all = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(Refusal::Broken)? {
        if all.len() + chunk.len() > limit {
            return Err(too_large());
        }
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

/// Returns about how many values a JSON text holds: no fewer, by the commas and brackets outside of
/// its strings.
fn count_values(json: &[u8]) -> usize {
    let (mut count, mut in_string, mut is_escaped) = (1, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            b',' | b'[' | b'{' if !in_string => count += 1,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_outside_of_strings() {
        for (text, expected) in [
            ("1", 1),
            ("[]", 2),
            ("[1,2]", 3),
            (r#"{"a,b":"[{,\",","c":[]}"#, 4),
            ("[[[[", 5),
            ("", 1),
        ] {
            assert_eq!(count_values(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn a_budget_is_spent_once() {
        let budget = Budget::default();
        assert!(budget.take(MAX_TOTAL_BYTES, 1));
        assert!(!budget.take(1, 1));
    }
}
