"""The quick starts of docs/clients.md for PostHog's SDKs in Python, Node and a browser.

Those of the other clients are followed where their clients are.
"""

import contextlib
import functools
import http.server
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading

import harness
import quickstart

ROOT = pathlib.Path(os.environ["CLIENT_ROOT"])
SAID = "on for ann, with a green button\noff for ben\n"


def python():
    quickstart.follow("python", SAID, ["python_sdk.py"], [str(ROOT / "python/bin/python"), "python_sdk.py"])


def node():
    linked = f"ln -s {ROOT}/node_modules . && node node_sdk.mjs"
    quickstart.follow("node", SAID, ["node_sdk.mjs"], ["sh", "-c", linked])


def browser():
    chromium = shutil.which("chromium")
    if not chromium:
        print("quickstart browser\tskip\tno chromium on PATH")
        return
    with harness.row("quickstart browser") as told, tempfile.TemporaryDirectory() as made:
        quickstart.flag()
        page = (quickstart.FOLDER / "browser.html").read_text()
        (pathlib.Path(made) / "index.html").write_text(quickstart.adapted(page))
        (pathlib.Path(made) / "node_modules").symlink_to(ROOT / "node_modules")
        command = [
            chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={made}/profile",
            "--virtual-time-budget=20000", "--dump-dom",
        ]
        with served(made) as url:
            # The browser's clock runs ahead while it waits for nothing, and now and then past an answer: it then
            # shows a page that does not say anything yet.
            for _ in range(3):
                shown = subprocess.run(
                    [*command, url],
                    capture_output=True, text=True, timeout=60, env=os.environ | {"HOME": made},
                ).stdout
                if '<p id="said"></p>' not in shown:
                    break
        told.detail = "on for you"
        harness.expect("what the page says", '<p id="said">on for you</p>' in shown or shown, True)


def documented():
    """Each file that is no part of this program stands in docs/clients.md, as it is."""
    own = {"client.toml", "install", "main.py", "package.json", "package-lock.json", "requirements.txt"}
    with harness.row("docs/clients.md") as told:
        page = (quickstart.FOLDER / "../../../docs/clients.md").resolve().read_text()
        blocks = re.findall(r"^\[`(\S+)`\]\(\S+\):\n\n```\w+\n(.*?)```$", page, re.DOTALL | re.MULTILINE)
        files = {file.name: file.read_text() for file in quickstart.FOLDER.iterdir() if file.name not in own}
        harness.expect("the files", sorted(name for name, _ in blocks), sorted(files))
        harness.expect("those that differ", [name for name, shown in blocks if shown != files[name]], [])
        told.detail = f"{len(blocks)} blocks as their files are"


@contextlib.contextmanager
def served(folder):
    """A folder over HTTP, as a page's own site would be."""
    handler = functools.partial(Quiet, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


documented()
python()
node()
browser()
