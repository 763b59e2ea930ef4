"""The page in independent parsers."""

import shutil
import subprocess
import unittest

from clients import PATIENCE
from example import OPENMETRICS, Example
from tally import ERROR_TYPES, LABELS, samples, wait_for

try:
    from prometheus_client.openmetrics import parser as openmetrics
except ImportError:
    openmetrics = None

# The `Accept` headers of scrapers.
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
VICTORIA_METRICS = "text/plain;version=0.0.4;q=1,*/*;q=0.1"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

FAMILIES = {
    "cancellations": "counter",
    "concurrent_requests": "gauge",
    "errors": "counter",
    "my_custom_bytes_processed": "counter",
    "request_bytes": "counter",
    "request_duration_seconds": "histogram",
    "requests": "counter",
    "response_bytes": "counter",
    "uptime_seconds": "gauge",
}


class Pages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.example = cls.enterClassContext(Example())
        for number in (1, 2, 3):
            cls.example.post(f'"test message {number}"')
        cls.example.post("not json")
        wait_for(cls.example, completed=3, deserialization=1)

    @unittest.skipUnless(openmetrics, "needs prometheus_client")
    def test_a_strict_parser_reads_openmetrics(self):
        page = self.example.page(OPENMETRICS)
        families = {
            family.name: family for family in openmetrics.text_string_to_metric_families(page)
        }
        self.assertEqual({name: family.type for name, family in families.items()}, FAMILIES)
        for family in families.values():
            self.assertTrue(family.documentation, family.name)
            for sample in family.samples:
                own = {k: v for k, v in sample.labels.items() if k not in ("le", "error_type")}
                self.assertEqual(own, {} if family.name == "uptime_seconds" else LABELS)
        (requests,) = families["requests"].samples
        self.assertEqual((requests.name, requests.value), ("requests_total", 4))
        errors = {s.labels["error_type"]: s.value for s in families["errors"].samples}
        self.assertEqual(errors, {**dict.fromkeys(ERROR_TYPES, 0), "deserialization": 1})

    def test_promtool_accepts_the_page(self):
        self.assertTrue(shutil.which("promtool"), "promtool is not installed")
        checked = subprocess.run(
            ["promtool", "check", "metrics"],
            input=self.example.page(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        said = (checked.returncode, checked.stdout, checked.stderr)
        self.assertEqual(said, (0, "", ""))

    def test_both_formats_show_the_same_samples(self):
        plain, open_ = (samples(self.example.page(accept)) for accept in (None, OPENMETRICS))
        for found in (plain, open_):
            found.pop(("uptime_seconds", ()))
        self.assertEqual(plain, open_)

    def test_order_is_stable(self):
        def without_uptime():
            lines = self.example.page().splitlines()
            return [line for line in lines if not line.startswith("uptime_seconds ")]

        self.assertEqual(without_uptime(), without_uptime())

    def test_formats_by_accept_header(self):
        text = "text/plain; version=0.0.4; charset=utf-8"
        open_ = "application/openmetrics-text; version=1.0.0; charset=utf-8"
        escaping = open_ + "; escaping=allow-utf-8"
        for accept, expected in (
            (None, text),
            ("*/*", text),
            (BROWSER, text),
            (VICTORIA_METRICS, text),
            (OPENMETRICS, open_),
            (PROMETHEUS_2, open_),
            (PROMETHEUS_3, escaping),
        ):
            with self.subTest(accept=accept):
                headers = {"accept": accept} if accept else {}
                answer = self.example.status("/metrics", **headers)
                self.assertEqual(answer.status, 200)
                self.assertEqual(answer.headers["content-type"], expected)
                self.assertEqual(answer.headers["content-length"], str(len(answer.body)))
                self.assertIn("accept", (answer.headers["vary"] or "").lower())
                self.assertEqual(answer.text.endswith("# EOF\n"), expected != text)

    def test_other_methods(self):
        head = self.example.status("/metrics", method="HEAD")
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertGreater(int(head.headers["content-length"]), 0)
        post = self.example.status("/metrics", method="POST")
        self.assertEqual((post.status, post.headers["allow"]), (405, "GET, HEAD"))


if __name__ == "__main__":
    unittest.main()
