"""A PostgreSQL of this run's own, gone with it."""

import os
import pathlib
import pwd
import shutil
import socket
import subprocess

# Runs a private instance on one of the ports given, for as long as standard input stays open: a
# runner that is killed runs no code, but the system closes its end of the pipe.
WATCHDOG = r"""
set -eu
exec 2>&1
trap '' PIPE
trap 'exit 1' HUP INT TERM
bin=$1
shift
dir=$(mktemp -d "${TMPDIR:-/tmp}/flagstaff-clients.XXXXXX")
cd "$dir"
clean_up() {
    "$bin/pg_ctl" stop --pgdata "$dir/data" --mode immediate >/dev/null 2>&1 || true
    cd /
    rm -rf "$dir"
}
trap clean_up EXIT
"$bin/initdb" --pgdata data --username flagstaff --auth trust --no-sync --encoding UTF8 --locale C \
    >log 2>&1 </dev/null || { cat log; exit 1; }
cat >>data/postgresql.conf <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = '$dir'
fsync = off
full_page_writes = off
synchronous_commit = off
CONF
for port in "$@"; do
    if "$bin/pg_ctl" start --pgdata data --wait --log "$dir/log" --options "-p $port" >>log 2>&1 </dev/null
    then
        echo "ready $port"
        cat >/dev/null
        exit
    fi
done
cat log
exit 1
"""


class NoPostgres(Exception):
    """PostgreSQL is not installed, or does not start; the message says which."""


class Postgres:
    """A running instance; `url` names a database on it."""

    def __init__(self):
        folder = _binaries()
        self.watchdog = subprocess.Popen(
            ["sh", "-c", WATCHDOG, "flagstaff-postgres", folder, *_free_ports()], cwd="/", text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, **_ordinary_user(),
        )
        said = []
        for line in self.watchdog.stdout:
            if line.startswith("ready "):
                self.url = f"postgres://flagstaff@127.0.0.1:{line.split()[1]}/postgres"
                return
            said.append(line.strip())
        raise NoPostgres("PostgreSQL could not be started: " + " ".join(said[-3:]))

    def stop(self):
        """Takes it down, and waits for that."""
        self.watchdog.stdin.close()
        self.watchdog.wait()


def _binaries():
    """The folder of the server's programs: the one on PATH, else Debian's newest."""
    found = shutil.which("initdb")
    if found:
        return str(pathlib.Path(found).parent)
    debian = pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = sorted(debian, key=lambda path: float(path.parent.parent.name))
    if not newest:
        raise NoPostgres("PostgreSQL's server is not installed")
    return str(newest[-1].parent)


def _ordinary_user():
    """Whom to run it as: initdb refuses root."""
    if os.geteuid():
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    return {}


def _free_ports():
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(5)]
    ports = [str(held.getsockname()[1]) for held in sockets]
    for held in sockets:
        held.close()
    return ports
