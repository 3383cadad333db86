"""Evaluates locally with PostHog's Python SDK: people on stdin, a line of values for each on stdout.

Flags that the SDK cannot decide are absent from the line. The first line is the number
of flags that it has loaded.
"""

import json
import logging
import os
import sys

from posthog import Posthog

logging.getLogger("posthog").setLevel(logging.ERROR)
client = Posthog(
    os.environ["FLAGSTAFF_TOKEN"],
    host=os.environ["FLAGSTAFF_URL"],
    secret_key=os.environ["FLAGSTAFF_SECRET"],
    poll_interval=3600,
    send=False,
)
client.load_feature_flags()
print(len(client.feature_flags or []), flush=True)
for line in sys.stdin:
    person = json.loads(line)
    values = client.get_all_flags(
        person["distinct_id"],
        groups=person["groups"],
        person_properties=person["person_properties"],
        group_properties=person["group_properties"],
        device_id=person["person_properties"].get("$device_id"),
        only_evaluate_locally=True,
    )
    print(json.dumps(values or {}))
# Nothing was sent, so there is nothing to flush; its threads need not be waited for.
sys.stdout.flush()
os._exit(0)
