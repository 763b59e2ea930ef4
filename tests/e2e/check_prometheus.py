"""A real Prometheus scrapes the example and returns the right numbers."""

import contextlib
import json
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import unittest
from urllib.parse import quote

from clients import ask, wait_until
from example import Example
from processes import ROOT
from tally import ERROR_TYPES, LABELS, wait_for

CONFIG = """\
global:
  scrape_interval: 1s
  scrape_timeout: 1s
scrape_configs:
  - job_name: example
    static_configs:
      - targets: ["127.0.0.1:{port}"]
"""


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


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Prometheus:
    """A Prometheus that scrapes one target. Its data is in a temporary directory."""

    def __init__(self, target_port, *options, config=CONFIG, binary="prometheus"):
        self.port = free_port()
        config = config.replace("{port}", str(target_port))
        with contextlib.ExitStack() as stack:
            directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
            file = directory / "prometheus.yml"
            file.write_text(config)
            self.log_path = directory / "log"
            log = stack.enter_context(self.log_path.open("w"))
            self.process = subprocess.Popen(
                [
                    binary,
                    f"--config.file={file}",
                    f"--storage.tsdb.path={directory / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                    *options,
                ],
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            stack.callback(self._stop)
            self._cleanup = stack.pop_all()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._cleanup.close()

    def _stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)

    def log(self):
        return self.log_path.read_text()

    def api(self, path):
        """Returns the `data` of an API response, or None until Prometheus is up."""
        if self.process.poll() is not None:
            raise AssertionError(f"Prometheus ended early:\n{self.log()}")
        try:
            answer = ask(self.port, "GET", f"/api/v1/{path}")
        except OSError:
            return None
        return json.loads(answer.body)["data"] if answer.status == 200 else None

    def query(self, expression):
        """Returns the result of a query: `[(labels, value)]`."""
        data = self.api(f"query?query={quote(expression)}")
        return [(one["metric"], float(one["value"][1])) for one in data["result"]]

    def wait_for_scrape(self):
        """Waits for the first scrape and returns its health and error."""

        def target_was_scraped():
            targets = (self.api("targets") or {}).get("activeTargets")
            return targets and targets[0]["health"] != "unknown" and targets[0]

        target = wait_until("the first scrape", target_was_scraped, patience=60, pause=0.2)
        return target["health"], target["lastError"]

    def types(self):
        """Returns the types of the target's families: `{name: type}`."""
        return {one["metric"]: one["type"] for one in self.api("targets/metadata")}

    def complaints(self):
        """Returns the warnings about scrapes in the log."""
        return [
            line
            for line in self.log().splitlines()
            if "scrape" in line and ("level=warn" in line or "level=error" in line)
        ]

    def samples(self):
        """Returns the target's series now: `{labels: value}`, without those of Prometheus itself."""
        own = re.compile("scrape_.*|up|uptime_seconds")
        return {
            tuple(sorted(labels.items())): value
            for labels, value in self.query('{job="example"}')
            if not own.fullmatch(labels["__name__"])
        }


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
        example = self.enterContext(Example())
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
