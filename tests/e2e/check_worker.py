"""The work handler behind its own transport, and its client."""

import os
import subprocess
import unittest

from clients import PATIENCE
from processes import EXAMPLES, Process

ERRORS = ("deserialization", "generate", "response_stream", "publish_response")


class Worker(unittest.TestCase):
    def setUp(self):
        self.worker = self.enterContext(Process("work_handler"))

        self.environment = {**os.environ, "DYN_WORKER": self.worker.addresses["work handler"]}

    def ask(self, *requests):
        return subprocess.run(
            [EXAMPLES / "work_client", *requests],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )

    def test_calls_one_after_another(self):
        client = self.ask(
            '{"text":"hi"}',
            "not JSON",
            '{"text":"hi","fail":"engine"}',
            '{"text":"hi","fail":"first_item"}',
            '{"text":"hi","fail":"last_item"}',
        )
        items = ['{"data":"h"}', '{"data":"i"}', '{"data":"h"}']
        self.assertEqual(client.stdout.splitlines(), items)
        self.assertEqual(client.stderr.count("error: "), len(ERRORS))
        self.worker.wait_for(5, "requests_total")
        for error_type in ERRORS:
            self.assertEqual(self.worker.number("errors_total", error_type=error_type), 1)
        self.assertEqual(self.worker.number("concurrent_requests"), 0)
        self.assertEqual(self.worker.number("my_custom_bytes_processed_total"), 8)
        self.assertEqual(self.worker.number("response_bytes_total"), sum(map(len, items)))

    def test_a_client_that_is_killed(self):
        an_hour_for_each = '{"text":"hi","delay_ms":3600000}'
        client = subprocess.Popen(
            [EXAMPLES / "work_client", an_hour_for_each],
            env=self.environment,
            stdin=subprocess.DEVNULL,
        )
        self.addCleanup(client.wait)
        self.addCleanup(client.kill)
        self.worker.wait_for(1, "concurrent_requests")
        client.kill()
        self.worker.wait_for(1, "cancellations_total")
        self.assertEqual(self.worker.number("requests_total"), 1)
        self.assertEqual(self.worker.stop(), 0)


if __name__ == "__main__":
    unittest.main()
