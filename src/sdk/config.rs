//! What a browser is told of the project besides its flags: that there is
//! nothing to record, replay or ask, and whether there are flags at all.
//!
//! A browser SDK that finds one of these keys missing keeps what it last knew,
//! so each is said even though it never changes.

use serde::Serialize;

use crate::engine::{Audience, FlagSet};

/// Settings for browsers (client-wires 4.4, "browser extras").
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Config {
    supported_compression: [&'static str; 2],
    /// False stops an SDK from asking for flags; unset where the project is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    has_feature_flags: Option<bool>,
    session_recording: bool,
    surveys: bool,
    heatmaps: bool,
    /// Events of clicks would be counted and let go.
    #[serde(rename = "autocapture_opt_out")]
    autocapture_opt_out: bool,
    autocapture_exceptions: bool,
    capture_performance: bool,
    capture_dead_clicks: bool,
    product_tours: bool,
    conversations: bool,
    is_authenticated: bool,
    default_identified_only: bool,
    elements_chain_as_string: bool,
    toolbar_params: NoParams,
    site_apps: [(); 0],
}

/// An empty object.
#[derive(Clone, Copy, Debug, Serialize)]
struct NoParams {}

/// Settings for one project, with the token they are for.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct ProjectConfig<'a> {
    token: &'a str,
    #[serde(flatten)]
    config: Config,
}

impl Config {
    /// For whoever names no project.
    pub(crate) fn of_nobody() -> Self {
        Self {
            supported_compression: ["gzip", "gzip-js"],
            has_feature_flags: None,
            session_recording: false,
            surveys: false,
            heatmaps: false,
            autocapture_opt_out: true,
            autocapture_exceptions: false,
            capture_performance: false,
            capture_dead_clicks: false,
            product_tours: false,
            conversations: false,
            is_authenticated: false,
            default_identified_only: true,
            elements_chain_as_string: true,
            toolbar_params: NoParams {},
            site_apps: [],
        }
    }

    /// For a project with these flags.
    pub(crate) fn of(flags: &FlagSet) -> Self {
        let anybody = Audience::default();
        let has_flags = flags.flags().iter().any(|flag| anybody.admits(flag));
        Self { has_feature_flags: Some(has_flags), ..Self::of_nobody() }
    }

    /// With the project's token.
    pub(crate) fn with_token(self, token: &str) -> ProjectConfig<'_> {
        ProjectConfig { token, config: self }
    }
}

impl ProjectConfig<'_> {
    /// The script that leaves the settings where browser SDKs look for them.
    ///
    /// # Errors
    ///
    /// Never, as there is nothing in it that JSON could not say.
    pub(crate) fn script(&self) -> serde_json::Result<String> {
        // What JSON allows inside a script and HTML does not.
        let safe = |json: String| json.replace('<', "\\u003c");
        let token = safe(serde_json::to_string(self.token)?);
        let config = safe(serde_json::to_string(self)?);
        Ok(format!(
            "(function() {{\n  window._POSTHOG_REMOTE_CONFIG = window._POSTHOG_REMOTE_CONFIG || {{}};\n  \
             window._POSTHOG_REMOTE_CONFIG[{token}] = {{\n    config: {config},\n    siteApps: []\n  \
             }}\n}})();\n"
        ))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_browser_is_told_that_there_is_nothing_but_flags() {
        let told = serde_json::to_value(Config::of_nobody().with_token("phc_1")).unwrap();
        let expected = [
            ("token", json!("phc_1")),
            ("supportedCompression", json!(["gzip", "gzip-js"])),
            ("sessionRecording", json!(false)),
            ("autocapture_opt_out", json!(true)),
            ("toolbarParams", json!({})),
            ("siteApps", json!([])),
            ("hasFeatureFlags", Value::Null),
        ];
        for (key, value) in expected {
            assert_eq!(told[key], value, "{key}");
        }
    }

    #[test]
    fn a_script_cannot_be_broken_out_of() {
        let script = Config::of_nobody().with_token("</script>").script().unwrap();
        assert!(!script.contains("</script>") && script.contains("\\u003c/script>"), "{script}");
    }
}
