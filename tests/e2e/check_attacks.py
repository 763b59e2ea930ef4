"""Attacks on the status server, on an exporter in another server, and on the examples."""

import selectors
import socket
import subprocess
import threading
import unittest
from urllib.parse import urlsplit

from clients import PATIENCE, Raw, ask, wait_until
from check_drain import FRAMES, HTTP, Greeter, Proxy
from check_http_servers import Server
from processes import EXAMPLES, Process

HALF_A_REQUEST = b"GET /live HTTP/1.1\r\nHost: "
ATTACKERS = 200


class Crowd:
    """Connections that send data once and then nothing, and reconnect when they are closed."""

    def __init__(self, port, data, attackers=ATTACKERS):
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


class StatusServer(unittest.TestCase):
    def setUp(self):
        self.example = self.enterContext(Process("system_server"))
        self.port = urlsplit(self.example.addresses["status server"]).port

    def check_live(self, data):
        with Crowd(self.port, data) as crowd:
            for _ in range(10):
                self.assertEqual(ask(self.port, "GET", "/live").status, 200)
                self.assertEqual(ask(self.port, "GET", "/metrics").status, 200)
            wait_until("some to be cut off", lambda: crowd.cut_off > 0)

    def test_live_responds_despite_half_requests(self):
        self.check_live(HALF_A_REQUEST)

    def test_live_responds_despite_silent_clients(self):
        self.check_live(b"")

    def test_live_responds_despite_idle_connections(self):
        self.check_live(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")

    def test_half_a_request_is_closed(self):
        # There is no other client. The connection is closed because of its own silence.
        for data in (b"", HALF_A_REQUEST):
            raw = Raw(self.port)
            self.addCleanup(raw.hang_up)
            raw.send(data)
            self.assertEqual(raw.socket.recv(65536), b"")

    def test_a_half_closed_client_gets_the_whole_response(self):
        for path, status in (("/metrics", 200), ("/live", 200), ("/health", 200)):
            for _ in range(20):
                raw = Raw(self.port)
                raw.head(path, method="GET")
                raw.socket.shutdown(socket.SHUT_WR)
                # Fails if the body is shorter than its Content-Length.
                answer = raw.response()
                raw.hang_up()
                self.assertEqual(answer.status, status, path)
                self.assertTrue(answer.body)


HALF_AN_UPLOAD = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
HALF_A_FRAME = b"\0\0\0\x10R{"


class Descriptors(unittest.TestCase):
    """More idle clients than file descriptors. Other clients still get responses."""

    def check(self, port, data, others):
        with Crowd(port, data, attackers=300) as crowd:
            wait_until("some to be cut off", lambda: crowd.cut_off > 0)
            for _ in range(3):
                others()

    def answered(self, port, path, status=200):
        return lambda: self.assertEqual(ask(port, "GET", path).status, status, path)

    def test_over_http(self):
        uploads = {"system_server": b"/", "llm_frontend": b"/v1/chat/completions"}
        for name, (what, path) in HTTP.items():
            with self.subTest(name):
                process = self.enterContext(Process(name, descriptors=256))
                port = urlsplit(process.addresses[what]).port
                status = 405 if path == "/" else 200

                def others():
                    self.answered(port, path, status)()
                    self.assertEqual(process.status("/live").status, 200)

                for data in (HALF_A_REQUEST, HALF_AN_UPLOAD % uploads[name]):
                    self.check(port, data, others)

    def test_other_servers(self):
        for name, path, upload in (("axum", "/items/7", b"/words"), ("hyper", "/", b"/count")):
            with self.subTest(name):
                port = self.enterContext(Server(name, descriptors=256)).port
                for data in (HALF_A_REQUEST, HALF_AN_UPLOAD % upload):
                    self.check(port, data, self.answered(port, path))

    def test_a_proxy(self):
        proxy = self.enterContext(Proxy(descriptors=256))
        port = urlsplit(proxy.addresses["proxy"]).port
        self.check(port, HALF_A_REQUEST, self.answered(port, "/", 502))

    def test_over_frames(self):
        for name, what in FRAMES.items():
            with self.subTest(name):
                worker = self.enterContext(Process(name, descriptors=256))
                address = worker.addresses[what]

                def others():
                    client = subprocess.run(
                        [EXAMPLES / "work_client", '{"text":"hi"}'],
                        env={"DYN_WORKER": address},
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.PIPE,
                        timeout=PATIENCE,
                        check=True,
                    )
                    self.assertTrue(client.stdout)

                self.check(int(address.rsplit(":", 1)[1]), HALF_A_FRAME, others)

    def test_the_greeter_of_tonic(self):
        greeter = self.enterContext(Greeter(descriptors=256))
        port = urlsplit(greeter.addresses["greeter"]).port
        preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        live = lambda: self.assertEqual(greeter.status("/live").status, 200)
        for data in (b"", preface):
            self.check(port, data, live)


class Readers(unittest.TestCase):
    def test_clients_that_read_nothing(self):
        server = self.enterContext(Process("long_page"))
        for what in ("status server", "work handler"):
            with self.subTest(what):
                port = urlsplit(server.addresses[what]).port
                for _ in range(8):
                    raw = Raw(port)
                    self.addCleanup(raw.hang_up)
                    raw.head("/metrics", method="GET")
                    raw.wait_for_an_answer()

                def is_answered():
                    answer = ask(port, "GET", "/metrics")
                    return answer.status == 200 and answer.text.endswith("\n")

                # Waits for less than the deadline of a page, which is 30 s.
                wait_until("a page", is_answered, pause=0.5)
                self.assertEqual(ask(port, "GET", "/metrics").status, 200)


if __name__ == "__main__":
    unittest.main()
