"""A proxy before the service that remembers what went through it, for clients whose own answers do
not tell what they asked: 304s, preflights, retries."""

import http.client
import http.server
import threading
import time

# Headers of one connection, which are not passed on.
HOP = {"connection", "keep-alive", "transfer-encoding", "proxy-connection", "te", "trailer", "upgrade"}
KEPT = 4096


class Recorder:
    """Forwards to `address` (host:port); `exchanges` is what it saw, oldest first.

    An exchange is {"at" (seconds), "method", "path", "request_headers", "request_body" (its first 4 KiB,
    as Latin-1), "status", "response_headers"}, header names in lower case. While the service is
    down, the status is 0 and the client's connection is closed without an answer.
    """

    def __init__(self, address):
        self.exchanges = []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(address, self.exchanges))
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def stop(self):
        """Takes it down."""
        self.server.shutdown()
        self.server.server_close()


def _handler(address, exchanges):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def forward(self):
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            exchange = {
                "at": time.time(),
                "method": self.command,
                "path": self.path,
                "request_headers": _lower(self.headers),
                "request_body": body[:KEPT].decode("latin-1"),
                "status": 0,
                "response_headers": {},
            }
            try:
                answer = _ask(address, self.command, self.path, self.headers, body)
            except (OSError, http.client.HTTPException):
                exchanges.append(exchange)
                self.close_connection = True
                return
            status, headers, content = answer
            # Remembered before it is answered, so that whoever has the answer finds it here.
            exchanges.append(exchange | {"status": status, "response_headers": _lower(headers)})
            self.respond(status, headers, content)

        def respond(self, status, headers, content):
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() not in HOP | {"content-length"}:
                    self.send_header(name, value)
            if status not in (204, 304):
                self.send_header("content-length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = forward

        def log_message(self, *_):
            pass

    return Handler


def _ask(address, method, path, headers, body):
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            if name.lower() not in HOP:
                connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def _lower(headers):
    return {name.lower(): value for name, value in headers.items()}
