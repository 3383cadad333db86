"""Follows a project through WatchFlags, and through a restart of the service."""

import grpc
from flagstaff.v1 import evaluation_service_pb2 as evaluation
from flagstaff.v1 import feature_flag_service_pb2 as feature_flags

from service import PROJECT, control


class Follower:
    """Holds a project's flags, by key, and the revision they are at."""

    def __init__(self, service):
        self.service, self.flags, self.revision = service, {}, None
        self.pending, self.kinds, self.stream = {}, [], None
        self.connect()

    def connect(self):
        request = evaluation.WatchFlagsRequest(project_id=PROJECT, from_revision=self.revision)
        self.stream = self.service.EvaluationService.WatchFlags(request, timeout=60, wait_for_ready=True)

    def follow(self, until):
        """Reads events until a condition holds, through as many streams as it takes."""
        while not until(self.flags):
            try:
                event = next(self.stream)
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise
                self.kinds.append("reconnected")
                self.connect()
                continue
            self.take(event)

    def take(self, event):
        kind = event.WhichOneof("event")
        self.kinds.append(kind)
        if kind == "snapshot":
            self.pending |= {flag.key: flag.active for flag in event.snapshot.definitions.flags}
            if event.snapshot.has_more:
                return
            self.flags, self.pending = self.pending, {}
        elif kind == "delta":
            for flag in event.delta.removed:
                self.flags.pop(flag.key, None)
            self.flags |= {flag.key: flag.active for flag in event.delta.upserted}
        self.revision = event.revision


def watch(service):
    """A snapshot first, then what changes."""
    flag = create(service, "watched")
    follower = Follower(service)
    follower.follow(lambda flags: "watched" in flags)
    assert follower.kinds[0] == "snapshot", follower.kinds
    service.FeatureFlagService.DisableFeatureFlag(
        feature_flags.DisableFeatureFlagRequest(project_id=PROJECT, id=flag.id))
    follower.follow(lambda flags: flags["watched"] is False)
    service.FeatureFlagService.DeleteFeatureFlag(
        feature_flags.DeleteFeatureFlagRequest(project_id=PROJECT, id=flag.id))
    follower.follow(lambda flags: "watched" not in flags)
    follower.stream.cancel()
    assert set(follower.kinds) <= {"snapshot", "delta", "heartbeat"}, follower.kinds
    return "a change and a removal, as deltas"


def restart(service):
    """The service stops and starts again; what changed while nobody listened comes as a delta."""
    follower = Follower(service)
    before = create(service, "before-restart")
    follower.follow(lambda flags: before.key in flags)
    follower.kinds.clear()
    control("/restart")
    create(service, "after-restart")
    follower.follow(lambda flags: "after-restart" in flags)
    follower.stream.cancel()
    assert "reconnected" in follower.kinds and "shutdown" in follower.kinds, follower.kinds
    assert "snapshot" not in follower.kinds and before.key in follower.flags, follower.kinds
    return "a shutdown notice, UNAVAILABLE, then the delta that was missed"


def create(service, key):
    request = feature_flags.CreateFeatureFlagRequest(project_id=PROJECT, feature_flag={"key": key})
    return service.FeatureFlagService.CreateFeatureFlag(request, wait_for_ready=True).feature_flag
