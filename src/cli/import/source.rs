//! Reads a project's flags, cohorts and group types over the public API.
//!
//! Lists are read page by page. What may pass (a broken connection, 429, 502,
//! 503, 504) is tried again with growing pauses, or after the time that
//! `Retry-After` names; anything else ends the import in one sentence that
//! names the setting to look at.
//!
//! The source is not trusted: no redirect is followed, so that the key goes to
//! no other address and nothing inside this network is asked on the source's
//! word, and the size of answers is bounded ([`super::body`]).

use std::{collections::BTreeMap, time::Duration};

use backon::{ExponentialBuilder, Retryable};
use http::{
    StatusCode,
    header::{LOCATION, RETRY_AFTER},
};
use reqwest::{Client, Response, Url, redirect::Policy};
use serde_json::Value;

use super::{
    super::terminal::{escaped, print_note},
    Import,
    body::{self, Budget, Refusal},
};
use crate::model::import::{Foreign, ForeignCohort, ForeignFlag};

/// Results asked for at once.
const A_PAGE: usize = 100;
/// No project is larger; a list that goes on beyond it never ends.
const MOST: usize = 200_000;
/// The most pages of one list; sources may give fewer results at once than they are asked for.
const MAX_PAGES: usize = 20_000;
/// The most that is repeated of a reason which the source gives, in characters.
const MAX_REASON_CHARS: usize = 300;
/// The longest that a source may make us wait for one more try.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// A project elsewhere.
pub(super) struct Source {
    client: Client,
    /// `…/api/projects/{id}/`.
    base: Url,
    key: String,
    retries: u8,
    /// What all answers together may still come to.
    budget: Budget,
}

/// Why a request came to nothing.
enum Trouble {
    /// It may pass; after this time, where it was named.
    Passing(String, Option<Duration>),
    /// It will not.
    Lasting(String),
}

impl Source {
    /// # Errors
    ///
    /// A sentence that names the setting which cannot be used.
    pub(super) fn new(import: &Import) -> Result<Self, String> {
        let refuse = |why: &str| format!("--from-url (FLAGSTAFF_IMPORT_URL): {why}");
        let mut base = import.from_url.clone();
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(refuse("not an address like https://us.posthog.com"));
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '@' || c == '-';
        if import.project.is_empty() || !import.project.chars().all(is_name) {
            return Err("--project: the number of a project there, or @current".into());
        }
        base.set_query(None);
        base.set_fragment(None);
        base.path_segments_mut()
            .map_err(|()| refuse("not an address like https://us.posthog.com"))?
            .pop_if_empty()
            .extend(["api", "projects", &import.project, ""]);
        // There is one in the process already when this is run twice.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .timeout(import.timeout)
            .redirect(Policy::none())
            .user_agent(concat!("flagstaff-import/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| refuse(&error.to_string()))?;
        let (key, retries) = (import.key.0.clone(), import.retries);
        Ok(Self { client, base, key, retries, budget: Budget::default() })
    }

    /// Everything that an import goes by.
    ///
    /// # Errors
    ///
    /// A sentence about the source.
    pub(super) async fn read(&self) -> Result<Foreign, String> {
        let flags = self.list("feature_flags/", "flags").await?;
        let flags = read_each(&flags, ForeignFlag::read)?;
        let cohorts = match flags.iter().any(|flag| !flag.referred().cohorts.is_empty()) {
            true => read_each(&self.list("cohorts/", "cohorts").await?, ForeignCohort::read)?,
            false => Vec::new(),
        };
        let group_types = match flags.iter().any(|flag| !flag.referred().group_types.is_empty()) {
            true => self.group_types().await?,
            false => BTreeMap::new(),
        };
        Ok(Foreign { flags, cohorts, group_types })
    }

    /// A list, page by page. Pages are asked for by offset, and `next` only tells whether there is
    /// one: the key is sent to no address but the one that was given.
    async fn list(&self, path: &str, what: &str) -> Result<Vec<Value>, String> {
        let mut all = Vec::new();
        for _ in 0..MAX_PAGES {
            let mut page = self.get(&format!("{path}?limit={A_PAGE}&offset={}", all.len())).await?;
            let Some(Value::Array(results)) = page.get_mut("results").map(Value::take) else {
                return Err(no_api(path, "there is no list in the answer"));
            };
            let is_empty = results.is_empty();
            all.extend(results);
            let total = page.get("count").and_then(Value::as_u64);
            let of = total.map(|total| format!(" of {total}")).unwrap_or_default();
            print_note(format_args!("reading {what}: {}{of}", all.len()));
            if page.get("next").is_none_or(Value::is_null) || is_empty {
                return Ok(all);
            }
            if all.len() > MOST {
                return Err(no_api(path, &format!("a list of more than {MOST}")));
            }
        }
        Err(no_api(path, &format!("a list of more than {MAX_PAGES} pages")))
    }

    /// Names of group types: as the definitions of flags tell them, or else a list of their own,
    /// which needs one more scope.
    async fn group_types(&self) -> Result<BTreeMap<i64, String>, String> {
        print_note(format_args!("reading group types"));
        let mapping = match self.get("feature_flags/local_evaluation/").await {
            Ok(definitions) => definitions.get("group_type_mapping").cloned(),
            Err(_) => None,
        };
        if let Some(Value::Object(mapping)) = mapping {
            let named = |(index, name): (&String, &Value)| {
                Some((index.parse().ok()?, name.as_str()?.to_owned()))
            };
            return Ok(mapping.iter().filter_map(named).collect());
        }
        let list = self.get("groups_types/").await?;
        let named = |kind: &Value| {
            let name = kind.get("group_type")?.as_str()?;
            Some((kind.get("group_type_index")?.as_i64()?, name.to_owned()))
        };
        Ok(list.as_array().into_iter().flatten().filter_map(named).collect())
    }

    async fn get(&self, path: &str) -> Result<Value, String> {
        let url = self.base.join(path).map_err(|error| no_api(path, &error.to_string()))?;
        let pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(500))
            .with_max_delay(Duration::from_secs(30))
            .with_jitter()
            .with_max_times(self.retries.into());
        let asked = || self.ask(url.clone(), path);
        let answer = asked
            .retry(pauses)
            .when(|trouble| matches!(trouble, Trouble::Passing(..)))
            .adjust(|trouble, pause| match trouble {
                Trouble::Passing(_, Some(told)) if *told > LONGEST_WAIT => None,
                Trouble::Passing(_, Some(told)) => pause.map(|_| *told),
                _ => pause,
            })
            .notify(|trouble, pause| {
                let words = escaped(trouble.words());
                print_note(format_args!("{words}: trying again in {:.1} s", pause.as_secs_f32()));
            });
        answer.await.map_err(|trouble| trouble.words().to_owned())
    }

    async fn ask(&self, url: Url, path: &str) -> Result<Value, Trouble> {
        let host = self.base.host_str().unwrap_or_default().to_owned();
        let passing = |error: reqwest::Error| {
            let why = if error.is_timeout() { "no answer in time".into() } else { causes(&error) };
            let text = format!("--from-url (FLAGSTAFF_IMPORT_URL): {host} does not answer: {why}");
            Trouble::Passing(text, None)
        };
        let request = self.client.get(url).bearer_auth(&self.key);
        let answer = request.send().await.map_err(passing)?;
        if !answer.status().is_success() {
            return Err(self.refused(answer, path).await);
        }
        match body::read(answer, &self.budget).await {
            Ok(value) => Ok(value),
            Err(Refusal::Broken(error)) => Err(passing(error)),
            Err(Refusal::Answer(why)) => Err(Trouble::Lasting(no_api(path, why))),
        }
    }

    /// What the source says of a refusal, cut short, and without the key.
    async fn reason(&self, answer: Response) -> String {
        let body = body::read_error(answer).await;
        let detail = body.get("detail").and_then(Value::as_str).unwrap_or("no reason is given");
        let detail = detail.replace(&self.key, "***");
        match detail.char_indices().nth(MAX_REASON_CHARS) {
            Some((end, _)) => format!("{}…", &detail[..end]),
            None => detail,
        }
    }

    async fn refused(&self, answer: Response, path: &str) -> Trouble {
        let status = answer.status();
        let wait = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let wait = wait.and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
        if status.is_redirection() {
            let place = answer.headers().get(LOCATION).and_then(|place| place.to_str().ok());
            let place: String = place.unwrap_or("nowhere").chars().take(MAX_REASON_CHARS).collect();
            return Trouble::Lasting(format!(
                "--from-url (FLAGSTAFF_IMPORT_URL): the source redirects to {place}, and redirects \
                 are not followed; give the address where the API is"
            ));
        }
        let detail = self.reason(answer).await;
        let said = format!("{} {status}: {detail}", path.split('?').next().unwrap_or_default());
        let key = "--key (FLAGSTAFF_IMPORT_KEY)";
        match status {
            StatusCode::UNAUTHORIZED => {
                Trouble::Lasting(format!("{key}: the source does not know this key ({said})"))
            }
            StatusCode::FORBIDDEN => Trouble::Lasting(format!(
                "{key}: the key may not read this; it needs feature_flag:read and cohort:read in \
                 the project ({said})"
            )),
            StatusCode::NOT_FOUND => Trouble::Lasting(format!(
                "--project, --from-url: the source has no such project, or is no PostHog ({said})"
            )),
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => {
                Trouble::Passing(format!("the source is busy ({said})"), wait)
            }
            _ => Trouble::Lasting(no_api(path, &said)),
        }
    }
}

impl Trouble {
    fn words(&self) -> &str {
        match self {
            Self::Passing(words, _) | Self::Lasting(words) => words,
        }
    }
}

fn read_each<T>(
    list: &[Value],
    read: impl Fn(&Value) -> Result<Option<T>, String>,
) -> Result<Vec<T>, String> {
    let read = |value| read(value).map_err(|what| no_api("a list", &what)).transpose();
    list.iter().filter_map(read).collect()
}

fn no_api(path: &str, why: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    format!(
        "--from-url (FLAGSTAFF_IMPORT_URL): {path}: {why}; is this where the API is, such as \
         https://us.posthog.com?"
    )
}

/// An error and what brought it about, without the address: it is known.
fn causes(error: &reqwest::Error) -> String {
    let mut source = std::error::Error::source(error);
    let mut last = None;
    while let Some(cause) = source {
        last = Some(cause.to_string());
        source = cause.source();
    }
    last.unwrap_or_else(|| "the connection failed".into())
}
