"""Each example on SIGTERM: it reports not ready, serves for a while, and ends."""

import json
import signal
import subprocess
import unittest
from urllib.parse import urlsplit

from clients import PATIENCE, ask, wait_until
from check_http_servers import Server
from processes import EXAMPLES, Process

AN_HOUR = "3600000"

# The first address that each example prints, and the path of a request to it.
HTTP = {"system_server": ("work handler", "/"), "llm_frontend": ("front end", "/v1/models")}
FRAMES = {"work_handler": "work handler", "llm_worker": "worker"}


class Proxy(Process):
    def __init__(self, **variables):
        variables = {"PROXY_PORT": "0", "METRICS_PORT": "0", **variables}
        super().__init__("reverse_proxy", UPSTREAM="127.0.0.1:1", **variables)
        self.addresses["status server"] = self.addresses["metrics"]


class Greeter(Process):
    """The example `tonic`."""

    def __init__(self, **variables):
        variables = {"GREETER_PORT": "0", "METRICS_PORT": "0", **variables}
        super().__init__("tonic", **variables)
        self.addresses["status server"] = self.addresses["metrics"]


class Drain(unittest.TestCase):
    def drain(self, process):
        """Stops a process whose drain takes an hour, and waits until it reports not ready."""
        self.assertEqual(process.status("/health").status, 200)
        process.terminate()
        wait_until("503", lambda: process.status("/health").status == 503)
        self.assertIs(json.loads(process.status("/health").text)["draining"], True)
        self.assertEqual(process.status("/live").status, 200)
        self.addCleanup(process.process.kill)

    def test_over_http(self):
        for name, (what, path) in HTTP.items():
            with self.subTest(name):
                process = self.enterContext(Process(name, DRAIN_MS=AN_HOUR))
                self.drain(process)
                port = urlsplit(process.addresses[what]).port
                self.assertIn(ask(port, "GET", path).status, (200, 405))
                process.process.kill()

    def test_over_frames(self):
        for name, what in FRAMES.items():
            with self.subTest(name):
                process = self.enterContext(Process(name, DRAIN_MS=AN_HOUR))
                self.drain(process)
                client = subprocess.run(
                    [EXAMPLES / "work_client", '{"text":"hi"}'],
                    env={"DYN_WORKER": process.addresses[what]},
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=PATIENCE,
                    check=True,
                )
                self.assertTrue(client.stdout)
                process.process.kill()

    def test_a_proxy(self):
        proxy = self.enterContext(Proxy(DRAIN_MS=AN_HOUR))
        self.drain(proxy)
        # There is no upstream server, so the proxy responds with an error.
        self.assertEqual(ask(urlsplit(proxy.addresses["proxy"]).port, "GET", "/").status, 502)
        proxy.process.kill()

    def test_the_router_of_axum(self):
        server = self.enterContext(Server("axum", DRAIN_MS=AN_HOUR))
        self.addCleanup(server.process.kill)
        self.assertEqual(ask(server.port, "GET", "/health").status, 200)
        server.terminate()
        wait_until("503", lambda: ask(server.port, "GET", "/health").status == 503)
        self.assertEqual(ask(server.port, "GET", "/items/7").status, 200)
        server.process.kill()

    def test_the_greeter_of_tonic(self):
        greeter = self.enterContext(Greeter(DRAIN_MS=AN_HOUR))
        self.drain(greeter)
        client = subprocess.run(
            [EXAMPLES / "tonic", "Ada"],
            env={"GREETER_PORT": str(urlsplit(greeter.addresses["greeter"]).port)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        self.assertIn("Hello Ada!", client.stdout)
        greeter.process.kill()

    def test_the_end(self):
        for name in (*HTTP, *FRAMES):
            with self.subTest(name):
                self.check_end(Process(name, DRAIN_MS="0"))
        for name in ("axum", "hyper"):
            with self.subTest(name):
                self.check_end(Server(name, DRAIN_MS="0"))
        self.check_end(Proxy(DRAIN_MS="0"))
        self.check_end(Greeter(DRAIN_MS="0"))

    def check_end(self, process):
        with process:
            process.process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(), 0, process.output())


if __name__ == "__main__":
    unittest.main()
