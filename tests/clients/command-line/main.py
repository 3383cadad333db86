"""grpcurl, and buf curl over gRPC and gRPC-web: they know nothing of the service but what reflection tells."""

import base64
import json
import os
import subprocess
import sys
import traceback

import quickstart

ADDRESS, URL = os.environ["FLAGSTAFF_GRPC"], os.environ["FLAGSTAFF_URL"]
PROJECT, KEY = os.environ["FLAGSTAFF_PROJECT"], os.environ["FLAGSTAFF_KEY"]
SERVICES = {
    f"flagstaff.v1.{name}Service" for name in ("FeatureFlag", "Evaluation", "Directory", "Ingest", "Project")
} | {"grpc.health.v1.Health"}
FLAGS = "flagstaff.v1.FeatureFlagService"


class Refused(Exception):
    """The program ended with an error; the message is what it printed of it."""


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    if done.returncode:
        raise Refused(done.stderr + done.stdout)
    return done.stdout


def grpcurl(*words):
    return run("grpcurl", "-plaintext", "-H", f"authorization: Bearer {KEY}", *words)


def grpcurl_list():
    """Both versions of reflection, which grpcurl tries in turn, list the services."""
    listed = set(grpcurl(ADDRESS, "list").split())
    assert SERVICES <= listed, listed
    methods = grpcurl(ADDRESS, "list", FLAGS).split()
    assert f"{FLAGS}.CreateFeatureFlag" in methods, methods
    return f"{len(listed)} services"


def grpcurl_describe():
    """A method and a message, with the comments' REST paths."""
    told = grpcurl(ADDRESS, "describe", f"{FLAGS}.GetFeatureFlag")
    assert "/api/projects/{project_id}/feature_flags/{id}" in told, told
    told = grpcurl(ADDRESS, "describe", "flagstaff.v1.FeatureFlagInput")
    assert "filters_json" in told, told
    return "a method with its REST path, a message"


def grpcurl_call():
    """A flag made with enums and lists, as a person would write them."""
    flag = {"key": "by-grpcurl", "filters": {"groups": [{"properties": [{
        "key": "country", "type": "PROPERTY_TYPE_PERSON", "operator": "PROPERTY_OPERATOR_EXACT", "value": ["AU", "NZ"],
    }], "rollout_percentage": 100}]}}
    body = json.dumps({"project_id": PROJECT, "feature_flag": flag})
    made = json.loads(grpcurl("-d", body, ADDRESS, f"{FLAGS}/CreateFeatureFlag"))
    assert made["featureFlag"]["key"] == "by-grpcurl", made
    body = json.dumps({"project_id": PROJECT, "subjects": [
        {"distinct_id": "a", "person_properties": {"country": "NZ"}}, {"distinct_id": "b"},
    ]})
    answers = grpcurl("-d", body, ADDRESS, "flagstaff.v1.EvaluationService/BatchEvaluateFlags")
    enabled = [answer["flags"]["by-grpcurl"].get("enabled", False) for answer in documents(answers)]
    assert enabled == [True, False], answers
    return "a call, and a stream"


def grpcurl_error():
    """An error shows its details in words."""
    told = refusal(lambda: grpcurl("-d", wrong_flag(), ADDRESS, f"{FLAGS}/CreateFeatureFlag"))
    for part in ("InvalidArgument", "google.rpc.ErrorInfo", '"reason": "invalid_key"', "google.rpc.BadRequest", '"field": "key"'):
        assert part in told, told
    return "ErrorInfo and BadRequest, decoded"


def grpcurl_credential():
    told = refusal(lambda: run("grpcurl", "-plaintext", ADDRESS, f"{FLAGS}/ListFeatureFlags"))
    assert "Unauthenticated" in told, told
    return "Unauthenticated without a key"


def grpcurl_health():
    answer = json.loads(run("grpcurl", "-plaintext", ADDRESS, "grpc.health.v1.Health/Check"))
    assert answer == {"status": "SERVING"}, answer
    return "SERVING, without a key"


def buf(protocol, *words):
    return run("buf", "curl", "--http2-prior-knowledge", "--protocol", protocol,
               "--header", f"authorization: Bearer {KEY}", *words)


def buf_list(protocol):
    listed = set(buf(protocol, "--list-services", URL).split())
    assert SERVICES <= listed, listed
    methods = buf(protocol, "--list-methods", URL)
    assert f"{FLAGS}/CreateFeatureFlag" in methods, methods
    return f"{len(listed)} services"


def buf_call(protocol):
    body = json.dumps({"project_id": PROJECT, "feature_flag": {"key": f"by-buf-{protocol}"}})
    made = json.loads(buf(protocol, "--data", body, f"{URL}/{FLAGS}/CreateFeatureFlag"))
    assert made["featureFlag"]["key"] == f"by-buf-{protocol}", made
    body = json.dumps({"project_id": PROJECT, "subjects": [{"distinct_id": name} for name in "ab"]})
    answers = documents(buf(protocol, "--data", body, f"{URL}/flagstaff.v1.EvaluationService/BatchEvaluateFlags"))
    assert [answer["distinctId"] for answer in answers] == ["a", "b"], answers
    return "a call, and a stream"


def buf_error(protocol):
    told = json.loads(refusal(lambda: buf(protocol, "--data", wrong_flag(), f"{URL}/{FLAGS}/CreateFeatureFlag")))
    assert told["code"] == "invalid_argument", told
    # buf decodes the details that it knows itself; others it gives as they are, in base64.
    kinds = {detail["type"]: base64.b64decode(detail["value"] + "==") for detail in told["details"]}
    assert b"invalid_key" in kinds["google.rpc.ErrorInfo"], told
    assert b"hyphens" in kinds["google.rpc.BadRequest"], told
    return "ErrorInfo and BadRequest"


def wrong_flag():
    return json.dumps({"project_id": PROJECT, "feature_flag": {"key": "no spaces"}})


def refusal(call):
    try:
        answer = call()
    except Refused as refused:
        return str(refused)
    raise AssertionError(f"OK: {answer}")


def documents(text):
    """JSON documents that follow each other."""
    decoder, found, text = json.JSONDecoder(), [], text.strip()
    while text:
        document, end = decoder.raw_decode(text)
        found.append(document)
        text = text[end:].lstrip()
    return found


CAPABILITIES = [
    ("grpcurl: list", grpcurl_list), ("grpcurl: describe", grpcurl_describe), ("grpcurl: call", grpcurl_call),
    ("grpcurl: error details", grpcurl_error), ("grpcurl: credential", grpcurl_credential),
    ("grpcurl: health", grpcurl_health),
] + [
    (f"buf curl, {protocol}: {name}", lambda check=check, protocol=protocol: check(protocol))
    for protocol in ("grpc", "grpcweb")
    for name, check in (("list", buf_list), ("call", buf_call), ("error details", buf_error))
]


def main():
    quickstart.follow("grpcurl", '"enabled": true', ["grpcurl.sh"], ["bash", "-e", "grpcurl.sh"])
    for capability, check in CAPABILITIES:
        try:
            outcome, told = "ok", check()
        except Exception as error:  # Whatever it is, the others have their turn.
            traceback.print_exc(file=sys.stderr)
            outcome, told = "fail", " ".join(str(error).split())
        print(f"{capability}\t{outcome}\t{told}", flush=True)


main()
