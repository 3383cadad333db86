import json
import os

import grpc
from flagstaff.v1 import evaluation_service_pb2 as evaluation
from flagstaff.v1 import evaluation_service_pb2_grpc as services

credential = [("authorization", f"Bearer {os.environ['SECRET']}")]
with grpc.insecure_channel("127.0.0.1:8080") as channel:
    service = services.EvaluationServiceStub(channel)
    subject = evaluation.EvaluationSubject(distinct_id="ann", person_properties={"country": "NZ"})
    answer = service.EvaluateFlags(
        evaluation.EvaluateFlagsRequest(subject=subject, flag_keys=["checkout"]),
        metadata=credential, timeout=2,
    )
    flag = answer.flags["checkout"]
    if flag.enabled:
        print("on for ann, with a", json.loads(flag.metadata.payload)["button"], "button")
