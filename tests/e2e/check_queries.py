"""Queries of a real Prometheus match the load generator."""

import json
import math
import shutil
import subprocess
import time
import unittest
from urllib.parse import quote

from clients import PATIENCE, wait_until
from daemons import Prometheus
from example import Example
from processes import EXAMPLES, Process
from tally import wait_for

# The range of the queries in seconds. It covers everything that the checks do.
RANGE = 60


def at_one_time(prometheus, expressions):
    """Returns the values of expressions at one time. Each has one series."""
    now = time.time()
    values = []
    for expression in expressions:
        data = prometheus.api(f"query?query={quote(expression)}&time={now}")
        (series,) = data["result"]
        values.append(series.get("values") or float(series["value"][1]))
    return values


def last(prometheus, expression):
    """Returns the value of the only series at the last scrape."""
    return [value for _, value in prometheus.query(expression)]


def wait_for_scrapes(prometheus, count):
    """Waits for this many more scrapes."""
    scrapes = f'count_over_time(up{{job="example"}}[{RANGE}s])'
    (before,) = last(prometheus, scrapes) or [0]
    wait_until(
        f"{count} more scrapes",
        lambda: last(prometheus, scrapes) >= [before + count],
        patience=60,
        pause=0.2,
    )


def quantile(q, buckets):
    """Returns what `histogram_quantile` interpolates from cumulative `[(bound, count)]`."""
    buckets = sorted(buckets)
    rank = q * buckets[-1][1]
    index = next(i for i, (_, count) in enumerate(buckets) if count >= rank)
    bound, count = buckets[index]
    if math.isinf(bound):
        return buckets[-2][0]
    start, below = buckets[index - 1] if index else (0.0, 0)
    return start + (bound - start) * (rank - below) / (count - below)


@unittest.skipUnless(shutil.which("prometheus"), "needs prometheus")
class Queries(unittest.TestCase):
    def scraped(self, process, port):
        """Starts a Prometheus that scrapes the process before any call."""
        prometheus = self.enterContext(Prometheus(port))
        wait_until(
            "a first scrape",
            lambda: prometheus.api("targets") and last(prometheus, "requests_total") == [0],
            patience=60,
            pause=0.2,
        )
        return prometheus

    def assert_is_content(self, prometheus):
        """Checks that the log has no warning, and that the target was always up."""
        loud = [
            line
            for line in prometheus.log().splitlines()
            if "level=warn" in line or "level=error" in line
        ]
        self.assertEqual(loud, [])
        self.assertEqual(last(prometheus, f"min_over_time(up[{RANGE}s])"), [1])
        (target,) = prometheus.api("targets")["activeTargets"]
        self.assertEqual((target["health"], target["lastError"]), ("up", ""))

    def test_rates(self):
        example = self.enterContext(Example())
        prometheus = self.scraped(example, example.status_port)
        for number in range(40):
            body = "not json" if number % 4 == 0 else '"text"'
            example.post(body)
        wait_for(example, completed=30, deserialization=10)
        # Enough scrapes that little is extrapolated.
        wait_for_scrapes(prometheus, 8)
        for series, expected in (
            ("requests_total", 40),
            ('errors_total{error_type="deserialization"}', 10),
            ('errors_total{error_type="generate"}', 0),
            ("request_duration_seconds_count", 40),
            ('request_duration_seconds_bucket{le="+Inf"}', 40),
            ("request_bytes_total", 30 * len('"text"') + 10 * len("not json")),
        ):
            with self.subTest(series=series):
                raw, rate = at_one_time(
                    prometheus, (f"{series}[{RANGE}s]", f"rate({series}[{RANGE}s])")
                )
                times = [at for at, _ in raw]
                values = [float(value) for _, value in raw]
                self.assertEqual(values[-1] - values[0], expected)
                self.assertEqual(values, sorted(values))
                # Prometheus extrapolates at most 1.1 intervals on either side.
                seen = times[-1] - times[0]
                beyond = 2 * 1.1 * seen / (len(times) - 1)
                self.assertGreaterEqual(rate * RANGE, expected * 0.999)
                self.assertLessEqual(rate * RANGE, expected * (1 + beyond / seen) * 1.001)
        self.assert_is_content(prometheus)

    def test_quantiles(self):
        worker = self.enterContext(Process("work_handler"))
        port = int(worker.addresses["status server"].rsplit(":", 1)[1].split("/")[0])
        prometheus = self.scraped(worker, port)
        # Each item takes at least this many milliseconds. A request has two items.
        delays = [0] * 12 + [15] * 6 + [60] * 2
        requests = [json.dumps({"text": "ab", "delay_ms": delay}) for delay in delays]
        began = time.monotonic()
        subprocess.run(
            [EXAMPLES / "work_client", *requests],
            env={"DYN_WORKER": worker.addresses["work handler"]},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=True,
        )
        took = time.monotonic() - began
        worker.wait_for(len(delays), "requests_total")
        wait_for_scrapes(prometheus, 2)

        buckets = [
            (float(labels["le"]), count)
            for labels, count in prometheus.query("request_duration_seconds_bucket")
        ]
        self.assertEqual(max(buckets), (math.inf, len(delays)))
        # No bucket below the request's own waiting time may count it.
        for bound, count in buckets:
            faster = sum(2 * delay / 1e3 <= bound for delay in delays)
            self.assertLessEqual(count, faster, f"le={bound}")
        (total,) = last(prometheus, "request_duration_seconds_sum")
        self.assertGreaterEqual(total, sum(2 * delay for delay in delays) / 1e3)
        self.assertLessEqual(total, took)
        for q in (0.1, 0.5, 0.9, 0.99, 1):
            for inner in (
                "request_duration_seconds_bucket",
                "sum by (le) (request_duration_seconds_bucket)",
            ):
                with self.subTest(q=q, inner=inner):
                    (answer,) = last(prometheus, f"histogram_quantile({q}, {inner})")
                    self.assertAlmostEqual(answer, quantile(q, buckets))
        (slowest,) = last(prometheus, "histogram_quantile(0.99, request_duration_seconds_bucket)")
        bounds = sorted(bound for bound, _ in buckets)
        # The two slowest requests are above the bucket that ends before their duration.
        self.assertGreaterEqual(slowest, max(b for b in bounds if b < 2 * max(delays) / 1e3))
        self.assert_is_content(prometheus)

    # `check_native.py` has the queries of native histograms.


if __name__ == "__main__":
    unittest.main()
