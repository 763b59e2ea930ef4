"""Attackers that keep connections and send nothing more."""

import selectors
import socket
import threading

HALF_A_REQUEST = b"GET /live HTTP/1.1\r\nHost: "


class Crowd:
    """Connections that send data once and then nothing, and reconnect when they are closed."""

    def __init__(self, port, data, attackers=200):
        self.port = port
        self.attackers = attackers
        self.data = data
        self.cut_off = 0
        self.stopped = threading.Event()
        self.selector = selectors.DefaultSelector()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        for _ in range(self.attackers):
            self._connect()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()

    def _connect(self):
        attacker = socket.create_connection(("127.0.0.1", self.port))
        self.selector.register(attacker, selectors.EVENT_READ)
        try:
            attacker.sendall(self.data)
        except OSError:
            pass  # The connection was closed at once. Reading reports that too.

    def _run(self):
        while not self.stopped.is_set():
            for key, _ in self.selector.select(0.05):
                attacker = key.fileobj
                try:
                    data = attacker.recv(65536)
                except OSError:
                    data = b""
                if not data:
                    self.selector.unregister(attacker)
                    attacker.close()
                    self.cut_off += 1
                    self._connect()
