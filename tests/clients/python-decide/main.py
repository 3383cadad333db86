"""An older Python SDK of PostHog's, which asks `/decide`, against the service."""

import logging

import posthog

from harness import RECORDED_URL, SECRET, TOKEN, Recording, call, evaluate, expect, make_flag, row, until

logging.getLogger("posthog").setLevel(logging.CRITICAL)

VARIANTS = {
    "groups": [{"properties": [], "rollout_percentage": 80}],
    "multivariate": {"variants": [
        {"key": "blue", "rollout_percentage": 50}, {"key": "green", "rollout_percentage": 50}]},
    "payloads": {"blue": '{"hex": "#00f"}', "green": '"#0f0"'},
}
PEOPLE = [f"person-{number}" for number in range(30)]


def client(**options):
    """A client that sends events when it is told to."""
    return posthog.Client(TOKEN, host=RECORDED_URL, poll_interval=3600, **options)


def agree(asked, **options):
    """Compares a client's answers with the service's own to `/flags`."""
    for person in PEOPLE:
        ours = evaluate(person)["button"]
        value = asked.get_feature_flag("button", person, **options)
        expect(person, value, ours["variant"] or ours["enabled"])
        payload = asked.get_feature_flag_payload("button", person, match_value=value, **options)
        expect(f"payload of {person}", payload, VARIANTS["payloads"].get(value))


def main():
    flag = make_flag("button", VARIANTS, created_at="2020-01-01T00:00:00Z")
    with row("remote evaluation by /decide/?v=3"):
        asking, seen = client(), Recording()
        agree(asking)
        expect("statuses", set(seen.statuses("/decide/?v=3")), {200})
        expect("by /flags", seen.statuses("/flags"), [])
    with row("local evaluation by /api/feature_flag/local_evaluation/"):
        seen = Recording()
        deciding = client(personal_api_key=SECRET)
        deciding.load_feature_flags()
        deciding.load_feature_flags()
        expect("statuses", seen.statuses("/api/feature_flag/local_evaluation/"), [200, 200])
        agree(deciding, only_evaluate_locally=True)
        expect("evaluations asked for", seen.statuses("/decide"), [])
    with row("$feature_flag_called is seen in the status"):
        asking.flush()
        shown = until("it is counted", lambda: call("GET", f"feature_flags/{flag['id']}/")["last_called_at"])
        expect("after it was made", shown > flag["created_at"], True)
    with row("wrong token: no flags"):
        seen = Recording()
        refused = posthog.Client("phc_nobodys", host=RECORDED_URL, send=False)
        expect("the flag", refused.get_feature_flag("button", "somebody"), None)
        expect("statuses", seen.statuses("/decide/"), [401])


main()
