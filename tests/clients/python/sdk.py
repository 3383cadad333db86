"""Clients of PostHog's Python SDK, as the rows need them."""

import logging
import warnings

import posthog

from harness import RECORDED_URL, SECRET, TOKEN

# The rows make errors on purpose, and use every generation of the SDK's methods.
logging.getLogger("posthog").setLevel(logging.CRITICAL)
warnings.simplefilter("ignore", DeprecationWarning)

FOREVER = 3600


def remote(token=TOKEN, host=RECORDED_URL, **options):
    """A client that asks the service for each flag; it sends events when it is told to."""
    return posthog.Posthog(token, host=host, flush_interval=FOREVER, **options)


def local(secret=SECRET, **options):
    """A client that evaluates by itself; it loads definitions when it is told to, and never asks."""
    client = remote(secret_key=secret, poll_interval=FOREVER, **options)
    client.load_feature_flags()
    return client


def locally(client, key, distinct_id="somebody", **options):
    """What a client decides without asking; None if it cannot."""
    options = {"only_evaluate_locally": True, "send_feature_flag_events": False} | options
    return client.get_feature_flag(key, distinct_id, **options)
