"""The service under test: started, stopped and started again on one port and one database."""

import base64
import json
import os
import pathlib
import random
import secrets
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

START_LIMIT = 30
STOP_LIMIT = 40
# The service is on this machine, whatever proxy the environment names.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Broken(Exception):
    """The service did not do what it must for anything to be tried."""


class Service:
    """A service on a database; it runs between `start` and `stop`."""

    def __init__(self, binary, database, url, folder):
        self.binary, self.database, self.database_url = binary, database, url
        self.folder = pathlib.Path(folder)
        self.log = self.folder / f"{database}.log"
        self.listen = f"127.0.0.1:{_free_port(20000)}"
        self.ops = f"127.0.0.1:{_free_port(25000)}"
        self.url, self.ops_url = f"http://{self.listen}", f"http://{self.ops}"
        self.process = None
        self.settings = None
        self.environment = os.environ | {
            "FLAGSTAFF_DATABASE_URL": url,
            "FLAGSTAFF_LISTEN": self.listen,
            "FLAGSTAFF_OPS_LISTEN": self.ops,
            "FLAGSTAFF_SHUTDOWN_GRACE": "5s",
            # The same for both databases, and for the command line.
            "FLAGSTAFF_ENCRYPTION_KEYS": _fernet_key(),
        }

    def start(self, rate_limits=False, serve=()):
        """Starts it and waits until it is ready."""
        self.settings = (rate_limits, tuple(serve))
        limits = ["--rate-limits", "on" if rate_limits else "off"]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "serve", *limits, *serve], cwd=self.folder, env=self.environment,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, start_new_session=True,
            )
        wait_until("the service is ready", START_LIMIT, self._is_ready)

    def stop(self):
        """Ends it as an operator would, and waits until it has ended."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Broken(f"the service still ran {STOP_LIMIT} s after SIGTERM") from None
        finally:
            self.process = None
        if code:
            raise Broken(f"the service ended with exit code {code}")

    def restart(self):
        """Stops it and starts it with the same settings."""
        self.stop()
        self.start(*self.settings)

    def with_settings(self, rate_limits, serve):
        """Sees to it that it runs, and so."""
        if self.process is None or self.settings != (rate_limits, tuple(serve)):
            self.stop()
            self.start(rate_limits, serve)

    def command(self, *arguments):
        """Runs the program's command line on the same database; what it printed."""
        done = subprocess.run(
            [self.binary, *arguments], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True,
        )
        if done.returncode:
            raise Broken(f"flagstaff {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def fresh_project(self, name):
        """A new project and a key of full scope, both known to the service: the client's environment."""
        project = json.loads(self.command("projects", "create", "--name", name))
        key = self.command("keys", "create", "--all-projects", "--scopes", "*", "--label", name).strip()
        path = f"/api/projects/{project['id']}/feature_flags/"
        wait_until("the service knows the new project", 10, lambda: self._status(path, key) == 200)
        return {
            "FLAGSTAFF_PROJECT": str(project["id"]),
            "FLAGSTAFF_TOKEN": project["api_token"],
            "FLAGSTAFF_SECRET": project["secret_api_token"],
            "FLAGSTAFF_KEY": key,
        }

    def panics(self):
        """Lines of its log that tell of a panic."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return [line for line in lines if "panicked" in line]

    def log_tail(self):
        """The end of its log, indented."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(f"      | {line}" for line in lines[-20:])

    def _is_ready(self):
        if self.process.poll() is not None:
            raise Broken(f"the service ended with exit code {self.process.returncode} before it was ready")
        try:
            with DIRECT.open(f"{self.ops_url}/readyz", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def _status(self, path, key):
        request = urllib.request.Request(self.url + path, headers={"authorization": f"Bearer {key}"})
        try:
            with DIRECT.open(request, timeout=5) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code


def wait_until(what, seconds, condition):
    """Waits for a condition; `Broken` if it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Broken(f"after {seconds} s still not: {what}")
        time.sleep(0.02)


def _free_port(first):
    """A port that nobody listens on, of the 5000 from this; below those given to outgoing connections."""
    while True:
        port = random.randrange(first, first + 5000)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port


def _fernet_key():
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
