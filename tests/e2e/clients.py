"""Clients for the checks, and waiting."""

import http.client
import socket
import struct
import time

# The time limit of each step in seconds, so that no check waits for ever.
PATIENCE = 20.0


def wait_until(what, probe, patience=PATIENCE, pause=0.02):
    """Calls `probe` until its result is true, and returns the result."""
    end = time.monotonic() + patience
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"waited {patience:.0f} s in vain for {what}")
        time.sleep(pause)


class Answer:
    """A complete HTTP response."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def text(self):
        return self.body.decode()


def ask(port, method, path, body=None, headers=None):
    """Sends one request on a new connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


class Raw:
    """A TCP connection for raw HTTP/1.1."""

    def __init__(self, port):
        self.socket = socket.socket()
        self.socket.settimeout(PATIENCE)
        # A small window keeps a long response in the server until it is read.
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
        """Waits for the first bytes of a response and leaves them unread."""
        if not self.socket.recv(1, socket.MSG_PEEK):
            raise AssertionError("the server hung up without an answer")

    def response(self):
        """Reads the rest of the response."""
        response = http.client.HTTPResponse(self.socket)
        response.begin()
        return Answer(response.status, response.headers, response.read())

    def hang_up(self):
        """Closes the connection in an orderly way (FIN)."""
        self.socket.close()

    def reset(self):
        """Closes the connection abruptly (RST)."""
        linger = struct.pack("ii", 1, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.socket.close()
