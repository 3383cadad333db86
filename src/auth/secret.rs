//! What credentials look like, how they are made, and the hash that is kept.

use rand::{RngExt, distr::Alphanumeric};
use sha2::{Digest, Sha256};

/// Characters after the prefix: about 238 bits, so that a plain hash suffices.
const LENGTH: usize = 40;
/// Characters after the prefix that a chosen secret needs, at the least, to withstand guessing.
const MIN_CHOSEN_LENGTH: usize = 24;
/// Characters after the prefix that any chosen token needs, public ones included.
const MIN_LENGTH: usize = 8;
/// Characters after the prefix that a chosen token may have.
const MAX_LENGTH: usize = 200;

/// What a credential's prefix says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// `phc_…`, public.
    Project,
    /// `phs_…`, a project's secret.
    ProjectSecret,
    /// `phx_…`, a person's key.
    Personal,
}

impl TokenKind {
    const ALL: [Self; 3] = [Self::Project, Self::ProjectSecret, Self::Personal];

    /// The prefix, with its underscore.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Project => "phc_",
            Self::ProjectSecret => "phs_",
            Self::Personal => "phx_",
        }
    }

    /// The kind of a token; `None` when it has no known prefix.
    #[must_use]
    pub fn of(token: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| token.starts_with(kind.prefix()))
    }
}

/// A credential in clear, on its one way to its owner. Never in a log: `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A new one, from the system's randomness.
    #[must_use]
    pub fn generate(kind: TokenKind) -> Self {
        let random = rand::rng().sample_iter(Alphanumeric).take(LENGTH).map(char::from);
        Self(kind.prefix().chars().chain(random).collect())
    }

    /// One that the operator chose.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it: the prefix, its length, or a character that no header carries.
    pub fn chosen(kind: TokenKind, text: &str) -> Result<Self, String> {
        let prefix = kind.prefix();
        let Some(rest) = text.strip_prefix(prefix) else {
            return Err(format!("must begin with `{prefix}`"));
        };
        if rest.len() > MAX_LENGTH {
            return Err(format!("may have at most {MAX_LENGTH} characters after `{prefix}`"));
        }
        if rest.len() < MIN_LENGTH {
            return Err(format!("must have at least {MIN_LENGTH} characters after `{prefix}`"));
        }
        if !rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
            return Err("may hold only letters, digits, `_` and `-`".into());
        }
        Ok(Self(text.to_owned()))
    }

    /// Checks that a chosen secret is long enough to withstand guessing. Public tokens need not be.
    ///
    /// # Errors
    ///
    /// Names the least length.
    pub fn check_strength(&self) -> Result<(), String> {
        let is_weak = |kind: &TokenKind| {
            *kind != TokenKind::Project && self.0.len() - kind.prefix().len() < MIN_CHOSEN_LENGTH
        };
        match TokenKind::of(&self.0).filter(is_weak) {
            Some(kind) => Err(format!(
                "must have at least {MIN_CHOSEN_LENGTH} characters after `{}`",
                kind.prefix()
            )),
            None => Ok(()),
        }
    }

    /// The token itself, to be shown once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored of it: SHA-256, in hex.
    #[must_use]
    pub fn hash(&self) -> String {
        hex::encode(digest(&self.0))
    }

    /// Enough to recognise it by, too little to use: `phx_…wxyz`.
    #[must_use]
    pub fn hint(&self) -> String {
        format!("{}…{}", &self.0[..4], &self.0[self.0.len() - 4..])
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// SHA-256 of a token.
pub(super) type TokenHash = [u8; 32];

/// The hash that a credential is known by. Looking it up by equality tells an attacker nothing of
/// the token, so comparing it needs no constant time of its own.
pub(super) fn digest(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_tokens_are_long_of_their_kind_and_never_alike() {
        let (one, two) =
            (Secret::generate(TokenKind::Personal), Secret::generate(TokenKind::Personal));
        assert_eq!(TokenKind::of(one.reveal()), Some(TokenKind::Personal));
        assert_eq!(one.reveal().len(), 4 + LENGTH);
        assert_ne!(one, two);
    }

    #[test]
    fn neither_debug_nor_hint_nor_hash_give_a_token_away() {
        let secret = Secret::chosen(TokenKind::Personal, "phx_abcdefgh").unwrap();
        for shown in [format!("{secret:?}"), secret.hint(), secret.hash()] {
            assert!(!shown.contains("abcdefgh"), "{shown}");
        }
    }

    #[test]
    fn a_chosen_secret_must_be_long_and_a_public_token_need_not() {
        let cases = [
            (TokenKind::Personal, 23, false),
            (TokenKind::Personal, 24, true),
            (TokenKind::ProjectSecret, 23, false),
            (TokenKind::ProjectSecret, 24, true),
            (TokenKind::Project, 8, true),
        ];
        for (kind, length, is_strong) in cases {
            let text = format!("{}{}", kind.prefix(), "x".repeat(length));
            let secret = Secret::chosen(kind, &text).unwrap();
            assert_eq!(secret.check_strength().is_ok(), is_strong, "{text}");
        }
    }

    #[test]
    fn a_chosen_token_must_look_like_one() {
        for refused in ["", "phc_abcdefgh", "phx_short", "phx_with space!"] {
            assert!(Secret::chosen(TokenKind::Personal, refused).is_err(), "{refused}");
        }
    }
}
