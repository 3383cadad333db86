"""What the Python programs under tests/clients share: rows, the management API, and the runner.

The runner puts this folder on PYTHONPATH. Needs nothing but the standard library.
"""

import contextlib
import json
import os
import sys
import time
import traceback
import urllib.error
import urllib.request

URL = os.environ["FLAGSTAFF_URL"]
RECORDED_URL = os.environ["FLAGSTAFF_RECORDED_URL"]
PROJECT = os.environ["FLAGSTAFF_PROJECT"]
TOKEN = os.environ["FLAGSTAFF_TOKEN"]
SECRET = os.environ["FLAGSTAFF_SECRET"]
KEY = os.environ["FLAGSTAFF_KEY"]
CONTROL = os.environ["FLAGSTAFF_CONTROL"]

# The service is on this machine, whatever proxy the environment names.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Refused(Exception):
    """The service, or the runner, answered with an error."""

    def __init__(self, method, path, status, body):
        super().__init__(f"{method} {path}: {status} {body[:500]}")
        self.status, self.body = status, body


class Row:
    """A row in the making: `detail` is shown behind its name."""

    detail = ""


@contextlib.contextmanager
def row(capability):
    """Prints a row when the block is done: `ok`, or `fail` with what was raised, and goes on."""
    made = Row()
    try:
        yield made
    except Exception as error:  # noqa: BLE001: whatever it was, it is the row's failure
        traceback.print_exc(file=sys.stderr)
        told = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"{capability}\tfail\t{told[:600]}", flush=True)
    else:
        print(f"{capability}\tok\t{made.detail}", flush=True)


def expect(what, found, wanted):
    """Raises unless the two are equal."""
    if found != wanted:
        raise AssertionError(f"{what}: {found!r}, not {wanted!r}")


def until(what, condition, seconds=15):
    """Waits until the condition is true, and returns what it gave; raises if it does not come."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not after {seconds} s: {what}")
        time.sleep(0.02)


def call(method, path, body=None, key=KEY):
    """Sends JSON to the management API under the project; the answer's JSON."""
    return request(method, f"{URL}/api/projects/{PROJECT}/{path}", body, {"authorization": f"Bearer {key}"})


def make_flag(key, filters=None, **fields):
    """Creates a flag; it is on for everybody unless the filters say otherwise."""
    filters = filters or {"groups": [{"properties": [], "rollout_percentage": 100}]}
    return call("POST", "feature_flags/", {"key": key, "filters": filters} | fields)


def change_flag(flag, **fields):
    """Changes a flag that `make_flag` returned."""
    return call("PATCH", f"feature_flags/{flag['id']}/", fields)


def evaluate(distinct_id, **fields):
    """What `POST /flags?v=2` says of somebody, by flag key."""
    body = {"token": TOKEN, "distinct_id": distinct_id} | fields
    return request("POST", f"{URL}/flags?v=2", body)["flags"]


def control(action):
    """`stop`, `start` or `restart` for the service; done when it returns."""
    request("POST", f"{CONTROL}/{action}")


def flagstaff(*arguments):
    """What the service's command line prints, on the service's database."""
    return request("POST", f"{CONTROL}/flagstaff", list(arguments), parse=False)


def recorded(path="", **wanted):
    """The exchanges that went through RECORDED_URL whose path starts so; `wanted` narrows by field."""
    exchanges = request("GET", f"{CONTROL}/recorded")
    return [
        exchange for exchange in exchanges
        if exchange["path"].startswith(path) and all(exchange[name] == value for name, value in wanted.items())
    ]


def forget_recorded():
    """Makes the recorder start anew."""
    request("DELETE", f"{CONTROL}/recorded")


def request(method, url, body=None, headers=None, parse=True):
    """Sends a JSON body if there is one; the answer as JSON, as text if `parse` is false."""
    sent = urllib.request.Request(url, method=method, headers=headers or {})
    if body is not None:
        sent.add_header("content-type", "application/json")
        sent.data = json.dumps(body).encode()
    try:
        with _DIRECT.open(sent, timeout=60) as answer:
            text = answer.read().decode()
    except urllib.error.HTTPError as error:
        raise Refused(method, url, error.code, error.read().decode(errors="replace")) from None
    return json.loads(text) if parse and text else text
