"""The quickest server there can be for a client: it answers every request with the same bytes.

    fixed_server.py URL

Prints its own address. The first request goes to the service at URL, and its answer, byte for byte,
is what every later request gets. A thread a connection, one read and one write a request.
"""

import socket
import sys
import threading
import urllib.parse


def main():
    upstream = urllib.parse.urlsplit(sys.argv[1])
    answers = []
    lock = threading.Lock()
    server = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{server.getsockname()[1]}", flush=True)
    while True:
        connection, _ = server.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=serve, args=(connection, upstream, answers, lock), daemon=True).start()


def serve(connection, upstream, answers, lock):
    """Answers the requests of one connection until it ends."""
    with connection:
        while request := message(connection):
            with lock:
                if not answers:
                    answers.append(ask(upstream, request))
            connection.sendall(answers[0])


def ask(upstream, request):
    """What the service answers to a request as it is."""
    with socket.create_connection((upstream.hostname, upstream.port)) as connection:
        connection.sendall(request)
        return message(connection)


def message(connection):
    """A whole message: its head, and as much body as it says. Empty at the end of the connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return b""
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            while len(body) < int(value):
                part = connection.recv(65536)
                if not part:
                    return b""
                body += part
    return head + b"\r\n\r\n" + body


main()
