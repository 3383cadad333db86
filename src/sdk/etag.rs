//! Weak entity tags: made from the content and a history token, compared as HTTP compares weakly
//! (RFC 9110, 8.8.3 and 13.1.2), and as SDKs send them back.

use sha2::{Digest, Sha256};

use crate::model::history_point::HistoryToken;

/// Returns the tag of a body that was last changed by the revision with this token, `W/"<hex>"`. It is
/// the same in every process, and differs between two histories of one revision.
pub(crate) fn of(token: HistoryToken, body: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(token.as_stored().to_be_bytes());
    hash.update(body);
    let digest = hash.finalize();
    format!("W/\"{}\"", hex::encode(&digest[..16]))
}

/// Whether an `If-None-Match` names the tag: a list of weak, strong or bare ones, or `*`.
pub(crate) fn is_named(if_none_match: &str, etag: &str) -> bool {
    // SDKs send back what they were given, all day.
    if_none_match == etag
        || if_none_match.split(',').map(str::trim).any(|it| it == "*" || bare(it) == bare(etag))
}

/// What stands between the quotes.
fn bare(tag: &str) -> &str {
    tag.trim_start_matches("W/").trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_form_of_a_tag_names_it() {
        let token = HistoryToken::from_stored(1);
        let etag = of(token, b"body");
        let hex = bare(&etag);
        assert!(etag.starts_with("W/\"") && hex.len() == 32, "{etag}");
        for form in [etag.clone(), format!("\"{hex}\""), hex.to_owned(), "*".to_owned()] {
            assert!(is_named(&form, &etag), "{form}");
            assert!(is_named(&format!("\"other\", {form}"), &etag), "{form} among others");
        }
        for other in [
            "",
            "\"other\"",
            &hex[1..],
            &of(token, b"another body"),
            &of(HistoryToken::default(), b"body"),
        ] {
            assert!(!is_named(other, &etag), "{other}");
        }
    }
}
