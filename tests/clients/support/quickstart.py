"""Follows a quick start of docs/clients.md as a reader does, and prints its row.

    quickstart.py NAME WANTED FILE… -- COMMAND…

The files are those of tests/clients/quickstart (or paths, taken from the current folder); they are copied
to an empty folder, changed in nothing but the service's address, the project's number and the
token. COMMAND is run there, and what it prints has to contain WANTED.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import harness

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "quickstart"
ADDRESS = harness.URL.removeprefix("http://")


def follow(name, wanted, files, command):
    """Runs one quick start, and prints the row `quickstart NAME`."""
    with harness.row(f"quickstart {name}") as told, tempfile.TemporaryDirectory() as made:
        flag()
        for file in files:
            source = pathlib.Path(file) if "/" in file else FOLDER / file
            (pathlib.Path(made) / source.name).write_text(adapted(source.read_text()))
        told.detail = last_line(run(command, made, wanted))


def flag():
    """The flag that all quick starts ask for, by its own command, unless this project has it."""
    if not harness.call("GET", "feature_flags/?key=checkout")["count"]:
        made = run(["bash", "-c", adapted((FOLDER / "flag.sh").read_text())], "/", "checkout")
        harness.expect("the flag", json.loads(made)["key"], "checkout")


def adapted(text):
    for theirs, ours in (
        ("127.0.0.1:8080", ADDRESS), ("/projects/1/", f"/projects/{harness.PROJECT}/"),
        ('project_id = "1"', f'project_id = "{harness.PROJECT}"'), ("phc_…", harness.TOKEN),
    ):
        text = text.replace(theirs, ours)
    return text


def run(command, folder, wanted):
    credentials = {"TOKEN": harness.TOKEN, "SECRET": harness.SECRET, "KEY": harness.KEY}
    done = subprocess.run(
        command, cwd=folder, env=os.environ | credentials, capture_output=True, text=True, timeout=200
    )
    if done.returncode or wanted not in done.stdout:
        raise AssertionError(f"{command[0]} ended with {done.returncode}: {done.stdout} {done.stderr[-600:]}")
    return done.stdout


def last_line(text):
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip(" {}[]")]
    return lines[-1] if lines else ""


if __name__ == "__main__":
    words = sys.argv[1:]
    end = words.index("--")
    follow(words[0], words[1], words[2:end], words[end + 1:])
