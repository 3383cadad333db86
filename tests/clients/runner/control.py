"""What a client may ask of the runner, over HTTP: to stop and start the service, to run its command
line, and what the recorder has seen."""

import http.server
import json
import threading

from .service import Broken


class Control:
    """A little server for one service and its recorder; `url` is its address."""

    def __init__(self, service, recorder):
        lock = threading.Lock()

        def act(method, path, body):
            with lock:
                return _act(service, recorder, method, path, body)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(act))
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def stop(self):
        """Takes it down."""
        self.server.shutdown()
        self.server.server_close()


def _act(service, recorder, method, path, body):
    """Status and body of an answer."""
    match (method, path):
        case ("POST", "/stop"):
            service.stop()
        case ("POST", "/start"):
            service.start(*service.settings)
        case ("POST", "/restart"):
            service.restart()
        case ("POST", "/flagstaff"):
            return 200, service.command(*json.loads(body))
        case ("GET", "/recorded"):
            return 200, json.dumps(recorder.exchanges)
        case ("DELETE", "/recorded"):
            recorder.exchanges.clear()
        case _:
            return 404, f"no {method} {path} here"
    return 204, ""


def _handler(act):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            try:
                status, text = act(self.command, self.path, body)
            except (Broken, ValueError) as error:
                status, text = 500, str(error)
            self.send_response(status)
            self.send_header("content-length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_DELETE = answer

        def log_message(self, *_):
            pass

    return Handler
