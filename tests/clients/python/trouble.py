"""What the SDK does when it is refused, or when the service is away."""

import json

from harness import (
    PROJECT, TOKEN, URL, Recording, Refused, check_courtesy, control, evaluate, expect, flagstaff, make_flag,
    request, row, until,
)
from sdk import local, locally, remote


def new_key(label):
    """A personal key of this project, to use up or to take back."""
    scopes = ("--scopes", "feature_flag:read", "--project", PROJECT, "--label", label)
    key = flagstaff("keys", "create", *scopes).strip()
    until("the service knows the key", lambda: definitions(key) == 200)
    return key


def definitions(key):
    """The status of the definitions for a key."""
    try:
        request("GET", f"{URL}/flags/definitions?token={TOKEN}", headers={"authorization": f"Bearer {key}"})
    except Refused as refused:
        return refused.status
    return 200


def wrong_token():
    make_flag("steady")
    with row("wrong token: no flags, no retry, events given up"):
        errors, seen = [], Recording()
        client = remote("phc_nobodys", on_error=lambda error, batch: errors.append(error.status))
        expect("the flag", client.get_feature_flag("steady", "somebody"), None)
        expect("asked", seen.statuses("/flags/"), [401])
        client.capture("anything", distinct_id="somebody")
        client.flush()
        expect("sent", seen.statuses("/batch/"), [401])
        expect("told to the application", errors, [401])


def revoked_key():
    with row("revoked key: local flags are dropped, remote answers go on"):
        label = f"to be revoked, {PROJECT}"
        key = new_key(label)
        client, seen = local(key), Recording()
        expect("before", locally(client, "steady"), True)
        keys = json.loads(flagstaff("keys", "list"))
        flagstaff("keys", "revoke", str(next(one["id"] for one in keys if one["label"] == label)))
        until("the service refuses the key", lambda: definitions(key) == 401)
        client.load_feature_flags()
        expect("statuses", seen.statuses("/flags/definitions"), [401])
        expect("locally", locally(client, "steady"), None)
        expect("remotely", client.get_feature_flag("steady", "somebody"), True)


def wrong_project():
    with row("another project's secret: no definitions, remote answers go on"):
        other = json.loads(flagstaff("projects", "create", "--name", "other"))
        until("the service knows it", lambda: definitions(other["secret_api_token"]) == 403)
        seen = Recording()
        client = local(other["secret_api_token"])
        expect("statuses", seen.statuses("/flags/definitions"), [403])
        expect("locally", locally(client, "steady"), None)
        expect("remotely", client.get_feature_flag("steady", "somebody"), True)


def oversized_batch():
    with row("oversized batch: refused with 413, given up, the next one arrives"):
        errors, seen = [], Recording()
        client = remote(on_error=lambda error, batch: errors.append((error.status, len(batch))))
        for number in range(4):
            client.capture("large", distinct_id="somebody", properties={"text": "x" * 800_000, "number": number})
        client.flush()
        expect("sent", seen.statuses("/batch/"), [413])
        expect("told to the application", errors, [(413, 4)])
        client.capture("small", distinct_id="somebody")
        client.flush()
        expect("the next", seen.statuses("/batch/"), [413, 200])


def rate_limit():
    with row("rate limited definitions: 429 with whole seconds, flags kept") as told:
        key = new_key("to be used up")
        client, seen = local(key), Recording()
        while definitions(key) == 200:
            pass
        client.load_feature_flags()
        refused = seen.exchanges("/flags/definitions")
        expect("statuses", [exchange["status"] for exchange in refused], [429])
        wait = refused[0]["response_headers"]["retry-after"]
        expect("whole seconds", wait.isdigit() and 0 < int(wait) <= 60, True)
        expect("locally", locally(client, "steady"), True)
        told.detail = f"Retry-After: {wait}"


def restart():
    with row("restarting service: local flags and the last remote answers are kept, one retry"):
        keeping, cached = local(), remote(flag_fallback_cache_url="memory://local/?ttl=300&size=100")
        expect("before", cached.get_feature_flag("steady", "somebody"), True)
        control("stop")
        try:
            seen = Recording()
            keeping.load_feature_flags()
            expect("definitions", set(seen.statuses("/flags/definitions")), {0})
            expect("locally", locally(keeping, "steady"), True)
            expect("the last remote answer", cached.get_feature_flag("steady", "somebody"), True)
            expect("nobody's", cached.get_feature_flag("steady", "somebody else"), None)
            tries = [exchange["at"] for exchange in seen.exchanges("/flags/?")]
            expect("tries", len(tries), 4)
            expect("back-off of 0.3 s", [tries[n + 1] - tries[n] >= 0.3 for n in (0, 2)], [True, True])
        finally:
            control("start")
        expect("again", remote().get_feature_flag("steady", "somebody else"), True)
        keeping.load_feature_flags()
        expect("definitions again", seen.statuses("/flags/definitions")[-1], 304)


def queued_events():
    make_flag("by-patience", {"groups": [{"rollout_percentage": 100, "properties": [
        {"key": "patience", "type": "person", "operator": "exact", "value": ["long"]}]}]})
    with row("restarting service: events are retried with back-off and arrive once") as told:
        control("stop")
        seen = Recording()
        try:
            client = remote(flush_at=1, max_retries=6)
            client.set(distinct_id="waiting", properties={"patience": "long"})
            until("a second try", lambda: len(seen.exchanges("/batch/")) >= 2)
        finally:
            control("start")
        until("the events arrived", lambda: seen.statuses("/batch/")[-1] == 200)
        tries = [exchange["at"] for exchange in seen.exchanges("/batch/")]
        waits = [later - earlier for earlier, later in zip(tries, tries[1:])]
        expect("waits double", all(wait >= 2**n for n, wait in enumerate(waits)), True)
        expect("the answer", evaluate("waiting")["by-patience"]["enabled"], True)
        told.detail = "waits " + ", ".join(f"{wait:.1f} s" for wait in waits)


def courtesy():
    with row("never 402, Retry-After in whole seconds") as told:
        seen, waits = check_courtesy()
        expect("a Retry-After was seen", waits > 0, True)
        told.detail = f"{seen} answers, {waits} with Retry-After"
