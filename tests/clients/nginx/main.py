"""nginx between Python stubs and the service, with the configuration of docs/clients.md."""

import contextlib
import json
import os
import pathlib
import socket
import ssl
import subprocess
import tempfile
import urllib.request

from harness import KEY, PROJECT, URL, expect, make_flag, row, until

QUICKSTART = pathlib.Path(__file__).parent / "../quickstart/nginx.conf"
HOST = "flags.example.com"
# The service's own address in the file, and the rest that a test has elsewhere.
AROUND = """
daemon off;
{user}
pid nginx.pid;
error_log stderr warn;
events {{}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    proxy_bind 127.0.0.2;
    grpc_bind 127.0.0.2;
    include flagstaff.conf;
}}
"""


@contextlib.contextmanager
def nginx():
    """nginx on a free port with a certificate of its own; gives the port and the certificate's file."""
    with tempfile.TemporaryDirectory() as made:
        folder, port = pathlib.Path(made), free_port()
        certify(folder)
        written = QUICKSTART.read_text()
        for theirs, ours in (
            ("127.0.0.1:8080", os.environ["FLAGSTAFF_GRPC"]),
            ("listen 443 ", f"listen 127.0.0.1:{port} "),
            ("/etc/nginx/", f"{folder}/"),
        ):
            assert theirs in written, f"the configuration has no {theirs}"
            written = written.replace(theirs, ours)
        (folder / "flagstaff.conf").write_text(written)
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(AROUND.format(user=user))
        process = subprocess.Popen(["nginx", "-p", made, "-c", "nginx.conf", "-e", "stderr"])
        try:
            until("nginx listens", lambda: listens(port, process))
            yield port, folder / f"{HOST}.pem"
        finally:
            process.terminate()
            process.wait()


def certify(folder):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={HOST}",
         "-addext", f"subjectAltName=DNS:{HOST},IP:127.0.0.1",
         "-keyout", folder / f"{HOST}.key", "-out", folder / f"{HOST}.pem"],
        check=True, capture_output=True,
    )


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def listens(port, process):
    if process.poll() is not None:
        raise AssertionError(f"nginx ended with {process.returncode}")
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def get(base, path, roots=None, **headers):
    """The status, headers and JSON of a REST answer."""
    request = urllib.request.Request(f"{base}/api/projects/{PROJECT}/{path}")
    for name, value in ({"authorization": f"Bearer {KEY}"} | headers).items():
        request.add_header(name.replace("_", "-"), value)
    context = ssl.create_default_context(cafile=roots)
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    try:
        with opener.open(request, timeout=10) as answer:
            return answer.status, answer.headers, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, error.headers, json.load(error)


def rest(base, roots):
    flag = make_flag("first")
    make_flag("second")
    with row("REST"):
        status, headers, listed = get(base, "feature_flags/?limit=1", roots, Host=HOST)
        expect("the answer", (status, headers.get_content_type(), listed["count"]), (200, "application/json", 2))
    with row("REST errors"):
        status, _, body = get(base, f"feature_flags/{flag['id'] + 10**6}/", roots)
        expect("an unknown flag", (status, body["detail"]), (404, "Not found."))
        status, headers, body = get(base, "feature_flags/", roots, authorization="Bearer phx_none")
        expect("a wrong key", (status, body["type"]), (401, "authentication_error"))
    forged = {"X_Forwarded_Host": "forged.example.com", "X_Forwarded_Proto": "https"}
    with row("forwarded headers of a trusted proxy") as told:
        told.detail = get(base, "feature_flags/?limit=1", roots, Host=HOST, **forged)[2]["next"]
        expect("the start of `next`", told.detail[:26], f"https://{HOST}/")
    with row("forwarded headers of anybody else") as told:
        told.detail = get(URL, "feature_flags/?limit=1", **forged)[2]["next"]
        expect("the start of `next`", told.detail.startswith(URL + "/"), True)


def grpc():
    # Read when they are imported: they then reach the service through nginx.
    import checks
    import watch
    from service import Service

    with Service() as service:
        for capability, check in (
            ("gRPC metadata", checks.metadata),
            ("gRPC error details", checks.error_details),
            ("gRPC batch stream", checks.streamed),
            ("gRPC compression", checks.compression),
            ("gRPC deadline", checks.deadline),
            ("gRPC watch", watch.watch),
            ("gRPC watch through a restart", watch.restart),
        ):
            with row(capability) as told:
                told.detail = check(service)


def main():
    with nginx() as (port, roots):
        rest(f"https://127.0.0.1:{port}", roots)
        os.environ["FLAGSTAFF_GRPC"], os.environ["FLAGSTAFF_ROOTS"] = f"127.0.0.1:{port}", str(roots)
        grpc()


main()
