//! Where a flag's result is used: on a client's device or on a server.

/// One of the two kinds of program that ask for flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    /// Browsers, apps, devices.
    Client,
    /// Back ends.
    Server,
}

/// What is known of the runtime of whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RequestRuntime {
    /// Flags for every runtime are wanted.
    #[default]
    All,
    /// One kind of program.
    Only(Runtime),
    /// It could not be told: flags for a single runtime are kept back.
    Unknown,
}

/// SDK names, as in `posthog-<name>/<version>`.
const SERVER_SDKS: [&str; 10] =
    ["python", "ruby", "php", "java", "go", "node", "dotnet", "elixir", "rs", "server"];
const CLIENT_SDKS: [&str; 5] = ["js", "android", "ios", "react-native", "flutter"];
const BROWSERS: [&str; 5] = ["Mozilla/", "Chrome/", "Safari/", "Firefox/", "Edge/"];
const SERVER_TOOLS: [&str; 2] = ["python-requests/", "curl/"];

impl Runtime {
    /// The runtime a flag is limited to; none for `all` and unknown names.
    pub(super) fn of_flag(name: &str) -> Option<Self> {
        [("client", Self::Client), ("server", Self::Server)]
            .into_iter()
            .find_map(|(known, runtime)| name.eq_ignore_ascii_case(known).then_some(runtime))
    }
}

impl RequestRuntime {
    /// The runtime a request states; names that are not known mean all.
    pub fn stated(name: &str) -> Self {
        Runtime::of_flag(name).map_or(Self::All, Self::Only)
    }

    /// The runtime that a request's headers betray.
    ///
    /// Browser headers are `Origin`, `Referer`, `Sec-Fetch-Mode` and
    /// `Sec-Fetch-Site`; any of them will do.
    pub fn detected(user_agent: Option<&str>, has_browser_headers: bool) -> Self {
        let from_agent = user_agent.and_then(of_agent);
        let from_headers = has_browser_headers.then_some(Self::Only(Runtime::Client));
        from_agent.or(from_headers).unwrap_or(Self::Unknown)
    }

    /// True if a flag limited to `limit` is for whoever asks.
    pub(super) fn admits(self, limit: Option<Runtime>) -> bool {
        match (self, limit) {
            (Self::All, _) | (_, None) => true,
            (Self::Only(runtime), Some(limit)) => runtime == limit,
            (Self::Unknown, Some(_)) => false,
        }
    }
}

/// None if the agent's name says nothing, so that headers may.
fn of_agent(agent: &str) -> Option<RequestRuntime> {
    let has_any = |marks: &[&str]| marks.iter().any(|mark| agent.contains(mark));
    if let Some(sdk) = agent.strip_prefix("posthog-") {
        return Some(of_sdk(sdk));
    }
    if has_any(&BROWSERS) {
        return Some(RequestRuntime::Only(Runtime::Client));
    }
    has_any(&SERVER_TOOLS).then_some(RequestRuntime::Only(Runtime::Server))
}

/// The runtime of `<name>/<version>`.
fn of_sdk(sdk: &str) -> RequestRuntime {
    match sdk.split_once('/') {
        Some((name, _)) if SERVER_SDKS.contains(&name) => RequestRuntime::Only(Runtime::Server),
        Some((name, _)) if CLIENT_SDKS.contains(&name) => RequestRuntime::Only(Runtime::Client),
        _ => RequestRuntime::Unknown,
    }
}

#[cfg(test)]
mod tests;
