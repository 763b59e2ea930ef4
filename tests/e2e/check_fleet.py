"""A fleet whose workers get killed: what clients saw, what pages said, and what PromQL answers."""

import collections
import contextlib
import re
import shutil
import subprocess
import tempfile
import unittest

from clients import wait_until
from fleet import COUNTERS, FATES, LOST, SELECTOR, WORKERS, Fleet, Place
from monitoring import Monitoring
from processes import ROOT
from tally import samples

# How many calls each endpoint of a worker gets. There are two.
CALLS = 480
ALL_CALLS = WORKERS * 2 * CALLS
# The first worker is killed after so many of them, and another one after each few more. It has then
# had more than half of its calls, so its next run never reaches what it had counted.
FIRST_KILL, NEXT_KILL = CALLS // 2 + 16, 25

# The time limit of what takes as long as the calls, in seconds.
PATIENCE = 240


def split_at_resets(history):
    """Gives series that go on through all runs a label `run`. A run begins where `requests_total` falls."""
    resets = {}
    for labels, values in history:
        if labels["__name__"] == "requests_total":
            falls = [b[0] for a, b in zip(values, values[1:]) if b[1] < a[1]]
            resets[labels["instance"], labels["endpoint"]] = falls
    for labels, values in history:
        times = [0, *resets[labels["instance"], labels["endpoint"]], float("inf")]
        for run, (begin, end) in enumerate(zip(times, times[1:]), 1):
            of_run = [(time, value) for time, value in values if begin <= time < end]
            yield {**labels, "run": str(run)}, of_run


def by_place(history):
    """Returns `{place: {counter: [(time, value)]}}`."""
    places = collections.defaultdict(dict)
    for labels, values in history:
        place = Place(labels["instance"], labels["run"], labels["endpoint"])
        places[place][labels["__name__"], labels.get("error_type")] = values
    return places


@unittest.skipUnless(shutil.which("promtool"), "needs promtool")
class Guide(unittest.TestCase):
    def test_configurations(self):
        chapter = (ROOT / "src/guide/fleet.md").read_text()
        blocks = re.findall(r"^```yaml\n(.*?)^```$", chapter, re.MULTILINE | re.DOTALL)
        self.assertEqual(len(blocks), 3)
        for block in blocks:
            what = "rules" if block.startswith("groups:") else "config"
            with self.subTest(block), tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
                file.write(block)
                file.flush()
                command = ["promtool", "check", what, file.name]
                checked = subprocess.run(command, capture_output=True, text=True, timeout=60)
                self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)


@unittest.skipUnless(shutil.which("prometheus"), "needs prometheus")
class TheFleet(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.fleet = cls.enterClassContext(Fleet(CALLS))
        cls.monitoring = cls.enterClassContext(Monitoring(cls.fleet))
        wait_until("all workers", lambda: len(cls.fleet.workers()) == WORKERS)
        cls.monitoring.wait_for_first_scrapes()
        # A third of them.
        cls.killed = [f"worker-{number:02}" for number in range(0, WORKERS, 3)]
        for index, instance in enumerate(cls.killed):
            cls.kill_after(FIRST_KILL + NEXT_KILL * index, instance)
        wait_until("all calls", cls.fleet.total, patience=PATIENCE)
        cls.calls = cls.fleet.calls()
        cls.monitoring.wait_for_last_scrapes()
        cls.histories = {}
        for name, store in cls.monitoring.stores.items():
            history = store.history(SELECTOR)
            if store is cls.monitoring.plain:
                history = split_at_resets(history)
            cls.histories[name] = by_place(history)

    @classmethod
    def kill_after(cls, calls, instance):
        """Kills a worker without warning when a scrape has seen so many calls to each of its endpoints."""
        expression = f'min(requests_total{{instance="{instance}"}}) >= {calls}'
        seen = lambda: cls.monitoring.plain.query(expression)
        wait_until(f"{calls} calls to {instance}", seen, patience=PATIENCE, pause=0.25)
        cls.fleet.kill(instance)

    def last(self, name):
        """Returns the last value of each counter in a store: `{place: {counter: value}}`."""
        return {
            place: {counter: values[-1][1] for counter, values in counters.items()}
            for place, counters in self.histories[name].items()
        }

    def sums(self, name, counter):
        """Returns the sum of the last values of a counter in a store: `{endpoint: sum}`."""
        sums = collections.Counter()
        for place, last in self.last(name).items():
            sums[place.endpoint] += last[counter]
        return sums

    def lost(self, name):
        """Returns the calls that a store doesn't know of: `{place: calls}`."""
        lost = {}
        for place, last in self.last(name).items():
            calls = self.calls[place].calls[int(last["requests_total", None]) :]
            if calls:
                lost[place] = calls
        return lost

    def test_clients_saw_the_script(self):
        seen = collections.Counter()
        for place, calls in self.calls.items():
            for call in calls.calls:
                seen[call.seen] += 1
                if call.seen == LOST:
                    self.assertEqual((place.instance in self.killed, place.run), (True, "1"))
                    self.assertEqual(call, calls.calls[-1])
                else:
                    self.assertEqual(call.seen, FATES[call.fate][0], (place, call))
        self.assertEqual(seen, self.fleet.total())
        self.assertEqual(seen.total(), ALL_CALLS)
        runs = collections.Counter(instance for instance, _, endpoint in self.calls if endpoint == "chat")
        self.assertEqual(runs, {instance: 1 + (instance in self.killed) for instance in runs})

    def test_the_last_pages(self):
        """At rest a page has exactly the calls that the clients made."""
        for (instance, run), port in self.fleet.workers().items():
            page = collections.defaultdict(dict)
            for (name, labels), value in samples(self.fleet.page(port)).items():
                labels = dict(labels)
                counter = name, labels.get("error_type")
                if counter in COUNTERS:
                    page[labels["endpoint"]][counter] = value
            for endpoint, counters in page.items():
                calls = self.calls[Place(instance, run, endpoint)]
                expected = {counter: calls.ended(counter) for counter in COUNTERS}
                self.assertEqual(counters, expected, (instance, endpoint))
            self.assertEqual(len(page), 2)

    def test_completed_scrapes_lose_nothing(self):
        """A scrape has each call that had ended when it began, and none that began after it had ended."""
        for name, store in self.monitoring.stores.items():
            durations = {
                (labels["instance"], time): value
                for labels, values in store.history('scrape_duration_seconds{job="fleet"}')
                for time, value in values
            }
            self.assertEqual(self.histories[name].keys(), self.calls.keys(), name)
            for place, counters in self.histories[name].items():
                self.assertEqual(counters.keys(), COUNTERS.keys(), (name, place))
                for counter, values in counters.items():
                    for time, value in values:
                        least = self.calls[place].ended(counter, time)
                        # The last scrape of all may have no duration yet. No call is made during that.
                        end = time + durations.get((place.instance, time), 0)
                        most = self.calls[place].begun(counter, end)
                        if not least <= value <= most:
                            self.fail(f"{name} {place} {counter} {time}: {value}, not {least} to {most}")

    def test_what_a_kill_cost(self):
        """Only killed runs miss calls. These ended after their last scrape had begun, or were open."""
        for name in self.histories:
            lost = self.lost(name)
            for place, calls in lost.items():
                self.assertEqual((place.instance in self.killed, place.run), (True, "1"))
                last_scrape, _ = self.histories[name][place]["requests_total", None][-1]
                for call in calls:
                    unseen = call.seen == LOST or call.end > last_scrape
                    self.assertTrue(unseen, (name, place, call, last_scrape))
            total = sum(map(len, lost.values()))
            self.assertEqual(self.sums(name, ("requests_total", None)).total() + total, ALL_CALLS)
            print(f"\n{name}: {len(self.killed)} kills cost {total} of {ALL_CALLS} calls")
        for place, calls in sorted(lost.items()):
            named = ", ".join(f"#{call.number} {call.fate}" for call in calls)
            print(f"  {place.instance} {place.endpoint}: {named}")

    def test_promql_answers_the_sums(self):
        for name, store in self.monitoring.stores.items():
            if store is self.monitoring.plain:
                continue
            for counter in COUNTERS:
                metric, error_type = counter
                selector = metric + (f'{{error_type="{error_type}"}}' if error_type else "")
                expression = f"sum by (endpoint) (last_over_time({selector}[1h]))"
                with self.subTest(name, expression=expression):
                    found = {labels["endpoint"]: value for labels, value in store.query(expression)}
                    self.assertEqual(found, self.sums(name, counter))

    def test_promql_sees_restarts(self):
        """Where a run goes on with the series of the one before it."""
        resets = {
            (labels["instance"], labels["endpoint"]): value
            for labels, value in self.monitoring.plain.query("resets(requests_total[1h])")
        }
        expected = {(one.instance, one.endpoint): one.instance in self.killed for one in self.calls}
        self.assertEqual(resets, expected)

    def test_federated_sums(self):
        def federated():
            return {
                (labels["endpoint"], (labels["__name__"].split(":")[1], labels.get("error_type"))): value
                for labels, value in self.monitoring.federation.query('{__name__=~"fleet:.*"}')
            }

        expected = {
            (endpoint, counter): value
            for counter in COUNTERS
            # Nobody records it.
            if counter != ("request_duration_seconds_count", None)
            for endpoint, value in self.sums("scraped by a", counter).items()
        }
        # They are recorded and scraped every second.
        with contextlib.suppress(AssertionError):
            wait_until("the next scrape", lambda: federated() == expected, pause=0.2)
        self.assertEqual(federated(), expected)

    def test_remote_write_writes_the_same_everywhere(self):
        if not self.monitoring.victoria:
            self.skipTest("needs victoria-metrics")
        prometheus = self.histories["written by an agent"]
        victoria = self.histories["written to VictoriaMetrics"]
        self.assertEqual(prometheus.keys(), victoria.keys())
        for place in prometheus:
            for counter in COUNTERS:
                one, other = prometheus[place][counter], victoria[place][counter]
                # Scrapes go on, so one of them may have been asked a little later.
                count = min(len(one), len(other))
                self.assertEqual(one[:count], other[:count], (place, counter))

    def test_an_alert_of_a_pair_arrives_once(self):
        if not self.monitoring.alertmanager:
            self.skipTest("needs prometheus-alertmanager")
        for replica in self.monitoring.pair:
            metrics = replica.get("/metrics").decode()
            self.assertRegex(metrics, r"(?m)^prometheus_notifications_sent_total\{.*\} [1-9]")
            self.assertRegex(metrics, r"(?m)^prometheus_notifications_dropped_total 0$")
        arrived = collections.Counter()
        for notification in self.monitoring.webhook.received:
            for alert in notification["alerts"]:
                self.assertEqual(alert["status"], "firing")
                arrived[alert["labels"]["alertname"], alert["labels"]["window"]] += 1
        # One for each pair of windows.
        expected = {("ErrorBudgetBurn", window): 1 for window in ("1h", "6h", "1d", "3d")}
        self.assertEqual(arrived, expected)


if __name__ == "__main__":
    unittest.main()
