"""What a program expects of gRPC beside its calls: typed fields, deadlines, metadata, errors, compression."""

import json
import uuid

import grpc
from flagstaff.v1 import evaluation_service_pb2 as evaluation
from flagstaff.v1 import feature_flag_pb2 as flags
from flagstaff.v1 import feature_flag_service_pb2 as feature_flags
from flagstaff.v1 import filters_pb2 as filters
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from service import PROJECT, Service, new_key

SUBJECTS = 2000


def typed_filters(service):
    """A flag written with the generated types says in JSON what they say."""
    condition = filters.ConditionGroup(rollout_percentage=33.5, variant="blue")
    country = condition.properties.add(
        key="country", type=filters.PROPERTY_TYPE_PERSON, operator=filters.PROPERTY_OPERATOR_EXACT
    )
    country.value.list_value.extend(["AU", "NZ"])
    seats = condition.properties.add(
        key="seats", type=filters.PROPERTY_TYPE_PERSON, operator=filters.PROPERTY_OPERATOR_EXACT
    )
    seats.value.number_value = 12
    variants = [filters.Variant(key=key, rollout_percentage=50) for key in ("blue", "green")]
    written = filters.Filters(groups=[condition], multivariate=filters.Multivariate(variants=variants))
    flag = service.FeatureFlagService.CreateFeatureFlag(feature_flags.CreateFeatureFlagRequest(
        project_id=PROJECT, feature_flag=flags.FeatureFlagInput(key="typed", filters=written),
    )).feature_flag
    assert list(flag.filters.groups) == list(written.groups), flag.filters
    stored = json.loads(flag.filters_json)["groups"][0]
    values = [found["value"] for found in stored["properties"]]
    assert json.dumps(values) == '[["AU", "NZ"], 12]', values
    assert stored["rollout_percentage"] == 33.5
    return "numbers, lists and enums as JSON has them"


def deadline(service):
    """A deadline ends a stream that would go on."""
    watching = evaluation.WatchFlagsRequest(project_id=PROJECT)
    status = refused(lambda: list(service.EvaluationService.WatchFlags(watching, timeout=0.2)))
    assert status.code() == grpc.StatusCode.DEADLINE_EXCEEDED, status
    return status.code().name


def metadata(service):
    """A call's metadata reach the service, and its answer has some of its own."""
    name = str(uuid.uuid4())
    request = evaluation.EvaluateFlagsRequest(project_id=PROJECT, subject={"distinct_id": "ann"})
    answer, call = service.EvaluationService.EvaluateFlags.with_call(request, metadata=[("x-request-id", name)])
    assert answer.request_id == name, answer
    assert "date" in dict(call.initial_metadata()), call.initial_metadata()
    return "x-request-id there and back"


def error_details(service):
    """Errors say what REST says, in the details every language can decode."""
    info, field, _ = details(refused(lambda: service.FeatureFlagService.CreateFeatureFlag(
        feature_flags.CreateFeatureFlagRequest(project_id=PROJECT, feature_flag={"key": "no spaces"}),
    )))
    assert (info.reason, info.domain) == ("invalid_key", "flagstaff"), info
    assert (info.metadata["http_status"], info.metadata["attr"]) == ("400", "key"), info
    assert field.field_violations[0].field == "key" and field.field_violations[0].description, field
    return "ErrorInfo and BadRequest"


def retry_info(service):
    """A throttled caller is told when to come back, in whole seconds."""
    flag = service.FeatureFlagService.CreateFeatureFlag(feature_flags.CreateFeatureFlagRequest(
        project_id=PROJECT, feature_flag={"key": "throttled"},
    )).feature_flag
    request = feature_flags.TestEvaluationRequest(project_id=PROJECT, id=flag.id, distinct_id="nobody")
    with Service(new_key("feature_flag:read")) as throttled:
        for _ in range(241):
            status = refused(lambda: throttled.FeatureFlagService.TestEvaluation(request))
            if status.code() == grpc.StatusCode.RESOURCE_EXHAUSTED:
                info, _, retry = details(status)
                assert info.reason == "throttled" and retry.retry_delay.seconds in range(1, 61), (info, retry)
                assert retry.retry_delay.nanos == 0, retry
                return f"RESOURCE_EXHAUSTED, again in {retry.retry_delay.seconds} s"
            assert status.code() == grpc.StatusCode.NOT_FOUND, status
    raise AssertionError("241 calls of test_evaluation were let through")


def credentials(_service):
    """A key that is none, and one of too small a scope."""
    listing = feature_flags.ListFeatureFlagsRequest(project_id=PROJECT)
    for key, code in (("phx_none", "UNAUTHENTICATED"), (new_key("cohort:read"), "PERMISSION_DENIED")):
        with Service(key) as other:
            status = refused(lambda: other.FeatureFlagService.ListFeatureFlags(listing))
            assert status.code().name == code, status
            assert details(status)[0].metadata["http_status"] in ("401", "403")
    return "UNAUTHENTICATED, PERMISSION_DENIED"


def compression(_service):
    """Requests and answers in gzip."""
    with Service(compression=grpc.Compression.Gzip) as compressed:
        streamed(compressed)
    return f"gzip, {SUBJECTS} subjects"


def streamed(service):
    """Many subjects in one call, answered in order."""
    subjects = [{"distinct_id": f"person-{number}"} for number in range(SUBJECTS)]
    request = evaluation.BatchEvaluateFlagsRequest(project_id=PROJECT, subjects=subjects)
    answers = list(service.EvaluationService.BatchEvaluateFlags(request))
    assert [answer.index for answer in answers] == list(range(SUBJECTS))
    assert all(answer.distinct_id == f"person-{answer.index}" for answer in answers)
    return f"{SUBJECTS} answers in order"


def refused(call):
    """The error of a call that has to fail."""
    try:
        answer = call()
    except grpc.RpcError as error:
        return error
    raise AssertionError(f"OK: {answer}")


def details(error):
    """ErrorInfo, BadRequest and RetryInfo of an error; each None if it has none."""
    kinds = (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo)
    unpacked = dict.fromkeys(kinds)
    for packed in rpc_status.from_call(error).details:
        for kind in kinds:
            if packed.Is(kind.DESCRIPTOR):
                unpacked[kind] = kind()
                packed.Unpack(unpacked[kind])
    return tuple(unpacked.values())
