"""Servers that are not ours: Prometheus and what receives from it."""

import contextlib
import json
import pathlib
import random
import re
import socket
import subprocess
import tempfile
from urllib.parse import quote

from clients import ask, wait_until

CONFIG = """\
global:
  scrape_interval: 1s
  scrape_timeout: 1s
scrape_configs:
  - job_name: example
    static_configs:
      - targets: ["127.0.0.1:{port}"]
"""


def free_port():
    """Returns a port for a server that can't choose one itself. The system gives ports from 32768 on
    to connections, so none of these takes it meanwhile."""
    while True:
        port = random.randrange(10_000, 32_768)
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


class Server:
    """A server at a port, whoever runs it."""

    def __init__(self, port):
        self.port = port

    def get(self, path):
        """Returns the body of a response with status 200, or None until the server is up."""
        try:
            answer = ask(self.port, "GET", path)
        except OSError:
            return None
        return answer.body if answer.status == 200 else None


class Database(Server):
    """A server that answers PromQL."""

    def api(self, path):
        """Returns the `data` of an API response, or None until the server is up."""
        body = self.get(f"/api/v1/{path}")
        return body and json.loads(body)["data"]

    def _result(self, expression):
        data = self.api(f"query?query={quote(expression)}")
        return data["result"] if data else []

    def query(self, expression):
        """Returns the result of a query: `[(labels, value)]`, which is empty until the server is up."""
        return [(one["metric"], float(one["value"][1])) for one in self._result(expression)]

    def history(self, selector):
        """Returns the samples of the last hour as they are stored: `[(labels, [(time, value)])]`."""
        # VictoriaMetrics tells the end of a series too, which is marked by NaN.
        return [
            (one["metric"], [(time, float(value)) for time, value in one["values"] if value != "NaN"])
            for one in self._result(f"{selector}[1h]")
        ]


class Daemon(Server):
    """A running server with files and data in a temporary directory. `{port}` in its command is its port."""

    def __init__(self, *command, files=None):
        super().__init__(free_port())
        with contextlib.ExitStack() as stack:
            directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
            for name, text in (files or {}).items():
                (directory / name).write_text(text)
            self.log_path = directory / "log"
            log = stack.enter_context(self.log_path.open("w"))
            self.process = subprocess.Popen(
                [part.replace("{port}", str(self.port)) for part in command],
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

    def get(self, path):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.process.args[0]} ended early:\n{self.log()}")
        return super().get(path)


class Prometheus(Daemon, Database):
    """A Prometheus. `{port}` in its configuration is the target's port."""

    def __init__(
        self,
        target_port,
        *options,
        config=CONFIG,
        files=None,
        storage="--storage.tsdb.path",
        binary="prometheus",
    ):
        super().__init__(
            binary,
            "--config.file=prometheus.yml",
            f"{storage}=data",
            "--web.listen-address=127.0.0.1:{port}",
            *options,
            files={"prometheus.yml": config.replace("{port}", str(target_port)), **(files or {})},
        )

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
