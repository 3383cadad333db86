"""PostHog's Python SDK, unmodified, against the service."""

import posthog

from harness import RECORDED_URL, SECRET, TOKEN, expect, make_flag, recorded, row


def main():
    make_flag("plain")
    with row("remote evaluation"):
        client = posthog.Posthog(TOKEN, host=RECORDED_URL)
        expect("the flag", client.get_feature_flag("plain", "somebody"), True)
        expect("requests", len(recorded("/flags/?v=4", status=200)), 1)
    with row("local evaluation with 304s"):
        client = posthog.Posthog(TOKEN, host=RECORDED_URL, secret_key=SECRET, poll_interval=3600)
        client.load_feature_flags()
        client.load_feature_flags()
        statuses = [exchange["status"] for exchange in recorded("/flags/definitions")]
        expect("statuses", statuses[:2] and statuses, [200, 304])
        expect("the flag", client.get_feature_flag("plain", "somebody", only_evaluate_locally=True), True)


main()
