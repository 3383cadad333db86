"""The service, as a program with generated stubs reaches it: one channel, the key in each call's metadata."""

import importlib
import json
import os
import pathlib
import urllib.request

import grpc

PACKAGE = "flagstaff.v1"
MODULES = (
    "feature_flag_service", "evaluation_service", "directory_service", "ingest_service", "project_service",
)
PROJECT = os.environ["FLAGSTAFF_PROJECT"]
ADDRESS = os.environ["FLAGSTAFF_GRPC"]


class Credential(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """Sends a key with each call, and keeps the names of the methods that were called."""

    def __init__(self, key):
        self.key, self.called = key, set()

    def intercept_unary_unary(self, continuation, details, request):
        return continuation(self.with_key(details), request)

    def intercept_unary_stream(self, continuation, details, request):
        return continuation(self.with_key(details), request)

    def with_key(self, details):
        self.called.add(details.method)
        metadata = list(details.metadata or ()) + [("authorization", f"Bearer {self.key}")]
        return details._replace(metadata=metadata)


class Service:
    """Stubs of all services over one channel; `service.EvaluationService.EvaluateFlags(…)`."""

    def __init__(self, key=os.environ["FLAGSTAFF_KEY"], **settings):
        self.credential = Credential(key)
        self.channel = grpc.intercept_channel(channel(**settings), self.credential)
        self.methods = {}
        for module in MODULES:
            messages = importlib.import_module(f"flagstaff.v1.{module}_pb2")
            stubs = importlib.import_module(f"flagstaff.v1.{module}_pb2_grpc")
            for name, described in messages.DESCRIPTOR.services_by_name.items():
                setattr(self, name, getattr(stubs, f"{name}Stub")(self.channel))
                self.methods |= {f"{name}.{method.name}": method for method in described.methods}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()


def channel(**settings):
    """In clear, or in TLS where FLAGSTAFF_ROOTS names a certificate."""
    roots = os.environ.get("FLAGSTAFF_ROOTS")
    if not roots:
        return grpc.insecure_channel(ADDRESS, **settings)
    return grpc.secure_channel(ADDRESS, grpc.ssl_channel_credentials(pathlib.Path(roots).read_bytes()), **settings)


def control(path, body=None):
    """Asks the runner for something: `/restart` of the service, or a command of its binary."""
    data = json.dumps(body).encode() if body is not None else b""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(os.environ["FLAGSTAFF_CONTROL"] + path, data, timeout=60) as answer:
        return answer.read().decode()


def new_key(scopes):
    """A personal API key of this project alone, by the command line."""
    words = ["keys", "create", "--project", PROJECT, "--scopes", scopes]
    return control("/flagstaff", words).strip().splitlines()[-1]
