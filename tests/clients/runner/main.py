"""The command line: which clients on which databases, one after the other."""

import argparse
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

from . import client
from .control import Control
from .postgres import NoPostgres, Postgres
from .recorder import Recorder
from .report import Report
from .service import Broken, Service

FOLDER = pathlib.Path(__file__).resolve().parent.parent
ROOT = FOLDER.parent.parent
DATABASES = ("sqlite", "postgres")


def main():
    """Runs what the arguments name; the exit code."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    report = Report(strict=bool(os.environ.get("FLAGSTAFF_REQUIRE_CLIENTS")))
    clients = client.find(FOLDER, arguments.only)
    binary = _binary()
    # Installed before anything runs, so that what a program measures is not the machine's installing.
    had = [wanted for wanted in clients if _had(wanted, report)]
    print(f"seed {arguments.seed}", flush=True)
    for database in arguments.database or DATABASES:
        _run(database, binary, had, arguments.seed, report)
    return report.end()


def _arguments():
    parser = argparse.ArgumentParser(prog="tests/clients/run", description="Runs real clients against the service.")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="this client; may repeat")
    parser.add_argument("--database", action="append", choices=DATABASES, help="on this database; may repeat")
    parser.add_argument("--seed", type=int, default=1, help="for clients that make things up")
    return parser.parse_args()


def _binary():
    """The service's program: FLAGSTAFF_BIN, else built for release."""
    named = os.environ.get("FLAGSTAFF_BIN")
    if named:
        return str(pathlib.Path(named).resolve(strict=True))
    subprocess.run(["cargo", "build", "--release", "--locked"], cwd=ROOT, check=True)
    return str((ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "release" / "flagstaff").resolve())


def _had(wanted, report):
    try:
        wanted.installed()
    except client.Unavailable as reason:
        report.skipped("-", wanted, reason)
        return False
    return True


def _run(database, binary, clients, seed, report):
    clients = [one for one in clients if database in one.databases]
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="flagstaff-clients-"))
        try:
            url = _database_url(database, folder, stack)
        except NoPostgres as reason:
            for one in clients:
                report.skipped(database, one, reason)
            return
        service = Service(binary, database, url, folder)
        stack.callback(service.stop)
        recorder = Recorder(service.listen)
        stack.callback(recorder.stop)
        control = Control(service, recorder)
        stack.callback(control.stop)
        for one in clients:
            _run_client(one, service, recorder, control, seed, report)


def _database_url(database, folder, stack):
    if database == "sqlite":
        return f"sqlite://{folder}/flagstaff.db?mode=rwc"
    postgres = Postgres()
    stack.callback(postgres.stop)
    return postgres.url


def _run_client(one, service, recorder, control, seed, report):
    panics = len(service.panics())
    try:
        service.with_settings(one.rate_limits, one.serve)
        recorder.exchanges.clear()
        for outcome, capability, detail in one.rows(_environment(one, service, recorder, control, seed)):
            report.row(outcome, service.database, one.name, capability, detail)
    except Broken as error:
        report.row("fail", service.database, one.name, "service", str(error))
        print(service.log_tail(), flush=True)
    for line in service.panics()[panics:]:
        report.row("fail", service.database, one.name, "service", line)


def _environment(one, service, recorder, control, seed):
    here = "127.0.0.1,localhost"
    return service.fresh_project(one.name) | {
        "FLAGSTAFF_URL": service.url,
        "FLAGSTAFF_GRPC": service.listen,
        "FLAGSTAFF_OPS_URL": service.ops_url,
        "FLAGSTAFF_RECORDED_URL": recorder.url,
        "FLAGSTAFF_CONTROL": control.url,
        "FLAGSTAFF_DATABASE": service.database,
        "FLAGSTAFF_PROTO": str(ROOT / "proto"),
        "FLAGSTAFF_SEED": str(seed),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(FOLDER / "support"),
        "NO_PROXY": here,
        "no_proxy": here,
    }
