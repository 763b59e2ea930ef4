"""The status server's other routes, and how the example stops."""

import json
import re
import signal
import socket
import subprocess
import unittest

from clients import Raw, wait_until
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


class Paths(unittest.TestCase):
    def test_paths_of_health_checks(self):
        paths = {"DYN_SYSTEM_HEALTH_PATH": "/ready", "DYN_SYSTEM_LIVE_PATH": "/up"}
        process = self.enterContext(Process("work_handler", **paths))
        answers = {path: process.status(path).status for path in ("/ready", "/up", "/health", "/live")}
        self.assertEqual(answers, {"/ready": 200, "/up": 200, "/health": 404, "/live": 404})


class Watched(unittest.TestCase):
    """Endpoints that are ready while their calls, or a canary, succeed."""

    def wait_for_health(self, process, status):
        """Waits until /health has this status, and returns its JSON."""

        def health():
            answer = process.status("/health")
            return answer.status == status and json.loads(answer.text)

        return wait_until(f"{status} at /health", health)

    def test_a_model_that_hangs_or_is_gone(self):
        worker = self.enterContext(Process("llm_worker", DYN_TOKEN_DELAY_MS="1"))
        self.addCleanup(worker.process.send_signal, signal.SIGCONT)
        front = self.enterContext(
            Process("llm_frontend", DYN_WORKER=worker.addresses["worker"], DYN_CANARY_IDLE_MS="100")
        )
        ready = self.wait_for_health(front, 200)
        self.assertEqual(ready["endpoints"], {"chat": "ready"})
        self.assertNotIn("reasons", ready)

        worker.process.send_signal(signal.SIGSTOP)
        hung = self.wait_for_health(front, 503)
        self.assertEqual(hung["endpoints"], {"chat": "notready"})
        self.assertIn("took longer", hung["reasons"]["chat"])
        self.assertEqual(front.status("/live").status, 200)

        worker.process.send_signal(signal.SIGCONT)
        self.wait_for_health(front, 200)
        # Only the worker counts the probes.
        self.assertEqual(front.number("requests_total", endpoint="chat"), 0)

        self.assertEqual(worker.stop(), 0)
        gone = self.wait_for_health(front, 503)
        self.assertIn("the probe failed: ", gone["reasons"]["chat"])

    def test_work_that_succeeds(self):
        process = self.enterContext(Process("work_handler", DYN_CANARY_IDLE_MS="100"))
        self.wait_for_health(process, 200)


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
        text = "x" * 300_000
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
