"""Attacks on the status server, and on an exporter in another server."""

import socket
import unittest
from urllib.parse import urlsplit

from clients import Raw, ask, wait_until
from crowd import HALF_A_REQUEST, Crowd
from processes import Process


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
