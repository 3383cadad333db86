//! Unpacks and parses the bodies of clients, which carry their token inside.
//!
//! A small body is parsed at once. Of a large one the text is unpacked first, and it is parsed
//! only if the request or the text carries a valid token: a text takes some ten times its size
//! once parsed, which nobody without a token is given.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, Uri};

use super::{Rest, flags::packing, query::Query};
use crate::{
    auth::Identity,
    limits::{MAX_INLINE_BYTES, Reservation},
    model::error::{Code, Error, Result},
    sdk::body::{text, tokens},
};

/// A body as it arrived, and what the request says of it.
#[derive(Debug)]
pub(super) struct Packed<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) uri: &'a Uri,
    pub(super) bytes: Bytes,
    /// The largest size, unpacked.
    pub(super) limit: usize,
    pub(super) credential: Credential<'a>,
}

/// What a request carries outside of its body.
#[derive(Debug)]
pub(super) enum Credential<'a> {
    /// A public token in the query.
    Token(&'a str),
    /// Whatever stands in the headers.
    Identity(Identity),
}

impl Credential<'_> {
    /// Why the request may not bring a large body without a token in it; `None` where the
    /// credential is valid.
    async fn refusal(&self, rest: &Rest) -> Option<Error> {
        match self {
            Self::Token(token) => rest.services.ingested_by_token(token).await.err(),
            Self::Identity(identity) => identity.caller().err(),
        }
    }
}

/// Makes something of the unpacked text.
pub(super) type Parse<T> = fn(&[u8], &mut Reservation) -> Result<T>;

impl Packed<'_> {
    /// Unpacks and parses the body. Charges `memory` for what both take.
    ///
    /// # Errors
    ///
    /// As [`text`] and `parse`; `Unauthenticated` for a large body without a valid token.
    pub(super) async fn parse<T: Send + 'static>(
        self,
        rest: &Rest,
        memory: &mut Reservation,
        parse: Parse<T>,
    ) -> Result<T> {
        if self.bytes.len() <= MAX_INLINE_BYTES {
            let query = Query::of(self.uri);
            let packing = packing(self.headers, &query);
            let limit = self.limit.min(MAX_INLINE_BYTES);
            match text(packing, &self.bytes, limit, memory) {
                Ok(text) => return parse(&text, memory),
                Err(error) if error.code == Code::TooLarge && limit < self.limit => {}
                Err(error) => return Err(error),
            }
        }
        Box::pin(self.parse_large(rest, memory, parse)).await
    }

    async fn parse_large<T: Send + 'static>(
        self,
        rest: &Rest,
        memory: &mut Reservation,
        parse: Parse<T>,
    ) -> Result<T> {
        let refusal = self.credential.refusal(rest).await;
        let pool = &rest.settings.bodies.decode_pool;
        let (headers, uri) = (self.headers.clone(), self.uri.clone());
        let (limit, bytes, mut own) = (self.limit, self.bytes, memory.take());
        let unpacked = pool.run(move || {
            let query = Query::of(&uri);
            let text = text(packing(&headers, &query), &bytes, limit, &mut own)?;
            let tokens = tokens(&text);
            let text = match text {
                Cow::Borrowed(_) => None,
                Cow::Owned(text) => Some(Bytes::from(text)),
            };
            Ok::<_, Error>((text.unwrap_or(bytes), tokens, own))
        });
        let (text, tokens, mut own) = unpacked.await??;
        if let Some(refusal) = refusal {
            require_token(rest, &tokens, refusal).await?;
        }
        let parsed = pool.run(move || {
            let parsed = parse(&text, &mut own)?;
            Ok::<_, Error>((parsed, own))
        });
        let (parsed, own) = parsed.await??;
        *memory = own;
        Ok(parsed)
    }
}

/// Checks that one of these opens a project.
async fn require_token(rest: &Rest, tokens: &[String], refusal: Error) -> Result<()> {
    let mut refusal = refusal;
    for token in tokens {
        match rest.services.ingested_by_token(token).await {
            Ok(_) => return Ok(()),
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}
