"""Holds local evaluation in PostHog's SDKs against the service's own.

Makes a random project of the seed in FLAGSTAFF_SEED, asks the service about random people,
lets each SDK load the definitions and evaluate the same people by itself, and compares.
Prints a row for each SDK and matching version, which fails if anything is unexplained.
"""

import collections
import json
import os
import subprocess
import sys

from explained import explanation
from generate import Generator
from service import Refused, Service

FLAGS, COHORTS, PEOPLE = 220, 10, 120
SHOWN = 5
ROOT = os.environ["CLIENT_ROOT"]
SDKS = {
    "python": ([f"{ROOT}/bin/python", "local_python.py"], {}),
    "node": (["node", "local_node.cjs"], {"NODE_PATH": f"{ROOT}/node_modules"}),
}


class Project:
    """A random project that is in the service."""

    def __init__(self, service, generator):
        self.service = service
        self.group_names = self.group_types()
        self.cohorts = {}
        for number in range(COHORTS):
            filters = generator.cohort(list(self.cohorts))
            made = service.call("POST", "cohorts/", {"name": f"cohort {number}", "filters": filters})
            self.cohorts[made["id"]] = filters
        self.flags, readable = {}, []
        for number in range(FLAGS):
            flag = generator.flag(f"flag-{number}", list(self.cohorts), readable, len(self.group_names))
            made = service.call("POST", "feature_flags/", flag)
            self.flags[made["id"]] = flag
            if flag["active"] and "aggregation_group_type_index" not in flag["filters"]:
                readable.append((made["id"], "multivariate" in flag["filters"]))
        self.by_key = {flag["key"]: flag for flag in self.flags.values()}

    def group_types(self):
        """Two group types, made by events as applications make them; names in the order of their indexes."""
        events = [
            {"event": "$groupidentify", "distinct_id": "someone", "properties":
                {"$group_type": name, "$group_key": "first", "$group_set": {}}}
            for name in ("company", "team")
        ]
        self.service.send("POST", "/batch/", {"api_key": self.service.token, "batch": events})
        mapping = self.service.definitions()["group_type_mapping"]
        return [mapping[index] for index in sorted(mapping)]


def local_values(name, people, service):
    """What an SDK decides about each person, in a process of its own that asks the service nothing."""
    command, environment = SDKS[name]
    process = subprocess.Popen(
        command, env=os.environ | environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    loaded = int(process.stdout.readline() or 0)
    before = service.requests_answered()
    output, _ = process.communicate("".join(json.dumps(person) + "\n" for person in people), timeout=300)
    asked = service.requests_answered() - before
    values = [json.loads(line) for line in output.splitlines()]
    if process.returncode or len(values) != len(people):
        raise Refused(f"the client ended with {process.returncode} after {len(values)} people")
    if asked:
        raise Refused(f"the client asked the service {asked} times while it evaluated")
    return loaded, values


def differences(name, project, people, remote, local):
    """Counts of decided pairs and of explanations, and the pairs that nothing explains."""
    decided, explained, unexplained = 0, collections.Counter(), []
    for person, theirs, ours in zip(people, local, remote):
        for key, value in theirs.items():
            decided += 1
            if value == ours.get(key):
                continue
            reason = explanation(project.by_key[key], person, project, name)
            if reason:
                explained[reason] += 1
            else:
                unexplained.append((key, value, ours.get(key), project.by_key[key], person))
    return decided, explained, unexplained


def judge(name, version, project, people, remote, loaded, local):
    """Prints the row of one SDK, and what nothing explains."""
    decided, explained, unexplained = differences(name, project, people, remote, local)
    pairs = len(project.flags) * len(people)
    passed = loaded == len(project.flags) and decided > pairs / 3 and not unexplained
    told = ", ".join(f"{count} {reason}" for reason, count in explained.most_common()) or "none"
    print(f"{name}: local evaluation, matching version {version}\t{'ok' if passed else 'fail'}\t"
          f"{loaded} flags loaded, {pairs} pairs, {decided} decided locally, "
          f"differences explained: {told}; unexplained: {len(unexplained)}", flush=True)
    for key, theirs, ours, flag, person in unexplained[:SHOWN]:
        print(f"{key}: {theirs!r} by the SDK, {ours!r} by the service\n"
              f"  {json.dumps(flag)}\n  {json.dumps(person)}", file=sys.stderr)


def main():
    service = Service(os.environ)
    generator = Generator(int(os.environ["FLAGSTAFF_SEED"]))
    project = Project(service, generator)
    people = [generator.person(project.group_names) for _ in range(PEOPLE)]
    for version in (1, 2):
        service.call("PATCH", "", {"property_matching_version": version})
        remote = [service.flags(person) for person in people]
        for name in SDKS:
            loaded, local = local_values(name, people, service)
            judge(name, version, project, people, remote, loaded, local)


main()
