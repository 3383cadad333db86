"""Calls every RPC: the steps of ../stubs/walk.json, through the generated messages and stubs.

A step gives a request as protobuf JSON. `$name` stands for what an earlier step kept of its answer;
an answer is held against paths of it, where `*` is anything that is not empty.
"""

import json
import pathlib

import grpc
from google.protobuf import json_format, message_factory

from service import PACKAGE, PROJECT

STEPS = json.loads((pathlib.Path(__file__).parent / "../stubs/walk.json").read_text())["steps"]


def walk(service):
    """Takes all steps, and returns how many RPCs they called, if that is all there are."""
    kept = {"$project": PROJECT}
    for number, step in enumerate(STEPS, 1):
        try:
            take(service, step, kept)
        except (AssertionError, grpc.RpcError) as error:
            told = f"{error.code().name}: {error.details()}" if isinstance(error, grpc.RpcError) else error
            raise AssertionError(f"step {number}, {step['call']}: {told}") from error
    missing = {name for name in service.methods if path(name) not in service.credential.called}
    assert not missing, f"not called: {', '.join(sorted(missing))}"
    return f"{len(service.methods)} of {len(service.methods)}, in {len(STEPS)} calls"


def take(service, step, kept):
    try:
        answer = call(service, step, filled(step.get("request", {}), kept))
    except grpc.RpcError as error:
        if error.code().name != step.get("code"):
            raise
        return
    assert "code" not in step, f"OK, not {step['code']}"
    for name, place in step.get("keep", {}).items():
        kept["$" + name] = text(found(answer, place))
    for place, wanted in filled(step.get("answer", {}), kept).items():
        value = found(answer, place)
        assert value if wanted == "*" else text(value) == text(wanted), f"{place} is {value!r}, not {wanted!r}"


def call(service, step, body):
    method = service.methods[step["call"]]
    request = json_format.ParseDict({"project_id": PROJECT} | body, message_factory.GetMessageClass(method.input_type)(),
                                    ignore_unknown_fields="project_id" not in method.input_type.fields_by_name)
    owner, name = step["call"].split(".")
    answer = getattr(getattr(service, owner), name)(request, timeout=20)
    if not method.server_streaming:
        return as_json(answer)
    messages = []
    for message in answer:
        messages.append(as_json(message))
        if len(messages) == step.get("messages"):
            answer.cancel()
            break
    return {"messages": messages}


def path(name):
    return f"/{PACKAGE}.{name.replace('.', '/')}"


def as_json(message):
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def filled(value, kept):
    """The same JSON with `$name`, alone or as a part of a path, replaced by what was kept."""
    if isinstance(value, dict):
        return {filled(key, kept): filled(inner, kept) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, kept) for inner in value]
    if isinstance(value, str):
        # Those that begin with `$` and were never kept are names of events and properties.
        return ".".join(kept.get(part, part) for part in value.split("."))
    return value


def found(answer, place):
    for part in place.split("."):
        assert answer is not None, f"{place} is missing"
        answer = answer[int(part)] if isinstance(answer, list) and int(part) < len(answer) else (
            answer.get(part) if isinstance(answer, dict) else None)
    return answer


def text(value):
    return value if isinstance(value, str) else json.dumps(value)
