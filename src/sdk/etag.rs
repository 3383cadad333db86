//! Weak entity tags: made from the content, compared as HTTP compares weakly
//! (RFC 9110, 8.8.3 and 13.1.2), and as SDKs send them back.

use sha2::{Digest, Sha256};

/// The tag of a body, `W/"<hex>"`. The same bytes have the same tag in every process.
pub(crate) fn of(body: &[u8]) -> String {
    let digest = Sha256::digest(body);
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
        let etag = of(b"body");
        let hex = bare(&etag);
        assert!(etag.starts_with("W/\"") && hex.len() == 32, "{etag}");
        for form in [etag.clone(), format!("\"{hex}\""), hex.to_owned(), "*".to_owned()] {
            assert!(is_named(&form, &etag), "{form}");
            assert!(is_named(&format!("\"other\", {form}"), &etag), "{form} among others");
        }
        for other in ["", "\"other\"", &hex[1..], &of(b"another body")] {
            assert!(!is_named(other, &etag), "{other}");
        }
    }
}
