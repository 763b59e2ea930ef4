"""A real Prometheus scrapes the example and returns the right numbers."""

import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from clients import wait_until
from daemons import Prometheus
from example import Example
from processes import ROOT
from tally import ERROR_TYPES, LABELS, wait_for

# The target labels of service discovery in Kubernetes.
TARGET = """        labels:
          namespace: production
          endpoint: metrics
"""


def readme_config():
    """Returns the scrape_config in README.md."""
    readme = (ROOT / "README.md").read_text()
    found = re.search(r"<!-- config:scrape -->\n```yaml\n(.*?)```\n", readme, re.DOTALL)
    if not found:
        raise AssertionError("README.md has no config below config:scrape")
    return found[1]


@unittest.skipUnless(shutil.which("promtool"), "needs promtool")
class Config(unittest.TestCase):
    def test_readme(self):
        with tempfile.TemporaryDirectory() as directory:
            file = pathlib.Path(directory) / "prometheus.yml"
            file.write_text(readme_config())
            checked = subprocess.run(
                ["promtool", "check", "config", file], capture_output=True, text=True, timeout=60
            )
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)


@unittest.skipUnless(shutil.which("prometheus"), "needs prometheus")
class Scrape(unittest.TestCase):
    def test_scrape(self):
        example = self.enterContext(Example())
        for number in (1, 2, 3):
            self.assertEqual(example.post(f'"test message {number}"').status, 200)
        prometheus = self.enterContext(Prometheus(example.status_port))
        self.assertEqual(prometheus.wait_for_scrape(), ("up", ""))

        ((labels, requests),) = prometheus.query("requests_total")
        self.assertEqual(requests, 3)
        own = {name: labels[name] for name in LABELS}
        self.assertEqual(own, LABELS)
        errors = {m["error_type"]: v for m, v in prometheus.query("errors_total")}
        self.assertEqual(errors, dict.fromkeys(ERROR_TYPES, 0))
        ((_, at_most_ten_seconds),) = prometheus.query(
            'request_duration_seconds_bucket{le=~"10|10.0"}'
        )
        self.assertEqual(at_most_ten_seconds, 3)

        # A later scrape shows the calls since then.
        self.assertEqual(example.post(b'"one more"').status, 200)
        wait_until(
            "the next scrape",
            lambda: [value for _, value in prometheus.query("requests_total")] == [4],
        )
        self.assertEqual(prometheus.complaints(), [])

    def test_labels_of_the_target(self):
        example = self.enterContext(Example())
        # README's config with this port and a shorter interval.
        config = readme_config()
        for pattern, ours in (
            (r"scrape_interval: \S+", "scrape_interval: 1s\n    scrape_timeout: 1s"),
            (r"localhost:\d+", "127.0.0.1:{port}"),
            (r"        labels:\n(?:          .*\n)+", TARGET),
        ):
            config, replaced = re.subn(pattern, ours, config)
            self.assertEqual(replaced, 1, pattern)
        honoring = self.enterContext(Prometheus(example.status_port, config=config))
        not_honoring = config.replace("honor_labels: true", "honor_labels: false")
        self.assertNotEqual(config, not_honoring)
        renaming = self.enterContext(Prometheus(example.status_port, config=not_honoring))
        for prometheus in (honoring, renaming):
            self.assertEqual(prometheus.wait_for_scrape(), ("up", ""))
        ((labels, _),) = honoring.query("requests_total")
        self.assertEqual({name: labels[name] for name in LABELS}, LABELS)
        self.assertEqual([name for name in labels if name.startswith("exported_")], [])
        ((labels, _),) = renaming.query("requests_total")
        self.assertEqual((labels["namespace"], labels["endpoint"]), ("production", "metrics"))
        self.assertEqual(labels["exported_namespace"], LABELS["namespace"])
        self.assertEqual(labels["exported_endpoint"], LABELS["endpoint"])

    def test_protobuf_and_text_are_equivalent(self):
        # README's has no protobuf.
        example = self.enterContext(Example("system_server"))
        for number in (1, 2, 3):
            self.assertEqual(example.post(f'"test message {number}"').status, 200)
        self.assertEqual(example.post("not json").status, 400)
        wait_for(example, completed=3, deserialization=1)
        by_text = self.enterContext(Prometheus(example.status_port))
        # With these options Prometheus prefers protobuf.
        native = "--enable-feature=native-histograms"
        by_protobuf = self.enterContext(Prometheus(example.status_port, native))
        self.assertEqual(by_text.wait_for_scrape(), ("up", ""))
        self.assertEqual(by_protobuf.wait_for_scrape(), ("up", ""))

        samples = by_protobuf.samples()
        self.assertEqual(samples, by_text.samples())
        names = {dict(labels)["__name__"] for labels in samples}
        self.assertIn("request_duration_seconds_bucket", names)
        self.assertIn("my_custom_bytes_processed_total", names)
        for expression in (
            "sum(requests_total)",
            "sum by (error_type) (errors_total)",
            "histogram_quantile(0.5, request_duration_seconds_bucket)",
            "histogram_quantile(0.99, sum by (le) (request_duration_seconds_bucket))",
        ):
            with self.subTest(expression=expression):
                answer = by_protobuf.query(expression)
                self.assertTrue(answer)
                self.assertEqual(answer, by_text.query(expression))
        types = by_protobuf.types()
        # Only in protobuf does a counter have its sample's name, so Prometheus read protobuf.
        self.assertEqual(types["requests_total"], "counter")
        stems = {name.removesuffix("_total"): of_type for name, of_type in types.items()}
        self.assertEqual(stems, by_text.types())
        self.assertEqual(by_text.complaints() + by_protobuf.complaints(), [])


if __name__ == "__main__":
    unittest.main()
