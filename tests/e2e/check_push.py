"""The example `push` with a real Pushgateway."""

import json
import os
import shutil
import subprocess
import unittest

from clients import PATIENCE, wait_until
from daemons import Daemon
from processes import EXAMPLES
from tally import samples

GROUP = {"job": "example_push", "instance": ""}


class Pushgateway(Daemon):
    """A Pushgateway without a file for its data."""

    def __init__(self):
        super().__init__(
            "prometheus-pushgateway",
            "--web.listen-address=127.0.0.1:{port}",
            "--persistence.file=",
        )

    def is_ready(self):
        return self.get("/-/ready") is not None

    def numbers(self):
        """Returns the samples of the group, by name and by the worker's own labels."""
        found = {}
        for (name, labels), number in samples(self.get("/metrics").decode()).items():
            labels = dict(labels)
            if labels.items() >= GROUP.items():
                own = tuple(pair for pair in labels.items() if pair[0] not in GROUP)
                found[name, own] = number
        return found

    def types(self):
        """Returns the group's families in the gateway's API."""
        answer = json.loads(self.get("/api/v1/metrics"))
        (group,) = answer["data"]
        return {
            name: family["type"]
            for name, family in group.items()
            if isinstance(family, dict) and "type" in family
        }


@unittest.skipUnless(shutil.which("prometheus-pushgateway"), "needs prometheus-pushgateway")
class Push(unittest.TestCase):
    def setUp(self):
        self.gateway = self.enterContext(Pushgateway())
        wait_until("the gateway to be ready", self.gateway.is_ready)

    def start(self, **variables):
        url = f"http://127.0.0.1:{self.gateway.port}"
        worker = subprocess.Popen(
            [EXAMPLES / "push"],
            env={**os.environ, "PUSHGATEWAY": url, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.addCleanup(worker.communicate)
        self.addCleanup(worker.kill)
        return worker

    def wait(self, worker):
        output, _ = worker.communicate(timeout=PATIENCE)
        self.assertEqual(worker.returncode, 0, output)

    def assert_numbers(self, **expected):
        numbers = self.gateway.numbers()
        work = (("endpoint", "work"),)
        found = {name: numbers[name, work] for name in expected}
        self.assertEqual(found, expected)
        # The gateway's metrics about the last push.
        self.assertEqual(numbers["push_failure_time_seconds", ()], 0)
        self.assertGreater(numbers["push_time_seconds", ()], 0)
        log = self.gateway.log()
        self.assertFalse("level=warn" in log or "level=error" in log, log)

    def test_a_short_worker(self):
        self.wait(self.start(WORK_ITEMS="3", WORK_ITEM_MS="1"))
        self.assert_numbers(
            requests_total=3,
            request_bytes_total=3 * len("item 0"),
            request_duration_seconds_count=3,
            cancellations_total=0,
            concurrent_requests=0,
        )
        types = self.gateway.types()
        for name, of_type in {
            "requests_total": "COUNTER",
            "errors_total": "COUNTER",
            "concurrent_requests": "GAUGE",
            "request_duration_seconds": "HISTOGRAM",
        }.items():
            self.assertEqual(types[name], of_type, name)

    def test_a_stopped_worker(self):
        worker = self.start(PUSH_INTERVAL_MS="10", WORK_ITEM_MS="3600000")
        busy = "concurrent_requests", (("endpoint", "work"),)
        wait_until("a push", lambda: self.gateway.numbers().get(busy) == 1)
        worker.terminate()
        self.wait(worker)
        self.assert_numbers(requests_total=1, cancellations_total=1, concurrent_requests=0)

    def test_a_later_worker_replaces_an_earlier_one(self):
        for items in (5, 2):
            self.wait(self.start(WORK_ITEMS=str(items), WORK_ITEM_MS="1"))
            self.assert_numbers(requests_total=items)

    def test_an_unreachable_gateway(self):
        self.gateway.process.kill()
        self.gateway.process.wait(PATIENCE)
        worker = self.start(WORK_ITEMS="1", WORK_ITEM_MS="1")
        output, _ = worker.communicate(timeout=PATIENCE)
        self.assertEqual(worker.returncode, 1, output)
        self.assertIn("no push to http://127.0.0.1:", output)


if __name__ == "__main__":
    unittest.main()
