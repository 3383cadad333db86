"""PostHog's Python SDK, unmodified, against the service."""

import os
import sys

import speed
import trouble
import usage

usage.remote_evaluation()
usage.variants_and_payloads()
usage.local_evaluation()
usage.remote_config()
usage.groups()
usage.calls()
usage.people()
usage.event_endpoints()
speed.remote_call()
trouble.wrong_token()
trouble.revoked_key()
trouble.wrong_project()
trouble.oversized_batch()
trouble.rate_limit()
trouble.restart()
trouble.queued_events()
trouble.courtesy()
# Everything was flushed; the SDK's threads need not be waited for.
sys.stdout.flush()
os._exit(0)
