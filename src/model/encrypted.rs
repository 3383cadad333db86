//! What becomes of the payload of a flag whose payloads are encrypted
//! (management-api 3.9). The cipher itself is the caller's.

pub mod redaction;

use serde_json::{Value, json};

use super::{
    error::{Error, Result},
    flag::FeatureFlag,
    json::Object,
};

/// What callers see in place of a payload they may not read; JSON text, quotes included.
pub const REDACTED: &str = "\"********* (encrypted)\"";

/// The two directions of a cipher.
pub trait Cipher {
    /// The token that stands for a text.
    ///
    /// # Errors
    ///
    /// When there is no key.
    fn encrypt(&self, text: &str) -> Result<String>;

    /// The text of a token; `None` when no key fits.
    fn decrypt(&self, token: &str) -> Option<String>;
}

fn is_encrypted(flag: &FeatureFlag) -> bool {
    flag.has_encrypted_payloads == Some(true)
}

/// Whose payload a remote configuration delivers.
const DELIVERED: &str = "true";

/// Returns whether a stored text has the form of a Fernet token, which some key can decrypt.
/// Anything else in the place of one is damage that no key mends.
#[must_use]
pub fn is_token(text: &str) -> bool {
    // Version 0x80 and the upper bytes of the time; 73 bytes at least, in base64.
    text.starts_with("gAAAA") && text.len() >= 100
}

/// Counts the payloads of an encrypted flag as `cipher` finds them.
#[must_use]
pub fn survey(filters: &Value, cipher: &impl Cipher) -> Survey {
    let payloads = filters.get("payloads").and_then(Value::as_object);
    payloads.into_iter().flat_map(Object::values).filter_map(Value::as_str).fold(
        Survey::default(),
        |survey, text| match cipher.decrypt(text) {
            Some(_) => Survey { decrypted: survey.decrypted + 1, ..survey },
            None if is_token(text) => Survey { undecryptable: survey.undecryptable + 1, ..survey },
            None => Survey { damaged: survey.damaged + 1, ..survey },
        },
    )
}

/// What became of stored encrypted payloads under a set of keys, by count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Payloads that a key decrypts.
    pub decrypted: u64,
    /// Tokens that no key decrypts.
    pub undecryptable: u64,
    /// Texts that are no tokens, so that no key can decrypt them.
    pub damaged: u64,
}

impl Survey {
    /// Adds the counts of `other`.
    pub fn add(&mut self, other: Self) {
        self.decrypted += other.decrypted;
        self.undecryptable += other.undecryptable;
        self.damaged += other.damaged;
    }

    /// Returns whether nothing is stored that a key could decrypt.
    #[must_use]
    pub const fn has_no_tokens(&self) -> bool {
        self.decrypted == 0 && self.undecryptable == 0
    }

    /// Returns whether tokens are stored and the keys decrypt none of them: these are other keys.
    #[must_use]
    pub const fn is_locked(&self) -> bool {
        self.decrypted == 0 && self.undecryptable > 0
    }

    /// Returns how many payloads cannot be read.
    #[must_use]
    pub const fn unreadable(&self) -> u64 {
        self.undecryptable + self.damaged
    }
}

/// The payload that a flag delivers.
#[must_use]
pub fn payload(filters: &Value) -> Option<&str> {
    payload_of(filters, DELIVERED)
}

fn payload_of<'a>(filters: &'a Value, key: &str) -> Option<&'a str> {
    filters.get("payloads")?.get(key)?.as_str()
}

/// The keys of all payloads, the delivered one included whether it is there or not.
fn keys(filters: &Value) -> Vec<String> {
    let payloads = filters.get("payloads").and_then(Value::as_object);
    let mut keys: Vec<_> = payloads.into_iter().flat_map(Object::keys).cloned().collect();
    if !keys.iter().any(|key| key == DELIVERED) {
        keys.push(DELIVERED.to_owned());
    }
    keys
}

fn set(filters: &mut Value, key: &str, text: Option<String>) {
    let Some(filters) = filters.as_object_mut() else { return };
    match text {
        Some(text) => {
            let payloads = filters.entry("payloads").or_insert_with(|| json!({}));
            if !payloads.is_object() {
                *payloads = Value::Object(Object::new());
            }
            payloads[key] = Value::String(text);
        }
        None => {
            if let Some(payloads) = filters.get_mut("payloads").and_then(Value::as_object_mut) {
                payloads.shift_remove(key);
            }
        }
    }
}

/// Makes sure that what is stored of `after` is a token exactly when it should be.
///
/// `before` is the flag as stored, `None` at creation; `sent_filters` whether the write brought any.
///
/// # Errors
///
/// `Invalid` when an encrypted flag would be left without a payload; whatever the cipher refuses.
pub fn seal(
    after: &mut FeatureFlag,
    before: Option<&FeatureFlag>,
    sent_filters: bool,
    cipher: &impl Cipher,
) -> Result<()> {
    let stored =
        before.filter(|flag| is_encrypted(flag)).map_or(&Value::Null, |flag| &flag.filters);
    let was_encrypted = before.is_some_and(is_encrypted);
    match (was_encrypted, is_encrypted(after)) {
        (false, false) => Ok(()),
        (true, false) => {
            unseal(after, stored, sent_filters);
            Ok(())
        }
        (true, true) if !sent_filters => Ok(()),
        (_, true) => {
            for key in keys(&after.filters) {
                let (sent, stored) = (payload_of(&after.filters, &key), payload_of(stored, &key));
                let token = token(sent, stored, cipher)?;
                set(&mut after.filters, &key, Some(token));
            }
            Ok(())
        }
    }
}

/// The token to store: of a fresh text, else the one there is.
fn token(sent: Option<&str>, stored: Option<&str>, cipher: &impl Cipher) -> Result<String> {
    let fresh = sent.filter(|text| !text.is_empty() && *text != REDACTED && Some(*text) != stored);
    let unchanged =
        |text: &str| stored.filter(|token| cipher.decrypt(token).as_deref() == Some(text));
    match (fresh, stored) {
        // Somebody who reads the payload in clear and echoes it has changed nothing.
        (Some(text), _) => {
            unchanged(text).map_or_else(|| cipher.encrypt(text), |token| Ok(token.to_owned()))
        }
        (None, Some(token)) => Ok(token.to_owned()),
        (None, None) => Err(Error::rule(
            "An encrypted payload is required when has_encrypted_payloads is true.",
        )),
    }
}

/// Turning encryption off must never make a token readable as if it were a payload.
fn unseal(after: &mut FeatureFlag, stored: &Value, sent_filters: bool) {
    for key in keys(&after.filters) {
        let sent = payload_of(&after.filters, &key).filter(|_| sent_filters);
        let fresh =
            sent.filter(|text| *text != REDACTED && Some(*text) != payload_of(stored, &key));
        let fresh = fresh.map(str::to_owned);
        set(&mut after.filters, &key, fresh);
    }
}

/// The payload that a flag delivers: in clear to a reader, redacted to others where it is
/// encrypted; `None` when there is none.
///
/// # Errors
///
/// `Internal` when the reader has no key that fits.
pub fn delivered(flag: &FeatureFlag, reader: Option<&impl Cipher>) -> Result<Option<String>> {
    let Some(stored) = payload(&flag.filters).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    match reader {
        _ if !is_encrypted(flag) => Ok(Some(stored.to_owned())),
        None => Ok(Some(REDACTED.to_owned())),
        Some(cipher) => cipher.decrypt(stored).map(Some).ok_or_else(Error::undecryptable),
    }
}

/// Filters as they are shown: in clear to those who may read, else redacted.
#[must_use]
pub fn shown(flag: &FeatureFlag, reader: Option<&impl Cipher>) -> Value {
    if !is_encrypted(flag) {
        return flag.filters.clone();
    }
    let mut filters = flag.filters.clone();
    let payloads = filters.get_mut("payloads").and_then(Value::as_object_mut);
    for payload in payloads.into_iter().flat_map(Object::values_mut) {
        let clear = payload.as_str().and_then(|token| reader?.decrypt(token));
        *payload = Value::String(clear.unwrap_or_else(|| REDACTED.to_owned()));
    }
    filters
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turns a text around: enough to see which way it went.
    struct Mirror;

    impl Cipher for Mirror {
        fn encrypt(&self, text: &str) -> Result<String> {
            Ok(format!("~{}", text.chars().rev().collect::<String>()))
        }

        fn decrypt(&self, token: &str) -> Option<String> {
            Some(token.strip_prefix('~')?.chars().rev().collect())
        }
    }

    fn flag(encrypted: bool, payload: Option<&str>) -> FeatureFlag {
        let mut flag = FeatureFlag {
            has_encrypted_payloads: Some(encrypted),
            is_remote_configuration: Some(true),
            ..FeatureFlag::example()
        };
        set(&mut flag.filters, DELIVERED, payload.map(str::to_owned));
        flag
    }

    #[test]
    fn what_is_stored_is_a_token_exactly_when_it_should_be() {
        let (on, off) = (true, false);
        let cases = [
            (
                "a fresh text is encrypted",
                Some(flag(on, Some("~1"))),
                flag(on, Some("23")),
                true,
                Some("~32"),
            ),
            (
                "the redacted text keeps the token",
                Some(flag(on, Some("~1"))),
                flag(on, Some(REDACTED)),
                true,
                Some("~1"),
            ),
            (
                "nothing keeps the token",
                Some(flag(on, Some("~1"))),
                flag(on, None),
                true,
                Some("~1"),
            ),
            (
                "an echo keeps the token",
                Some(flag(on, Some("~21"))),
                flag(on, Some("12")),
                true,
                Some("~21"),
            ),
            (
                "no filters, no change",
                Some(flag(on, Some("~1"))),
                flag(on, Some("~1")),
                false,
                Some("~1"),
            ),
            (
                "null is a fresh payload",
                Some(flag(on, Some("~1"))),
                flag(on, Some("null")),
                true,
                Some("~llun"),
            ),
            ("a creation encrypts", None, flag(on, Some("12")), true, Some("~21")),
            (
                "turning on encrypts what is there",
                Some(flag(off, Some("12"))),
                flag(on, Some("12")),
                false,
                Some("~21"),
            ),
            (
                "turning off drops the token",
                Some(flag(on, Some("~1"))),
                flag(off, Some("~1")),
                false,
                None,
            ),
            (
                "turning off drops a sent token",
                Some(flag(on, Some("~1"))),
                flag(off, Some("~1")),
                true,
                None,
            ),
            (
                "turning off drops the redacted text",
                Some(flag(on, Some("~1"))),
                flag(off, Some(REDACTED)),
                true,
                None,
            ),
            (
                "turning off keeps a fresh text",
                Some(flag(on, Some("~1"))),
                flag(off, Some("5")),
                true,
                Some("5"),
            ),
            (
                "plain stays plain",
                Some(flag(off, Some("1"))),
                flag(off, Some("2")),
                true,
                Some("2"),
            ),
        ];
        for (name, before, mut after, sent_filters, expected) in cases {
            seal(&mut after, before.as_ref(), sent_filters, &Mirror).expect(name);
            assert_eq!(payload(&after.filters), expected, "{name}");
        }
    }

    #[test]
    fn the_payloads_of_variants_are_encrypted_too() {
        let mut after = flag(true, Some("12"));
        set(&mut after.filters, "blue", Some("34".into()));
        seal(&mut after, None, true, &Mirror).unwrap();
        assert_eq!(payload_of(&after.filters, "blue"), Some("~43"));
    }

    #[test]
    fn an_encrypted_flag_must_have_a_payload() {
        for sent in [None, Some(REDACTED), Some("")] {
            let error = seal(&mut flag(true, sent), None, true, &Mirror).unwrap_err();
            assert!(error.detail.starts_with("An encrypted payload is required"), "{error}");
        }
    }

    #[test]
    fn a_survey_tells_other_keys_from_damage() {
        let token = format!("gAAAA{}", "x".repeat(95));
        let filters = json!({"payloads": {"true": "~21", "a": token, "b": "gAAAA", "c": 5}});
        let survey = survey(&filters, &Mirror);
        assert_eq!(survey, Survey { decrypted: 1, undecryptable: 1, damaged: 1 });
        assert!(!survey.is_locked() && !survey.has_no_tokens());
        assert!(Survey { undecryptable: 1, ..Survey::default() }.is_locked());
        assert!(Survey { damaged: 1, ..Survey::default() }.has_no_tokens());
    }

    #[test]
    fn only_a_reader_sees_the_text() {
        let stored = flag(true, Some("~21"));
        assert_eq!(payload(&shown(&stored, Some(&Mirror))), Some("12"));
        assert_eq!(payload(&shown(&stored, None::<&Mirror>)), Some(REDACTED));
        let damaged = flag(true, Some("no token"));
        assert_eq!(payload(&shown(&damaged, Some(&Mirror))), Some(REDACTED));
    }
    #[test]
    fn what_is_delivered_depends_on_who_reads() {
        let clear = |flag: &FeatureFlag| delivered(flag, Some(&Mirror)).unwrap();
        let redacted = |flag: &FeatureFlag| delivered(flag, None::<&Mirror>).unwrap();
        let plain = flag(false, Some("12"));
        assert_eq!((clear(&plain), redacted(&plain)), (Some("12".into()), Some("12".into())));
        let stored = flag(true, Some("~21"));
        assert_eq!((clear(&stored), redacted(&stored)), (Some("12".into()), Some(REDACTED.into())));
        for nothing in [flag(true, None), flag(false, None), flag(false, Some(""))] {
            assert_eq!((clear(&nothing), redacted(&nothing)), (None, None));
        }
        let damaged = delivered(&flag(true, Some("no token")), Some(&Mirror)).unwrap_err();
        assert_eq!(damaged.reason, "remote_config_decrypt_failed");
    }
}
