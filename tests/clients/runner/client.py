"""A client: a folder with a `client.toml`, its installation, and what its program says."""

import dataclasses
import fcntl
import hashlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import tomllib

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "flagstaff-ci"
OUTCOMES = ("ok", "fail", "skip")
SHOWN = 60


class Unavailable(Exception):
    """The client cannot be had here; the message says why."""


@dataclasses.dataclass(frozen=True)
class Client:
    """What a `client.toml` says; README.md lists the fields."""

    folder: pathlib.Path
    name: str
    run: list
    required: bool = False
    needs: tuple = ()
    lock: tuple = ()
    install: tuple = ()
    timeout: int = 120
    rate_limits: bool = False
    serve: tuple = ()
    databases: tuple = ("sqlite", "postgres")

    @property
    def root(self):
        """Where its installation is, outside the source tree, by the checksum of its locks."""
        sums = hashlib.sha256()
        for name in self.lock:
            sums.update((self.folder / name).read_bytes())
        return CACHE / f"clients-{self.name}-{sums.hexdigest()[:12]}"

    def installed(self):
        """Sees to it that the client is installed; `Unavailable` if that cannot be done."""
        for program in self.needs:
            if not shutil.which(program):
                raise Unavailable(f"no {program} on PATH")
        CACHE.mkdir(parents=True, exist_ok=True)
        with open(f"{self.root}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (self.root / ".complete").exists():
                self._install()
                (self.root / ".complete").touch()

    def _install(self):
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir()
        if not self.install:
            return
        environment = os.environ | {"CLIENT_ROOT": str(self.root)}
        done = subprocess.run(
            self.install, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        )
        if done.returncode:
            lines = [line for line in done.stdout.splitlines() if line.strip()] or ["no output"]
            raise Unavailable(f"it could not be installed: {lines[-1]}")

    def rows(self, environment):
        """Runs the program; yields (outcome, capability, detail) as it tells them."""
        environment = os.environ | environment | {"CLIENT_ROOT": str(self.root)}
        command = [self._expanded(word) for word in self.run]
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=errors, text=True, errors="replace", start_new_session=True,
            )
            overdue = threading.Event()
            timer = threading.Timer(self.timeout, lambda: (overdue.set(), _end(process)))
            timer.start()
            failed = False
            try:
                for line in process.stdout:
                    outcome, capability, detail = _row(line)
                    failed |= outcome == "fail"
                    yield outcome, capability, detail
                code = process.wait()
            finally:
                timer.cancel()
                _end(process)
            if overdue.is_set():
                yield "fail", "program", f"not done after {self.timeout} s"
            elif code:
                yield "fail", "program", f"ended with {code}"
            if failed or code:
                _show(errors)

    def _expanded(self, word):
        return word.replace("$CLIENT_ROOT", str(self.root))


def find(folder, only):
    """The clients in a folder, by name; `only` those of these names, all if it is empty."""
    found = {}
    for path in sorted(folder.glob("*/client.toml")):
        client = Client(folder=path.parent, **tomllib.loads(path.read_text()))
        found[client.name] = client
    unknown = sorted(set(only) - set(found))
    if unknown:
        sys.exit(f"clients: there is no client {', '.join(unknown)}; there are {', '.join(found)}")
    return [client for name, client in found.items() if not only or name in only]


def _row(line):
    capability, _, rest = line.rstrip("\n").partition("\t")
    outcome, _, detail = rest.partition("\t")
    if outcome not in OUTCOMES:
        return "fail", "program", f"printed what is no row: {line.rstrip()!r}"
    return outcome, capability, detail.strip()


def _end(process):
    """Ends the program and whatever it has started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def _show(errors):
    errors.seek(0)
    lines = errors.read().decode(errors="replace").splitlines()
    for line in lines[-SHOWN:]:
        print(f"      | {line}", flush=True)
