"""The service under test, as its users reach it: over HTTP, with nothing but the standard library."""

import json
import urllib.error
import urllib.request


class Refused(Exception):
    """The service answered with an error."""


class Service:
    """A running service, a project and the credentials to use it, as the runner's variables name them."""

    def __init__(self, environment):
        self.url, self.ops_url = environment["FLAGSTAFF_URL"], environment["FLAGSTAFF_OPS_URL"]
        self.token, self.key = environment["FLAGSTAFF_TOKEN"], environment["FLAGSTAFF_KEY"]
        self.project = f"/api/projects/{environment['FLAGSTAFF_PROJECT']}/"
        # The service is on this machine, whatever proxy the environment names.
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(self, method, path, body=None):
        """Asks the management API under the project."""
        return self.send(method, self.project + path, body)

    def send(self, method, path, body=None):
        """Sends JSON with the personal API key and returns the JSON answer."""
        request = urllib.request.Request(self.url + path, method=method)
        request.add_header("authorization", f"Bearer {self.key}")
        if body is not None:
            request.add_header("content-type", "application/json")
            request.data = json.dumps(body).encode()
        try:
            with self.opener.open(request, timeout=30) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise Refused(f"{method} {path}: {error.code} {error.read()[:300]!r} for {body}") from error
        return json.loads(text) if text else None

    def flags(self, person):
        """What the service says of each flag: its variant, else whether it is on."""
        answer = self.send("POST", "/flags?v=2", person | {"token": self.token, "evaluation_runtime": "server"})
        if answer["errorsWhileComputingFlags"]:
            raise Refused(f"errors while computing flags for {person}: {answer}")
        return {key: flag["variant"] or flag["enabled"] for key, flag in answer["flags"].items()}

    def definitions(self):
        return self.send("GET", f"/flags/definitions?token={self.token}&send_cohorts")

    def requests_answered(self):
        """How many requests the service has answered since its start, from its metrics."""
        with self.opener.open(self.ops_url + "/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("flagstaff_requests_total"))
