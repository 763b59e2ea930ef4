"""Starts the built example `system_server` and talks to it."""

import http.client
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import threading
import time
from urllib.parse import urlsplit

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
BINARY = pathlib.Path(
    os.environ.get("SYSTEM_SERVER") or TARGET / "release" / "examples" / "system_server"
)

LABELS = {
    "component": "dyn_example_component",
    "endpoint": "dyn_example_endpoint",
    "namespace": "dyn_example_namespace",
}
OPENMETRICS = "application/openmetrics-text;version=1.0.0"

# No step of a check takes longer than this, so that nothing waits for ever.
PATIENCE = 20.0

ADDRESS = re.compile(r"http://(?:127\.0\.0\.1|localhost):(\d+)(/[^\s'\"`]*)?")


def wait_until(what, probe, patience=PATIENCE, pause=0.02):
    """Calls `probe` until it answers something true, and returns that."""
    end = time.monotonic() + patience
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"waited {patience:.0f} s in vain for {what}")
        time.sleep(pause)


class Answer:
    """A whole HTTP response."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def text(self):
        return self.body.decode()


def ask(port, method, path, body=None, headers=None):
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


class Raw:
    """A TCP connection on which a check writes its own HTTP/1.1."""

    def __init__(self, port):
        self.socket = socket.socket()
        self.socket.settimeout(PATIENCE)
        # A small window keeps a long answer in the server while we don't read.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.socket.connect(("127.0.0.1", port))

    def send(self, data):
        self.socket.sendall(data)

    def head(self, path, *fields, method="POST"):
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *fields]
        self.send("\r\n".join([*lines, "", ""]).encode())

    def read_some(self, at_least):
        data = b""
        while len(data) < at_least:
            piece = self.socket.recv(65536)
            if not piece:
                raise AssertionError(f"the server hung up after {data!r}")
            data += piece
        return data

    def wait_for_an_answer(self):
        """Waits for the first bytes of an answer and leaves them unread."""
        if not self.socket.recv(1, socket.MSG_PEEK):
            raise AssertionError("the server hung up without an answer")

    def response(self):
        """Reads the whole response that is under way."""
        response = http.client.HTTPResponse(self.socket)
        response.begin()
        return Answer(response.status, response.headers, response.read())

    def hang_up(self):
        """Closes the connection as a client does that ends orderly (FIN)."""
        self.socket.close()

    def reset(self):
        """Closes the connection as a client does that dies (RST)."""
        linger = struct.pack("ii", 1, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.socket.close()


class Example:
    """The running example: its work handler and its status server."""

    def __init__(self):
        environment = {
            **os.environ,
            "DYN_SYSTEM_ENABLED": "true",
            "DYN_SYSTEM_PORT": "0",
            "DYN_HTTP_PORT": "0",
        }
        if not BINARY.exists():
            raise AssertionError(f"build the example first, there is no {BINARY}")
        self.lines = []
        self.process = subprocess.Popen(
            [BINARY],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        try:
            self._find_addresses()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _read(self):
        with self.process.stdout as out:
            for line in out:
                self.lines.append(line.rstrip("\n"))

    def _find_addresses(self):
        def found():
            urls = [url for line in list(self.lines) for url in ADDRESS.finditer(line)]
            status = {int(url[1]) for url in urls if (url[2] or "").startswith("/metrics")}
            work = [url for url in urls if int(url[1]) not in status]
            if len(status) == 1 and work:
                return status.pop(), int(work[-1][1]), urlsplit(work[-1][0]).path or "/"
            if self.process.poll() is not None:
                raise AssertionError(f"the example ended early:\n{self.output()}")
            return None

        try:
            self.status_port, self.port, self.path = wait_until("both addresses", found)
        except AssertionError as error:
            raise AssertionError(f"{error}; the example said:\n{self.output()}") from None

    def output(self):
        return "\n".join(self.lines)

    def post(self, body, **headers):
        """Sends `body` to the work handler."""
        headers = {"content-type": "application/json", **headers}
        return ask(self.port, "POST", self.path, body, headers)

    def raw(self):
        return Raw(self.port)

    def status(self, path, method="GET", **headers):
        """Asks the status server."""
        return ask(self.status_port, method, path, headers=headers)

    def page(self, accept=None):
        """The page as text; without `accept` it is what curl gets."""
        answer = self.status("/metrics", **({"accept": accept} if accept else {}))
        if answer.status != 200:
            raise AssertionError(f"/metrics answered {answer.status}: {answer.text}")
        return answer.text

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self, patience=PATIENCE):
        """Waits for the example to end by itself and returns its exit code."""
        code = self.process.wait(patience)
        self.reader.join(PATIENCE)
        return code

    def close(self):
        """Ends the example, whatever state it is in."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)
        self.reader.join(PATIENCE)
