"""A fleet whose workers get killed: what clients saw, what pages said, and what PromQL answers, however it gets there."""

import collections
import http.server
import json
import re
import shutil
import threading
import time
import unittest

from clients import wait_until
from daemons import Daemon, Database, Prometheus
from fleet import COUNTERS, FATES, LOST, SELECTOR, Fleet, Place
from processes import ROOT
from tally import samples

CALLS = 480
# A worker is killed after more than half of its calls, so that its next run never reaches what it had counted.
FIRST_KILL, NEXT_KILL = CALLS // 2 + 16, 25

# How long to wait for what takes as long as all calls.
PATIENCE = 240

SCRAPE = """\
scrape_configs:
  - job_name: fleet
    file_sd_configs: [{files: ["TARGETS"]}]
    # Each run has series of its own, as each pod has in Kubernetes.
    relabel_configs: [{source_labels: [__meta_fleet_run], target_label: run}]
"""

# One of a pair. What tells it from the other is dropped from its alerts, so that they are the same alert.
REPLICA = """\
global:
  scrape_interval: 1s
  evaluation_interval: 1s
  external_labels: {replica: "REPLICA"}
rule_files: [rules.yml, alerts.yml]
alerting:
  alert_relabel_configs: [{action: labeldrop, regex: replica}]
  alertmanagers: [{static_configs: [{targets: ["127.0.0.1:{port}"]}]}]
"""

# Sums over all runs, those that have ended as well.
RULES = """\
groups:
  - name: fleet
    rules:
      - record: fleet:requests:sum
        expr: sum by (endpoint) (last_over_time(requests_total[1h]))
      - record: fleet:errors:sum
        expr: sum by (endpoint, error_type) (last_over_time(errors_total[1h]))
      - record: fleet:cancellations:sum
        expr: sum by (endpoint) (last_over_time(cancellations_total[1h]))
"""

# It gets the aggregates only.
FEDERATION = """\
global:
  scrape_interval: 1s
scrape_configs:
  - job_name: federation
    honor_labels: true
    metrics_path: /federate
    params: {"match[]": ['{__name__=~"fleet:.*"}']}
    static_configs: [{targets: ["127.0.0.1:{port}"]}]
"""

ALERTMANAGER = """\
route:
  receiver: test
  group_by: [alertname, endpoint]
  group_wait: 1s
  group_interval: 1s
  repeat_interval: 4h
receivers:
  - name: test
    webhook_configs: [{url: "http://127.0.0.1:PORT/", send_resolved: false}]
"""


def kubernetes_alerts():
    """Returns the rules of examples/kubernetes for a fleet that lives for a minute."""
    text = (ROOT / "examples/kubernetes/prometheus-rule.yaml").read_text()
    groups = re.search(r"^spec:\n((?:  .*\n|\n)+)", text, re.MULTILINE)[1]
    groups = re.sub(r"^  ", "", groups, flags=re.MULTILINE)
    for window, ours in (("5m", "10s"), ("1h", "30s"), ("30m", "30s"), ("6h", "60s")):
        groups = groups.replace(f"[{window}]", f"[{ours}]")
    return re.sub(r" for: \S+", " for: 0s", groups)


class Webhook(http.server.ThreadingHTTPServer):
    """Counts the notifications of an Alertmanager."""

    daemon_threads = True

    def __init__(self):
        received = self.received = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                received.append(json.loads(body))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class VictoriaMetrics(Daemon, Database):
    def __init__(self):
        super().__init__(
            "victoria-metrics",
            "-httpListenAddr=127.0.0.1:{port}",
            "-storageDataPath=data",
            # Answers with the newest samples too.
            "-search.latencyOffset=0s",
        )


def by_place(history):
    """Returns `{place: {counter: [(time, value)]}}` of series with a label `run`."""
    places = collections.defaultdict(dict)
    for labels, values in history:
        place = Place(labels["instance"], labels["run"], labels["endpoint"])
        places[place][labels["__name__"], labels.get("error_type")] = values
    return places


def split_at_resets(history):
    """Gives series without a label `run` one: a new run begins where `requests_total` falls."""
    resets = {}
    for labels, values in history:
        if labels["__name__"] == "requests_total":
            place = labels["instance"], labels["endpoint"]
            resets[place] = [b[0] for a, b in zip(values, values[1:]) if b[1] < a[1]]
    for labels, values in history:
        times = [0, *resets[labels["instance"], labels["endpoint"]], float("inf")]
        for run, (begin, end) in enumerate(zip(times, times[1:]), 1):
            of_run = [(time, value) for time, value in values if begin <= time < end]
            yield {**labels, "run": str(run)}, of_run


@unittest.skipUnless(shutil.which("prometheus"), "needs prometheus")
class TheFleet(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        start = cls.enterClassContext
        cls.fleet = start(Fleet(CALLS))
        cls.plain = Database(cls.fleet.prometheus_port)
        scrape = SCRAPE.replace("TARGETS", str(cls.fleet.targets))

        cls.alertmanager = None
        if shutil.which("prometheus-alertmanager"):
            cls.webhook = start(Webhook())
            config = ALERTMANAGER.replace("PORT", str(cls.webhook.server_address[1]))
            cls.alertmanager = start(
                Daemon(
                    "prometheus-alertmanager",
                    "--config.file=alertmanager.yml",
                    "--storage.path=data",
                    "--web.listen-address=127.0.0.1:{port}",
                    "--cluster.listen-address=",
                    files={"alertmanager.yml": config},
                )
            )
            ready = lambda: cls.alertmanager.get("/-/ready")
            wait_until("Alertmanager", ready, pause=0.2)
        alertmanager = cls.alertmanager.port if cls.alertmanager else 9
        rules = {"rules.yml": RULES, "alerts.yml": kubernetes_alerts()}
        cls.pair = [
            start(
                Prometheus(
                    alertmanager,
                    config=REPLICA.replace("REPLICA", replica) + scrape,
                    files=rules,
                )
            )
            for replica in "ab"
        ]
        cls.federation = start(Prometheus(cls.pair[0].port, config=FEDERATION))

        cls.receiver = start(Prometheus(None, "--web.enable-remote-write-receiver", config=""))
        writes = [f"http://127.0.0.1:{cls.receiver.port}/api/v1/write"]
        cls.victoria = None
        if shutil.which("victoria-metrics"):
            cls.victoria = start(VictoriaMetrics())
            writes.append(f"http://127.0.0.1:{cls.victoria.port}/api/v1/write")
        write = [{"url": url, "queue_config": {"batch_send_deadline": "1s"}} for url in writes]
        config = f"global: {{scrape_interval: 1s}}\nremote_write: {json.dumps(write)}\n"
        cls.agent = start(
            Prometheus(
                None,
                "--enable-feature=agent",
                config=config + scrape,
                storage="--storage.agent.path",
            )
        )
        # All that store every sample, by how it got there.
        cls.stores = {
            "scraped": cls.plain,
            "scraped by a": cls.pair[0],
            "scraped by b": cls.pair[1],
            "written by an agent": cls.receiver,
        }
        if cls.victoria:
            cls.stores["written to VictoriaMetrics"] = cls.victoria

        # No worker is killed before everybody knows it.
        for name, store in cls.stores.items():
            known = lambda: store.api("query?query=up") and store.query("count(uptime_seconds)")
            wait_until(f"all workers: {name}", lambda: known() == [({}, 20)], patience=60, pause=0.2)
        cls.killed = [f"worker-{number:02}" for number in range(0, 20, 3)]
        for index, instance in enumerate(cls.killed):
            cls.kill_after(instance, FIRST_KILL + NEXT_KILL * index)
        wait_until("all calls", cls.fleet.total, patience=PATIENCE)
        cls.calls = cls.fleet.calls()
        cls.wait_for_a_last_scrape()
        cls.histories = {
            name: by_place(split_at_resets(store.history(SELECTOR)) if store is cls.plain else store.history(SELECTOR))
            for name, store in cls.stores.items()
        }

    @classmethod
    def kill_after(cls, instance, calls):
        """Kills a worker when a scrape has seen so many calls to each of its endpoints."""
        expression = f'min(requests_total{{instance="{instance}"}}) >= {calls}'
        seen = lambda: cls.plain.query(expression)
        wait_until(f"{calls} calls to {instance}", seen, patience=PATIENCE, pause=0.25)
        cls.fleet.kill(instance)

    @classmethod
    def wait_for_a_last_scrape(cls):
        """Waits until all stores have a scrape of each worker that began after the last call."""
        now = time.time()
        running = {(instance, run) for instance, run in cls.fleet.workers()}
        for name, store in cls.stores.items():

            def scraped():
                late = {
                    (labels["instance"], labels.get("run"))
                    for labels, values in store.history("uptime_seconds")
                    if values[-1][0] > now
                }
                expected = {(instance, None) for instance, _ in running} if store is cls.plain else running
                return expected <= late

            wait_until(f"the last scrape: {name}", scraped, patience=60, pause=0.2)

    def last(self, name):
        """Returns the last value of each counter in a store: `{place: {counter: value}}`."""
        return {
            place: {counter: values[-1][1] for counter, values in counters.items() if values}
            for place, counters in self.histories[name].items()
        }

    def lost(self, name):
        """Returns the calls that a store doesn't know of: `{place: calls}`."""
        last = self.last(name)
        requests = ("requests_total", None)
        lost = {place: calls.calls[int(last[place][requests]) :] for place, calls in self.calls.items()}
        return {place: calls for place, calls in lost.items() if calls}

    def test_clients_saw_the_script(self):
        seen = collections.Counter()
        for place, calls in self.calls.items():
            for index, call in enumerate(calls.calls):
                if call.seen == LOST:
                    self.assertIn(place.instance, self.killed)
                    self.assertEqual((place.run, index), ("1", len(calls.calls) - 1))
                else:
                    self.assertEqual(call.seen, FATES[call.fate][0], (place, call))
                seen[call.seen] += 1
        self.assertEqual(seen, self.fleet.total())
        self.assertEqual(seen.total(), 20 * 2 * CALLS)
        runs = collections.Counter(place.instance for place in self.calls if place.endpoint == "chat")
        self.assertEqual(runs, {instance: 1 + (instance in self.killed) for instance in runs})

    def test_the_last_pages(self):
        for (instance, run), port in self.fleet.workers().items():
            page = samples(self.fleet.page(port))
            for endpoint in ("chat", "search"):
                calls = self.calls[Place(instance, run, endpoint)]
                for counter in COUNTERS:
                    name, error_type = counter
                    labels = {"component": "fleet", "endpoint": endpoint}
                    if error_type:
                        labels["error_type"] = error_type
                    with self.subTest(instance=instance, endpoint=endpoint, counter=counter):
                        value = page[name, tuple(sorted(labels.items()))]
                        self.assertEqual(value, calls.ended(counter))

    def test_completed_scrapes_lose_nothing(self):
        """A scrape has each call that had ended before, and none that began after."""
        durations = {
            (labels["instance"], time): value
            for store in self.stores.values()
            for labels, values in store.history("scrape_duration_seconds")
            if "instance" in labels
            for time, value in values
        }
        for name, places in self.histories.items():
            with self.subTest(name):
                self.assertEqual(places.keys(), self.calls.keys())
                for place, counters in places.items():
                    self.assertEqual(counters.keys(), COUNTERS.keys(), place)
                    for counter, values in counters.items():
                        for time, value in values:
                            duration = durations[place.instance, time]
                            least = self.calls[place].ended(counter, time)
                            most = self.calls[place].begun(counter, time + duration)
                            if not least <= value <= most:
                                self.fail(f"{place} {counter}: {value} at {time}, not {least} to {most}")

    def test_what_a_kill_cost(self):
        """Only killed runs miss calls. These ended after their last scrape began, or were open."""
        for name in self.stores:
            lost = self.lost(name)
            for place, calls in lost.items():
                self.assertEqual((place.instance in self.killed, place.run), (True, "1"))
                time, _ = self.histories[name][place]["requests_total", None][-1]
                for call in calls:
                    self.assertTrue(call.seen == LOST or call.end > time, (name, place, call, time))
            total = sum(map(len, lost.values()))
            counted = sum(one["requests_total", None] for one in self.last(name).values())
            self.assertEqual(counted + total, 20 * 2 * CALLS, name)
            print(f"\n{name}: {len(self.killed)} kills cost {total} of {20 * 2 * CALLS} calls")
        for place, calls in sorted(lost.items()):
            named = ", ".join(f"#{call.number} {call.fate}" for call in calls)
            print(f"  {place.instance} {place.endpoint}: {named}")

    def test_promql_answers_the_sums(self):
        for name, store in self.stores.items():
            if store is self.plain:
                continue
            for counter in COUNTERS:
                metric, error_type = counter
                selector = metric + (f'{{error_type="{error_type}"}}' if error_type else "")
                expression = f"sum by (endpoint) (last_over_time({selector}[1h]))"
                with self.subTest(name, expression=expression):
                    answer = {labels["endpoint"]: value for labels, value in store.query(expression)}
                    self.assertEqual(answer, self.sums(name, counter))

    def sums(self, name, counter):
        sums = collections.Counter()
        for place, last in self.last(name).items():
            sums[place.endpoint] += last[counter]
        return dict(sums)

    def test_promql_sees_restarts(self):
        """Where a run continues the series of the one before it."""
        resets = {
            (labels["instance"], labels["endpoint"]): value
            for labels, value in self.plain.query("resets(requests_total[1h])")
        }
        expected = {(place.instance, place.endpoint): place.instance in self.killed for place in self.calls}
        self.assertEqual(resets, expected)

    def test_federated_sums(self):
        recorded = {
            "fleet:requests:sum": lambda labels: ("requests_total", None),
            "fleet:errors:sum": lambda labels: ("errors_total", labels["error_type"]),
            "fleet:cancellations:sum": lambda labels: ("cancellations_total", None),
        }

        def answer(name):
            return {(labels["endpoint"], recorded[name](labels)): value for labels, value in self.federation.query(name)}

        for name, counter in recorded.items():
            counters = [one for one in COUNTERS if one[0] == counter({"error_type": None})[0]]
            expected = {
                (endpoint, one): value for one in counters for endpoint, value in self.sums("scraped by a", one).items()
            }
            with self.subTest(name):
                wait_until("the next evaluation and scrape", lambda: answer(name) == expected, pause=0.2)

    def test_remote_write_writes_the_same_everywhere(self):
        if not self.victoria:
            self.skipTest("needs victoria-metrics")
        prometheus, victoria = (
            self.histories[name] for name in ("written by an agent", "written to VictoriaMetrics")
        )
        self.assertEqual(prometheus.keys(), victoria.keys())
        for place in prometheus:
            for counter in COUNTERS:
                both = prometheus[place][counter], victoria[place][counter]
                # Scrapes go on, so one of them may have been asked a little later.
                count = min(map(len, both))
                self.assertEqual(both[0][:count], both[1][:count], (place, counter))

    def test_an_alert_of_a_pair_arrives_once(self):
        if not self.alertmanager:
            self.skipTest("needs prometheus-alertmanager")
        for replica in self.pair:
            metrics = replica.get("/metrics").decode()
            self.assertRegex(metrics, r"(?m)^prometheus_notifications_sent_total\{.*\} [1-9]")
            self.assertRegex(metrics, r"(?m)^prometheus_notifications_dropped_total 0$")
        arrived = collections.Counter()
        for notification in self.webhook.received:
            for alert in notification["alerts"]:
                self.assertEqual(alert["status"], "firing")
                self.assertNotIn("replica", alert["labels"])
                arrived[alert["labels"]["alertname"], alert["labels"]["endpoint"]] += 1
        alerts = ("ErrorBudgetBurnsFast", "ErrorBudgetBurnsSlowly")
        expected = {(alert, endpoint): 1 for alert in alerts for endpoint in ("chat", "search")}
        self.assertEqual(arrived, expected)


if __name__ == "__main__":
    unittest.main()
