"""Holds local evaluation in PostHog's SDKs against the service's own.

    main.py --url URL --ops-url URL --token phc_… --secret phs_… --key phx_… [--seed N] NAME=COMMAND…

Makes a random project in a running, empty service, asks the service about random people,
lets each SDK load the definitions and evaluate the same people by itself, and compares.
Prints a line for each SDK and matching version; ends with 1 if anything is unexplained.
"""

import argparse
import collections
import json
import os
import shlex
import subprocess
import sys

from explained import explanation
from generate import Generator
from service import Refused, Service

FLAGS, COHORTS, PEOPLE = 220, 10, 120
SHOWN = 5


class Project:
    """A random project that is in the service."""

    def __init__(self, service, generator):
        self.service = service
        self.group_names = self.group_types()
        self.cohorts = {}
        for number in range(COHORTS):
            filters = generator.cohort(list(self.cohorts))
            made = service.call("POST", "/api/projects/1/cohorts/", {"name": f"cohort {number}", "filters": filters})
            self.cohorts[made["id"]] = filters
        self.flags, readable = {}, []
        for number in range(FLAGS):
            flag = generator.flag(f"flag-{number}", list(self.cohorts), readable, len(self.group_names))
            made = service.call("POST", "/api/projects/1/feature_flags/", flag)
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
        self.service.call("POST", "/batch/", {"api_key": self.service.token, "batch": events})
        mapping = self.service.definitions()["group_type_mapping"]
        return [mapping[index] for index in sorted(mapping)]


def local_values(command, people, service, secret):
    """What an SDK decides about each person, in a process of its own that asks the service nothing."""
    environment = os.environ | {
        "FLAGSTAFF_URL": service.url, "FLAGSTAFF_TOKEN": service.token, "FLAGSTAFF_SECRET": secret,
    }
    process = subprocess.Popen(
        shlex.split(command), env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
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
    """Prints the line of one SDK; false if it fails."""
    decided, explained, unexplained = differences(name, project, people, remote, local)
    pairs = len(project.flags) * len(people)
    passed = loaded == len(project.flags) and decided > pairs / 3 and not unexplained
    told = ", ".join(f"{count} {reason}" for reason, count in explained.most_common()) or "none"
    print(f"{'PASS' if passed else 'FAIL'}  {name}: local evaluation, matching version {version}: "
          f"{loaded} flags loaded, {pairs} pairs, {decided} decided locally, "
          f"differences explained: {told}; unexplained: {len(unexplained)}", flush=True)
    for key, theirs, ours, flag, person in unexplained[:SHOWN]:
        print(f"      {key}: {theirs!r} by the SDK, {ours!r} by the service\n"
              f"        {json.dumps(flag)}\n        {json.dumps(person)}")
    return passed


def main():
    parser = argparse.ArgumentParser()
    for name in ("url", "ops-url", "token", "secret", "key"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("clients", nargs="+", metavar="NAME=COMMAND")
    arguments = parser.parse_args()

    service = Service(arguments.url, arguments.ops_url, arguments.token, arguments.key)
    generator = Generator(arguments.seed)
    print(f"seed {arguments.seed}")
    project = Project(service, generator)
    people = [generator.person(project.group_names) for _ in range(PEOPLE)]
    passed = True
    for version in (1, 2):
        service.call("PATCH", "/api/projects/1/", {"property_matching_version": version})
        remote = [service.flags(person) for person in people]
        for client in arguments.clients:
            name, command = client.split("=", 1)
            loaded, local = local_values(command, people, service, arguments.secret)
            passed &= judge(name, version, project, people, remote, loaded, local)
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
