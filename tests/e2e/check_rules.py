"""The generated rules, dashboards and runbooks, against promtool, a real Prometheus and Grafana's types."""

import concurrent.futures
import contextlib
import itertools
import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading
import unittest
from urllib.parse import quote, urlsplit

from daemons import CONFIG, Prometheus
from clients import Raw, ask, wait_until
from processes import EXAMPLES, TARGET, Process

NAMINGS = ("own", "axum_prometheus", "open_telemetry_server", "open_telemetry_client")
GRAFANA = pathlib.Path(os.environ.get("GRAFANA") or TARGET / "ci" / "tools" / "grafana" / "node_modules")

# Each is a call. Those of 700 ms miss the objective.
FATES = ("1", "5", "20", "700", "generate", "overloaded", "timeout", "deserialization", "panic", "events")

TYPED = """\
import type { Dashboard } from "@grafana/schema";
export const dashboard: Dashboard = %s;
"""


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)


def parallel(function, items):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return list(pool.map(function, items))


class Generated(unittest.TestCase):
    """What the example `dashboards` has written."""

    @classmethod
    def setUpClass(cls):
        cls.directory = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.generate(cls.directory)

    @staticmethod
    def generate(directory, *more):
        binary = EXAMPLES / "dashboards"
        if not binary.exists():
            raise AssertionError(f"build the examples first, there is no {binary}")
        done = run(binary, "--out", directory, *more)
        if done.returncode:
            raise AssertionError(done.stderr)

    def read(self, naming, name):
        return (self.directory / naming / name).read_text()


class Files(Generated):
    def test_alerts_link_to_their_runbooks(self):
        for naming in NAMINGS:
            rules = self.read(naming, "rules.yml")
            links = set(re.findall(r"runbook_url: (\S+)", rules))
            self.assertEqual(len(links), len(set(re.findall(r"alert: (\S+)", rules))))
            for link in links:
                self.assertTrue((self.directory / naming / link).is_file(), link)

    def test_the_address_of_the_runbooks_can_be_chosen(self):
        with tempfile.TemporaryDirectory() as directory:
            self.generate(directory, "--runbooks", "https://wiki.example/shop/")
            rules = (pathlib.Path(directory) / "own" / "rules.yml").read_text()
        self.assertIn("runbook_url: https://wiki.example/shop/TargetDown.md\n", rules)

    @unittest.skipUnless(shutil.which("promtool"), "needs promtool")
    def test_promtool_checks_the_rules(self):
        files = [self.directory / naming / "rules.yml" for naming in NAMINGS]
        checked = run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *files)
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)

    @unittest.skipUnless(shutil.which("promtool"), "needs promtool")
    def test_each_alert_fires_and_is_silent(self):
        def tested(naming):
            return run("promtool", "test", "rules", "rules_test.yml", cwd=self.directory / naming)

        for naming, done in zip(NAMINGS, parallel(tested, NAMINGS)):
            with self.subTest(naming):
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                # Every alert is tested both ways.
                tests = self.read(naming, "rules_test.yml")
                cases = re.findall(r"alertname: (\S+)\n +exp_alerts:( \[\])?", tests)
                alerts = set(re.findall(r"alert: (\S+)", self.read(naming, "rules.yml")))
                self.assertEqual({name for name, silent in cases if silent}, alerts)
                self.assertEqual({name for name, silent in cases if not silent}, alerts)

    @unittest.skipUnless(GRAFANA.exists(), f"needs @grafana/schema and typescript at {GRAFANA}")
    def test_dashboards_have_the_types_of_grafana(self):
        with tempfile.TemporaryDirectory() as directory:
            directory = pathlib.Path(directory)
            (directory / "node_modules").symlink_to(GRAFANA)
            names = [f"{naming}.mts" for naming in NAMINGS]
            for naming, name in zip(NAMINGS, names):
                (directory / name).write_text(TYPED % self.read(naming, "dashboard.json"))
            options = ("--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext")
            checked = run(GRAFANA / ".bin" / "tsc", *options, *names, cwd=directory)
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)


class Namings(Process):
    """A server that is measured under all namings, and a load of calls that end in every way."""

    def __init__(self):
        super().__init__("namings")
        self.port = urlsplit(self.addresses["work handler"]).port
        self.status_port = urlsplit(self.addresses["status server"]).port
        self.done = threading.Event()
        self.load = threading.Thread(target=self._load, daemon=True)
        self.load.start()

    def _load(self):
        for fate in itertools.cycle(FATES):
            # A panic ends the connection without an answer.
            with contextlib.suppress(OSError):
                ask(self.port, "POST", f"/fates/{fate}")
            if fate == "events":
                leaving = Raw(self.port)
                leaving.head("/fates/wait", method="GET")
                leaving.wait_for_an_answer()
                leaving.hang_up()
            if self.done.wait(0.02):
                return

    def close(self):
        if hasattr(self, "load"):
            self.done.set()
            self.load.join()
        super().close()


@unittest.skipUnless(shutil.which("prometheus"), "needs prometheus")
class Queries(Generated):
    def ask(self, expression):
        """Returns the series of an expression as a panel of Grafana asks for it."""
        for variable, value in (("$__rate_interval", "1m"), ("$job", ".+")):
            expression = expression.replace(variable, value)
        data = self.prometheus.api(f"query?query={quote(expression)}")
        self.assertIsNotNone(data, f"Prometheus doesn't read\n{expression}")
        return [one["metric"] for one in data["result"] if not math.isnan(float(one["value"][1]))]

    def test_expressions(self):
        server = self.enterContext(Namings())
        # The rules are evaluated as often as the target is scraped.
        config = CONFIG.replace("global:\n", "global:\n  evaluation_interval: 1s\n")
        config += "rule_files:\n"
        config += "".join(f"  - {self.directory / naming / 'rules.yml'}\n" for naming in NAMINGS)
        self.prometheus = self.enterContext(Prometheus(server.status_port, config=config))
        self.assertEqual(self.prometheus.wait_for_scrape(), ("up", ""))
        for naming in NAMINGS:
            with self.subTest(naming):
                self.panels_have_data(json.loads(self.read(naming, "dashboard.json")))
                self.queries_are_read(naming)
        self.rules_are_healthy()

    def panels_have_data(self, dashboard):
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                # The labels of the legend are there.
                labels = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))

                def has_data():
                    return any(labels <= series.keys() for series in self.ask(target["expr"]))

                wait_until(f"data for {panel['title']}: {target['expr']}", has_data, pause=0.5)

    def queries_are_read(self, naming):
        objective = self.read(naming, "objective.yml")
        for query in re.findall(r"query: (?:'(.*)'|\|-\n((?: {16}.*\n)+))", objective):
            self.assertTrue(self.ask("".join(query)), query)
        runbooks = [*(self.directory / naming / "runbooks").rglob("*.md")]
        self.assertGreater(len(runbooks), 10)
        for runbook in runbooks:
            queries = re.findall(r"```promql\n(.*?)```", runbook.read_text(), re.DOTALL)
            self.assertTrue(queries, runbook)
            for query in queries:
                self.ask(query)

    def rules_are_healthy(self):
        faults = []

        def healthy():
            groups = self.prometheus.api("rules")["groups"]
            faults[:] = [rule for group in groups for rule in group["rules"] if rule["health"] != "ok"]
            return not faults and groups

        # On a busy machine Prometheus itself is late at times. A rule that is wrong fails each time.
        with contextlib.suppress(AssertionError):
            groups = wait_until("healthy rules", healthy, pause=0.5)
        self.assertEqual(faults, [])
        self.assertEqual(len(groups), len(NAMINGS))
        for group in groups:
            states = {rule["name"]: rule["state"] for rule in group["rules"] if "state" in rule}
            # Others wait for minutes before they fire.
            expected = {"Panicked": "firing", "ErrorRatioHigh": "pending", "TargetDown": "inactive"}
            self.assertEqual({name: states[name] for name in expected}, expected, group["name"])


if __name__ == "__main__":
    unittest.main()
