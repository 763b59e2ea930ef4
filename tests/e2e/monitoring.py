"""All that watches a fleet: stores of its samples, however these get there, and who is notified."""

import contextlib
import http.server
import json
import shutil
import threading
import time

import yaml

from clients import wait_until
from daemons import Daemon, Database, Prometheus
from fleet import COUNTERS
from processes import ROOT

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
rule_files: [aggregates.yml, alerts.yml]
alerting:
  alert_relabel_configs: [{action: labeldrop, regex: replica}]
  alertmanagers: [{static_configs: [{targets: ["127.0.0.1:{port}"]}]}]
"""

# Sums over all runs, those that have ended as well.
AGGREGATES = """\
groups:
  - name: fleet
    rules:
      - record: fleet:requests_total:sum
        expr: sum by (endpoint) (last_over_time(requests_total[1h]))
      - record: fleet:errors_total:sum
        expr: sum by (endpoint, error_type) (last_over_time(errors_total[1h]))
      - record: fleet:cancellations_total:sum
        expr: sum by (endpoint) (last_over_time(cancellations_total[1h]))
"""

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
  group_by: [alertname, window]
  group_wait: 1s
  group_interval: 1s
  repeat_interval: 4h
receivers:
  - name: test
    webhook_configs: [{url: "http://127.0.0.1:PORT/", send_resolved: false}]
"""


def kubernetes_alerts():
    """Returns the objective's rules in examples/kubernetes, for a fleet that lives for a minute."""
    manifest = (ROOT / "examples/kubernetes/prometheus-rule.yaml").read_text()
    windows = {"5m": "10s", "30m": "30s", "1h": "30s", "2h": "30s", "6h": "60s", "1d": "60s", "3d": "60s"}
    for window, ours in windows.items():
        manifest = manifest.replace(f"[{window}]", f"[{ours}]")
    spec = yaml.safe_load(manifest)["spec"]
    for group in spec["groups"]:
        group["rules"] = [rule for rule in group["rules"] if rule.get("alert", "ErrorBudgetBurn") == "ErrorBudgetBurn"]
        for rule in group["rules"]:
            rule.pop("for", None)
    return json.dumps(spec)


class Webhook(http.server.ThreadingHTTPServer):
    """Keeps the notifications of an Alertmanager."""

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


class Alertmanager(Daemon):
    def __init__(self, webhook):
        config = ALERTMANAGER.replace("PORT", str(webhook.server_address[1]))
        super().__init__(
            "prometheus-alertmanager",
            "--config.file=alertmanager.yml",
            "--storage.path=data",
            "--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
            files={"alertmanager.yml": config},
        )


class VictoriaMetrics(Daemon, Database):
    def __init__(self):
        super().__init__(
            "victoria-metrics",
            "-httpListenAddr=127.0.0.1:{port}",
            "-storageDataPath=data",
            # Answers with the newest samples too.
            "-search.latencyOffset=0s",
        )


class Monitoring(contextlib.ExitStack):
    """Stores of a fleet's samples, by how these get there. What is not installed is None."""

    def __init__(self, fleet):
        super().__init__()
        self.fleet = fleet
        self.scrape = SCRAPE.replace("TARGETS", str(fleet.targets))
        # A worker's runs are one series here, that falls to 0, and a series each everywhere else.
        self.plain = Database(fleet.prometheus_port)
        with contextlib.ExitStack() as stack:
            stack.push(self)
            self._start()
            stack.pop_all()

    def _start(self):
        self.webhook = self.enter_context(Webhook())
        self.alertmanager = None
        if shutil.which("prometheus-alertmanager"):
            self.alertmanager = self.enter_context(Alertmanager(self.webhook))
            # What is sent before that is dropped.
            wait_until("Alertmanager", lambda: self.alertmanager.get("/-/ready"), pause=0.2)
        self.pair = [self._replica(name) for name in "ab"]
        self.federation = self.enter_context(Prometheus(self.pair[0].port, config=FEDERATION))

        receiver = Prometheus(None, "--web.enable-remote-write-receiver", config="")
        self.receiver = self.enter_context(receiver)
        self.victoria = None
        if shutil.which("victoria-metrics"):
            self.victoria = self.enter_context(VictoriaMetrics())
        self._agent([store for store in (self.receiver, self.victoria) if store])

        self.stores = {
            "scraped": self.plain,
            "scraped by a": self.pair[0],
            "scraped by b": self.pair[1],
            "written by an agent": self.receiver,
        }
        if self.victoria:
            self.stores["written to VictoriaMetrics"] = self.victoria

    def _replica(self, name):
        alertmanager = self.alertmanager.port if self.alertmanager else 9
        config = REPLICA.replace("REPLICA", name) + self.scrape
        files = {"aggregates.yml": AGGREGATES, "alerts.yml": kubernetes_alerts()}
        return self.enter_context(Prometheus(alertmanager, config=config, files=files))

    def _agent(self, receivers):
        """Starts a Prometheus that keeps nothing."""
        write = [
            {
                "url": f"http://127.0.0.1:{receiver.port}/api/v1/write",
                "queue_config": {"batch_send_deadline": "1s"},
            }
            for receiver in receivers
        ]
        config = f"global: {{scrape_interval: 1s}}\nremote_write: {json.dumps(write)}\n{self.scrape}"
        agent = Prometheus(
            None, "--enable-feature=agent", config=config, storage="--storage.agent.path"
        )
        self.enter_context(agent)

    def _wait_for_scrapes(self, what, begun_after):
        """Waits until each store has all of a scrape of each worker that began after a time."""
        new = " + ".join(
            f"count by (instance, run) (timestamp({name}) > {begun_after})"
            for name in {name for name, _ in COUNTERS}
        )
        running = set(self.fleet.workers())
        for name, store in self.stores.items():
            expected = {(instance, None) for instance, _ in running} if store is self.plain else running

            def complete():
                return expected <= {
                    (labels["instance"], labels.get("run"))
                    for labels, count in store.query(new)
                    if count == 2 * len(COUNTERS)
                }

            wait_until(f"{what}: {name}", complete, patience=60, pause=0.2)

    def wait_for_first_scrapes(self):
        self._wait_for_scrapes("the first scrapes", 0)

    def wait_for_last_scrapes(self):
        """Waits for scrapes that begin from now on."""
        self._wait_for_scrapes("the last scrapes", time.time())
