use super::*;

const SERVER: RequestRuntime = RequestRuntime::Only(Runtime::Server);
const CLIENT: RequestRuntime = RequestRuntime::Only(Runtime::Client);

#[test]
fn the_user_agent_decides_before_other_headers() {
    let cases = [
        ("a server SDK", Some("posthog-python/3.1.0"), true, SERVER),
        ("a client SDK", Some("posthog-react-native/2.0"), false, CLIENT),
        ("an SDK nobody knows", Some("posthog-cobol/1.0"), true, RequestRuntime::Unknown),
        ("a browser", Some("Mozilla/5.0 (X11)"), false, CLIENT),
        ("a server's tool", Some("curl/8.5.0"), true, SERVER),
        ("another agent with a browser's headers", Some("okhttp/4"), true, CLIENT),
        ("another agent alone", Some("okhttp/4"), false, RequestRuntime::Unknown),
        ("no agent, a browser's headers", None, true, CLIENT),
        ("nothing at all", None, false, RequestRuntime::Unknown),
    ];
    for (name, agent, has_browser_headers, expected) in cases {
        assert_eq!(RequestRuntime::detected(agent, has_browser_headers), expected, "{name}");
    }
}

#[test]
fn a_stated_runtime_that_is_not_known_means_all() {
    let cases = [
        ("client", CLIENT),
        ("SERVER", SERVER),
        ("all", RequestRuntime::All),
        ("tv", RequestRuntime::All),
    ];
    for (name, expected) in cases {
        assert_eq!(RequestRuntime::stated(name), expected, "{name}");
    }
}

#[test]
fn an_unknown_runtime_gets_only_flags_for_all() {
    let limits = [None, Some(Runtime::Client), Some(Runtime::Server)];
    let cases = [
        (RequestRuntime::All, [true, true, true]),
        (CLIENT, [true, true, false]),
        (SERVER, [true, false, true]),
        (RequestRuntime::Unknown, [true, false, false]),
    ];
    for (request, expected) in cases {
        assert_eq!(limits.map(|limit| request.admits(limit)), expected, "{request:?}");
    }
}
