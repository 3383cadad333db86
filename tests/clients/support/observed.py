"""Holds an SDK in a compiled language against the service: the program observes, this judges.

The program has a remote client and one that evaluates locally, the latter through RECORDED_URL and
asking for definitions each second. For each line on stdin it prints a JSON object of what
both say: `{"remote": {…}, "local": {…}}`, each with `plain`, `variant`, `payload` and `group`, and
`remote_config` where the SDK has that. At the end of stdin it sends its events, and ends.
"""

import json
import subprocess

from harness import call, change_flag, expect, make_flag, recorded, request, row, until, TOKEN, URL

EVERYBODY = {"properties": [], "rollout_percentage": 100}
NOBODY = {"properties": [], "rollout_percentage": 0}
PAYLOAD = {"limit": 5}


def judge(*program, conditional, remote_config):
    """Runs a program and prints a row for each capability.

    `conditional`: whether the SDK asks for definitions with If-None-Match; `remote_config`: whether it
    reads remote configurations.
    """
    plain = make_flags()
    process = subprocess.Popen(program, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask():
        process.stdin.write("\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    seen = ask()
    with row("remote evaluation"):
        values(seen["remote"])
    with row("payloads"):
        expect("the remote payload", seen["remote"]["payload"], PAYLOAD)
        expect("the local payload", seen["local"]["payload"], PAYLOAD)
    with row("local evaluation with 304s" if conditional else "local evaluation") as told:
        values(seen["local"])
        if conditional:
            until("a 304", lambda: definitions(304))
        told.detail = f"{len(definitions(200))} whole, {len(definitions(304))} unchanged"
    with row("local evaluation hears of changes"):
        change_flag(plain, filters={"groups": [NOBODY]})
        until("the flag off", lambda: ask()["local"]["plain"] is False)
        expect("remotely", ask()["remote"]["plain"], False)
    if remote_config:
        with row("remote config"):
            expect("the payload", seen["remote_config"], {"color": "blue"})
    with row("$feature_flag_called in the status"):
        expect("the program's end", (process.communicate(timeout=30), process.returncode)[1], 0)
        until("last_called_at", lambda: call("GET", f"feature_flags/{plain['id']}/")["last_called_at"])


def make_flags():
    """The flags that the programs ask for; returns `plain`."""
    request("POST", f"{URL}/batch/", {"api_key": TOKEN, "batch": [{
        "event": "$groupidentify", "distinct_id": "somebody",
        "properties": {"$group_type": "company", "$group_key": "acme", "$group_set": {}},
    }]})
    paying = {"key": "plan", "type": "person", "operator": "exact", "value": ["pro"]}
    make_flag("variant", {
        "groups": [{"properties": [paying], "rollout_percentage": 100}],
        "multivariate": {"variants": [{"key": "blue", "rollout_percentage": 100}]},
        "payloads": {"blue": json.dumps(PAYLOAD)},
    })
    golden = {"key": "tier", "type": "group", "operator": "exact", "value": ["gold"], "group_type_index": 0}
    make_flag("group", {"groups": [{"properties": [golden], "rollout_percentage": 100}],
                        "aggregation_group_type_index": 0})
    make_flag("settings", {"groups": [EVERYBODY], "payloads": {"true": json.dumps({"color": "blue"})}},
              is_remote_configuration=True)
    return make_flag("plain")


def values(said):
    """What holds for somebody with `plan: pro` of the company acme with `tier: gold`."""
    wanted = {"plain": True, "variant": "blue", "group": True}
    expect("the flags", {key: said[key] for key in wanted}, wanted)


def definitions(status):
    """The requests for definitions that were answered so."""
    paths = ("/flags/definitions", "/api/feature_flag/local_evaluation")
    return [exchange for path in paths for exchange in recorded(path, status=status)]
