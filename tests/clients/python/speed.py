"""How long a remote call takes, next to the same SDK's call to a server that does nothing."""

import os
import statistics
import subprocess
import sys
import time

from harness import URL, expect, row
from sdk import remote

PAIRS, CALLS = 7, 150
# The goal is 1.5; a busy machine gets as far as this, and only a real loss further.
GOAL, LIMIT = 1.5, 3.0


def remote_call():
    with row("p50 of a remote call against a fixed answer") as told:
        script = os.path.join(os.path.dirname(sys.modules["harness"].__file__), "fixed_server.py")
        with subprocess.Popen([sys.executable, script, URL], stdout=subprocess.PIPE, text=True) as server:
            try:
                fixed = server.stdout.readline().strip()
                pairs = [(p50(URL), p50(fixed)) for _ in range(PAIRS)]
            finally:
                server.kill()
        ratio = statistics.median(ours / theirs for ours, theirs in pairs)
        ours, theirs = (statistics.median(times) * 1000 for times in zip(*pairs))
        told.detail = f"{ours:.2f} ms to {theirs:.2f} ms, ratio {ratio:.2f} (goal {GOAL}), {PAIRS} pairs"
        expect(f"at most {LIMIT} times ({told.detail})", ratio <= LIMIT, True)


def p50(host):
    """Seconds that half of the calls take, over one connection, after a few that do not count."""
    client = remote(host=host, send=False)
    times = []
    for number in range(CALLS + 20):
        began = time.perf_counter()
        value = client.get_feature_flag("plain", "somebody", send_feature_flag_events=False)
        times.append(time.perf_counter() - began)
        expect("the flag", value, True)
    return statistics.median(times[20:])
