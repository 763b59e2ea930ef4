"""More idle clients than file descriptors. Each example still responds to other clients."""

import subprocess
import unittest
from urllib.parse import urlsplit

from clients import PATIENCE, ask, wait_until
from check_drain import FRAMES, HTTP, Greeter, Proxy
from check_http_servers import Server
from crowd import HALF_A_REQUEST, Crowd
from processes import EXAMPLES, Process

HALF_AN_UPLOAD = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
HALF_A_FRAME = b"\0\0\0\x10R{"


class Descriptors(unittest.TestCase):
    """What the classes below share. Each is a process of its own, because attackers take their time."""

    def check(self, port, data, others):
        with Crowd(port, data, attackers=300) as crowd:
            wait_until("some to be cut off", lambda: crowd.cut_off > 0)
            for _ in range(3):
                others()

    def answered(self, port, path, status=200):
        return lambda: self.assertEqual(ask(port, "GET", path).status, status, path)


class OverHttp(Descriptors):
    def test_each_example(self):
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


class OfFrameworks(Descriptors):
    def test_each_example(self):
        for name, path, upload in (("axum", "/items/7", b"/words"), ("hyper", "/", b"/count")):
            with self.subTest(name):
                port = self.enterContext(Server(name, descriptors=256)).port
                for data in (HALF_A_REQUEST, HALF_AN_UPLOAD % upload):
                    self.check(port, data, self.answered(port, path))

    def test_a_proxy(self):
        proxy = self.enterContext(Proxy(descriptors=256))
        port = urlsplit(proxy.addresses["proxy"]).port
        self.check(port, HALF_A_REQUEST, self.answered(port, "/", 502))

    def test_the_greeter_of_tonic(self):
        greeter = self.enterContext(Greeter(descriptors=256))
        port = urlsplit(greeter.addresses["greeter"]).port
        preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        live = lambda: self.assertEqual(greeter.status("/live").status, 200)
        for data in (b"", preface):
            self.check(port, data, live)


class OverFrames(Descriptors):
    def test_each_example(self):
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


if __name__ == "__main__":
    unittest.main()
