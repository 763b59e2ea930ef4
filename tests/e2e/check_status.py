"""The status server's other routes, and how the example stops."""

import json
import re
import socket
import subprocess
import unittest

from clients import Raw
from example import Example
from processes import ADDRESS, Process
from tally import wait_for


class Status(unittest.TestCase):
    def setUp(self):
        self.example = self.enterContext(Example())

    def test_health(self):
        answer = self.example.status("/health")
        self.assertEqual(answer.status, 200, answer.text)
        self.assertTrue(answer.headers["content-type"].startswith("application/json"))
        self.assertIsInstance(json.loads(answer.text), dict)

    def test_live(self):
        self.assertEqual(self.example.status("/live").status, 200)

    def test_other_paths(self):
        for path in ("/nope", "/", "/metrics/more"):
            self.assertEqual(self.example.status(path).status, 404, path)

    def test_scrapes_are_not_calls(self):
        for path in ("/metrics", "/health", "/live", "/nope"):
            self.example.status(path)
        wait_for(self.example)


class Addresses(unittest.TestCase):
    def test_printed_addresses_are_correct(self):
        names = ("system_server", "work_handler", "llm_worker", "llm_frontend")
        for name in names:
            with self.subTest(name):
                process = self.enterContext(Process(name, DYN_SYSTEM_HOST="127.0.0.1"))
                lines = [line for line in process.lines if ADDRESS.match(line)]
                status, main = sorted(lines, key=lambda line: not line.startswith("status"))
                self.assertIn(" 0.0.0.0:", main.replace("http://", ""))
                self.assertIn(" http://127.0.0.1:", status)
                for line, elsewhere in ((main, True), (status, False)):
                    port = int(re.search(r":(\d+)(/|$| )", line)[1])
                    with socket.socket() as client:
                        # Another loopback address.
                        connected = client.connect_ex(("127.0.0.2", port)) == 0
                    self.assertEqual(connected, elsewhere, line)


class Stop(unittest.TestCase):
    def setUp(self):
        self.example = self.enterContext(Example())

    def test_stop_without_calls(self):
        self.example.terminate()
        self.assertEqual(self.example.wait(), 0, self.example.output())

    def test_idle_connections_do_not_hold_it_open(self):
        for port in (self.example.port, self.example.status_port):
            idle = Raw(port)
            self.addCleanup(idle.hang_up)
            idle.head("/nope", method="GET")
            idle.response()
            self.addCleanup(Raw(port).hang_up)
        self.example.terminate()
        self.assertEqual(self.example.wait(patience=60), 0, self.example.output())

    def test_a_running_response_is_finished(self):
        text = "x" * 500_000
        body = json.dumps(text).encode()
        raw = self.example.raw()
        self.addCleanup(raw.hang_up)
        length = f"Content-Length: {len(body)}"
        raw.head(self.example.path, "Content-Type: application/json", length)
        raw.send(body)
        # The client doesn't read, so the response waits in the server during the stop.
        raw.wait_for_an_answer()
        self.example.terminate()
        with self.assertRaises(subprocess.TimeoutExpired):
            self.example.process.wait(1)
        answer = raw.response()
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.body.count(b"\n"), len(text))
        self.assertEqual(self.example.wait(), 0, self.example.output())


if __name__ == "__main__":
    unittest.main()
