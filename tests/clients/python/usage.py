"""What applications do with the SDK."""

import json

from harness import (
    KEY, Recording, call, change_flag, evaluate, expect, make_flag, row, until,
)
from sdk import local, locally, remote

HALVES = {
    "groups": [{"properties": [], "rollout_percentage": 80}],
    "multivariate": {"variants": [
        {"key": "blue", "rollout_percentage": 50}, {"key": "green", "rollout_percentage": 50}]},
    "payloads": {"blue": json.dumps({"hex": "#00f"}), "green": json.dumps([1, 2.5, None])},
}
PEOPLE = [f"person-{number}" for number in range(40)]


def on_for(key, value, **condition):
    """Filters of a flag that is on where a property has this value."""
    wanted = {"key": key, "type": "person", "operator": "exact", "value": [value]} | condition
    return {"groups": [{"properties": [wanted], "rollout_percentage": 100}]}


def remote_evaluation():
    make_flag("plain")
    make_flag("by-plan", on_for("plan", "pro"))
    with row("remote evaluation"):
        client, seen = remote(), Recording()
        expect("plain", client.get_feature_flag("plain", "somebody"), True)
        asked = {"person_properties": {"plan": "pro"}}
        expect("with the property", client.feature_enabled("by-plan", "somebody", **asked), True)
        expect("without it", client.feature_enabled("by-plan", "somebody"), False)
        flags = client.evaluate_flags("somebody", person_properties={"plan": "pro"})
        expect("all at once", (flags.is_enabled("plain"), flags.get_flag("by-plan")), (True, True))
        expect("statuses", seen.statuses("/flags/?v=4"), [200] * 4)
        expect("a flag that is not there", client.get_feature_flag("absent", "somebody"), None)


def variants_and_payloads():
    flag = make_flag("button", HALVES)
    with row("variants and payloads") as told:
        client = remote()
        values = {}
        for person in PEOPLE:
            ours = evaluate(person)["button"]
            result = client.get_feature_flag_result("button", person)
            expect(person, result.get_value(), ours["variant"] or ours["enabled"])
            payload = flag["filters"]["payloads"].get(ours["variant"])
            expect(f"payload of {person}", result.payload, payload and json.loads(payload))
            values[result.get_value()] = values.get(result.get_value(), 0) + 1
        expect("values seen", sorted(values, key=str), [False, "blue", "green"])
        told.detail = ", ".join(f"{count} {value}" for value, count in values.items())
    with row("variants and payloads, locally"):
        client = local()
        for person in PEOPLE:
            ours = evaluate(person)["button"]
            result = client.get_feature_flag_result("button", person, only_evaluate_locally=True)
            expect(person, result.get_value(), ours["variant"] or ours["enabled"])
            payload = flag["filters"]["payloads"].get(ours["variant"])
            expect(f"payload of {person}", result.payload, payload and json.loads(payload))


def local_evaluation():
    flag = make_flag("flipped")
    with row("local evaluation with 304s"):
        seen = Recording()
        client = local()
        client.load_feature_flags()
        client.load_feature_flags()
        expect("statuses", seen.statuses("/flags/definitions"), [200, 304, 304])
        asked = [exchange["request_headers"].get("if-none-match") for exchange in seen.exchanges("/flags/definitions")]
        etag = seen.exchanges("/flags/definitions")[0]["response_headers"]["etag"]
        expect("sent", asked, [None, etag, etag])
        expect("the flag", locally(client, "flipped"), True)
        expect("evaluations asked for", seen.statuses("/flags/?"), [])
    with row("a flip is seen by local evaluation after a reload"):
        seen = Recording()
        change_flag(flag, filters={"groups": [{"properties": [], "rollout_percentage": 0}]})
        expect("before the reload", locally(client, "flipped"), True)
        client.load_feature_flags()
        expect("after it", locally(client, "flipped"), False)
        expect("statuses", seen.statuses("/flags/definitions"), [200])


def remote_config():
    filters = {"groups": [{"properties": [], "rollout_percentage": 100}], "payloads": {"true": '{"limit": 5}'}}
    make_flag("config", filters, is_remote_configuration=True)
    make_flag("sealed", filters, is_remote_configuration=True, has_encrypted_payloads=True)
    with row("remote config, encrypted too"):
        for secret, sealed in ((KEY, '{"limit": 5}'), (None, '"********* (encrypted)"')):
            client = local(secret) if secret else local()
            expect("plain", client.get_remote_config_payload("config"), '{"limit": 5}')
            expect("encrypted", client.get_remote_config_payload("sealed"), sealed)
            expect("absent", client.get_remote_config_payload("absent"), None)


def groups():
    with row("group flags, by stored and by given properties"):
        client = remote()
        client.group_identify("company", "acme", {"plan": "pro"}, distinct_id="somebody")
        client.flush()
        filters = on_for("plan", "pro", type="group", group_type_index=0)
        make_flag("by-company", filters | {"aggregation_group_type_index": 0})
        expect("stored", client.get_feature_flag("by-company", "somebody", groups={"company": "acme"}), True)
        expect("another", client.get_feature_flag("by-company", "somebody", groups={"company": "other"}), False)
        client = local()
        for plan, wanted in (("pro", True), ("free", False)):
            given = {"groups": {"company": "acme"}, "group_properties": {"company": {"plan": plan}}}
            expect(f"locally, {plan}", locally(client, "by-company", **given), wanted)
        expect("locally, without a group", locally(client, "by-company"), False)


def calls():
    long_ago = {"created_at": "2020-01-01T00:00:00Z"}
    flag = make_flag("called", HALVES | {"groups": [{"properties": [], "rollout_percentage": 100}]}, **long_ago)
    unused = make_flag("forgotten", **long_ago)
    with row("$feature_flag_called is seen in the status"):
        status = call("GET", f"feature_flags/{unused['id']}/status/")["status"]
        expect("status of a flag that nobody calls", status, "stale")
        client = remote()
        counts = {}
        for person in PEOPLE[:10]:
            value = client.get_feature_flag("called", person)
            # The same answer for the same person is told once.
            client.get_feature_flag("called", person)
            counts[value] = counts.get(value, 0) + 1
        client.get_feature_flag("forgotten", "somebody")
        client.flush()
        shown = until("the call is counted", lambda: call("GET", f"feature_flags/{flag['id']}/")["last_called_at"])
        expect("last called", shown > flag["created_at"], True)
        until("a called flag is active",
              lambda: call("GET", f"feature_flags/{unused['id']}/status/")["status"] == "active")
    with row("$feature_flag_called is seen in the dashboard's tiles") as told:
        dashboard = until("it has a dashboard", lambda: call("GET", f"feature_flags/{flag['id']}/")["usage_dashboard"])
        until(f"its tiles count {counts}", lambda: tile_totals(dashboard) == [counts, counts])
        told.detail = ", ".join(f"{count} {value}" for value, count in counts.items())


def tile_totals(dashboard):
    """What each tile of a usage dashboard adds up to, by variant."""
    tiles = call("GET", f"dashboards/{dashboard}/?date_from=-7d")["tiles"]
    results = [tile["insight"]["result"]["series"] for tile in tiles]
    return [{series["label"]: sum(series["data"]) for series in result} for result in results]


def people():
    make_flag("by-city", on_for("city", "Perth"))
    make_flag("by-team", on_for("team", "red"))
    with row("set and alias move answers"):
        client = remote()
        client.set(distinct_id="visitor", properties={"city": "Perth"})
        client.set(distinct_id="member", properties={"team": "red"})
        client.flush()
        answers = [client.get_all_flags(person) for person in ("visitor", "member")]
        answers = [(flags["by-city"], flags["by-team"]) for flags in answers]
        expect("before", answers, [(True, False), (False, True)])
        client.alias("member", "visitor")
        client.flush()
        answers = [client.get_all_flags(person) for person in ("visitor", "member")]
        answers = [(flags["by-city"], flags["by-team"]) for flags in answers]
        expect("after", answers, [(True, True), (True, True)])


def event_endpoints():
    make_flag("by-size", on_for("size", "large"))
    ways = {"plain": {}, "gzip": {"gzip": True}, "v1": {"capture_mode": "v1"},
            "v1, gzip": {"capture_mode": "v1", "capture_compression": "gzip"}}
    with row("events by every endpoint and packing") as told:
        paths = []
        for way, options in ways.items():
            client, seen = remote(**options), Recording()
            client.set(distinct_id=f"sender, {way}", properties={"size": "large"})
            client.flush()
            sent = seen.exchanges(method="POST")
            expect(f"{way}: statuses", [exchange["status"] for exchange in sent], [200])
            packed = sent[0]["request_headers"].get("content-encoding")
            expect(f"{way}: packed", packed, "gzip" if "gzip" in way else None)
            expect(f"{way}: the answer", client.get_feature_flag("by-size", f"sender, {way}"), True)
            paths.append(sent[0]["path"])
        told.detail = ", ".join(dict.fromkeys(paths))
