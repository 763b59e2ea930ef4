"""The example `fleet`, and what its clients wrote about their calls."""

import bisect
import collections
import json
import os
import pathlib
import re
import signal
import tempfile

from clients import ask
from daemons import free_port
from processes import Process
from tally import ERROR_TYPES

WORKERS = 20

COMPLETED, CANCELLED = "completed", "cancelled"

# What the calls of the script ask for: what their clients have to see, and how they have to be counted.
FATES = {
    "whole": ("200", COMPLETED),
    "stream": ("200", COMPLETED),
    "wait": ("hung up", CANCELLED),
    "nonsense": ("400", "deserialization"),
    "fail": ("500", "generate"),
    "refuse": ("503", "overloaded"),
    "time out": ("504", "timeout"),
    "break before": ("broken off", "response_stream"),
    "break after": ("broken off", "publish_response"),
}
LOST = "lost"

# How exact the times of scrapes are. Prometheus moves them by up to 2 ms, so that they compress well.
SECONDS = 0.005

# The counters of an endpoint, as (name, error type), and the outcomes that each counts.
COUNTERS = {
    ("requests_total", None): {COMPLETED, CANCELLED, *ERROR_TYPES},
    ("request_duration_seconds_count", None): {COMPLETED, CANCELLED, *ERROR_TYPES},
    ("cancellations_total", None): {CANCELLED},
    **{("errors_total", error_type): {error_type} for error_type in ERROR_TYPES},
}
# Selects them all.
SELECTOR = '{{__name__=~"{}"}}'.format("|".join(sorted({name for name, _ in COUNTERS})))

Place = collections.namedtuple("Place", "instance run endpoint")
Call = collections.namedtuple("Call", "number fate seen begin end")


class Calls:
    """The calls to one endpoint in one run of a worker. They were made one after another, so what the
    worker has counted at any time is a beginning of them."""

    def __init__(self, calls):
        self.calls = calls
        self.begins = [call.begin for call in calls]
        # How the last call ended is unknown if the worker died.
        self.ends = [call.end for call in calls if call.seen != LOST]
        self.counts = {}
        for counter, outcomes in COUNTERS.items():
            counts = [0]
            for call in calls:
                counts.append(counts[-1] + (FATES[call.fate][1] in outcomes))
            self.counts[counter] = counts

    def ended(self, counter, time=float("inf")):
        """How many calls of a counter had ended for their client at a time."""
        return self.counts[counter][bisect.bisect_left(self.ends, time - SECONDS)]

    def begun(self, counter, time=float("inf")):
        """How many had begun."""
        return self.counts[counter][bisect.bisect_right(self.begins, time + SECONDS)]


class Fleet(Process):
    """The running fleet, with a Prometheus of its own."""

    def __init__(self, calls):
        self.directory = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.path = pathlib.Path(self.directory.name)
        self.prometheus_port = free_port()
        variables = {
            "FLEET_WORKERS": str(WORKERS),
            "FLEET_CALLS": str(calls),
            "FLEET_DIR": str(self.path),
            "FLEET_PROMETHEUS_PORT": str(self.prometheus_port),
        }
        super().__init__("fleet", **variables)
        self.targets = self.path / "targets.json"

    def close(self):
        super().close()
        self.directory.cleanup()

    def workers(self):
        """Returns the workers that run: `{(instance, run): port}`."""
        found = {}
        for one in json.loads(self.targets.read_text()):
            labels, (target,) = one["labels"], one["targets"]
            found[labels["instance"], labels["__meta_fleet_run"]] = int(target.rsplit(":", 1)[1])
        return found

    def page(self, port):
        answer = ask(port, "GET", "/metrics")
        if answer.status != 200:
            raise AssertionError(f"/metrics answered {answer.status}: {answer.text}")
        return answer.text

    def kill(self, instance):
        """Kills the first run of a worker without warning."""
        process = re.search(rf"^{instance}: +run 1, process (\d+),", self.output(), re.MULTILINE)
        os.kill(int(process[1]), signal.SIGKILL)

    def total(self):
        """Returns what the clients saw, as the fleet prints it, or None until all calls are made."""
        found = re.search(r"^clients saw: +(.*)$", self.output(), re.MULTILINE)
        return found and json.loads(found[1])

    def calls(self):
        """Returns `{place: calls}`."""
        places = collections.defaultdict(list)
        for line in (self.path / "calls.jsonl").read_text().splitlines():
            one = json.loads(line)
            place = Place(one["instance"], str(one["run"]), one["endpoint"])
            places[place].append(Call(*(one[name] for name in Call._fields)))
        return {place: Calls(calls) for place, calls in places.items()}
