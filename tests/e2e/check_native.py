"""Native histograms and exemplars in a real Prometheus match the load generator."""

import shutil
import unittest
from urllib.parse import urlsplit

from clients import ask, wait_until
from daemons import Prometheus
from processes import Process

OPENMETRICS = "application/openmetrics-text;version=1.0.0"
FEATURES = "--enable-feature=native-histograms,exemplar-storage"
NAME = "request_duration_seconds"

# Milliseconds. In buckets that end at 2^(i/8) s, these are in -24, -16, -16, 0 and 13.
LASTS = (125, 240, 250, 1000, 3000)


def bound(index):
    """The upper bound of a native histogram's bucket, in seconds."""
    return 2 ** (index / 8)


class TimedCalls(Process):
    """The program `timed_calls`, whose calls have a given duration."""

    def __init__(self):
        super().__init__("timed_calls")
        self.port = urlsplit(self.addresses["work handler"]).port

    def call(self, endpoint, milliseconds, trace=None):
        headers = {"traceparent": f"00-{trace:032x}-{trace:016x}-01"} if trace else {}
        answer = ask(self.port, "GET", f"/{endpoint}/{milliseconds}", headers=headers)
        if answer.status != 200:
            raise AssertionError(f"{answer.status}: {answer.text}")


@unittest.skipUnless(shutil.which("prometheus"), "needs prometheus")
class NativeHistograms(unittest.TestCase):
    def test_queries_match(self):
        served = self.enterContext(TimedCalls())
        prometheus = self.enterContext(
            Prometheus(urlsplit(served.addresses["status server"]).port, FEATURES)
        )
        for trace, milliseconds in enumerate(LASTS, start=1):
            for endpoint in ("both", "native"):
                served.call(endpoint, milliseconds, trace)
        self.assertEqual(prometheus.wait_for_scrape(), ("up", ""))
        self.wait_for_count(prometheus, len(LASTS))

        for endpoint in ("both", "native"):
            series = f'{NAME}{{endpoint="{endpoint}"}}'
            with self.subTest(endpoint=endpoint):
                histogram = self.histogram(prometheus, series)
                self.assertEqual(float(histogram["count"]), len(LASTS))
                self.assertAlmostEqual(float(histogram["sum"]), sum(LASTS) / 1e3)
                buckets = [
                    (float(low), float(high), float(count))
                    for _, low, high, count in histogram["buckets"]
                ]
                expected = [(-24, 1), (-16, 2), (0, 1), (13, 1)]
                self.assertEqual(len(buckets), len(expected))
                for (low, high, count), (index, held) in zip(buckets, expected):
                    self.assertAlmostEqual(low, bound(index - 1))
                    self.assertAlmostEqual(high, bound(index))
                    self.assertEqual(count, held)
                for function, value in (
                    ("histogram_count", len(LASTS)),
                    ("histogram_sum", sum(LASTS) / 1e3),
                ):
                    self.assert_answers(prometheus, f"{function}({series})", value)
                # Exact to 9 %: the third of five values, and the last one.
                self.assert_between(prometheus, f"histogram_quantile(0.5, {series})", -17, -16)
                self.assert_between(prometheus, f"histogram_quantile(0.99, {series})", 12, 13)
                self.assert_answers(
                    prometheus, f"histogram_quantile(1, {series})", bound(13)
                )

        # A histogram that is only native has no bucket series.
        self.assertEqual(prometheus.query(f"{NAME}_bucket"), [])

        # Many more calls of half a second each, for rates.
        for _ in range(40):
            served.call("both", 500)
            served.call("native", 500)
        self.wait_for_count(prometheus, len(LASTS) + 40)
        for endpoint in ("both", "native"):
            rate = f'rate({NAME}{{endpoint="{endpoint}"}}[1m])'
            with self.subTest(rate=endpoint):
                self.assert_answers(
                    prometheus, f"histogram_sum({rate}) / histogram_count({rate})", 0.5
                )
                self.assert_between(prometheus, f"histogram_quantile(0.9, {rate})", -9, -8)

        self.assertEqual(prometheus.complaints(), [])

    def test_exemplars_are_stored(self):
        served = self.enterContext(TimedCalls())
        port = urlsplit(served.addresses["status server"]).port
        by_text = self.enterContext(Prometheus(port, "--enable-feature=exemplar-storage"))
        by_protobuf = self.enterContext(Prometheus(port, FEATURES))
        for endpoint in ("both", "native"):
            served.call(endpoint, 3000, trace=0xABC)
        for prometheus, names in ((by_text, f"{NAME}_bucket"), (by_protobuf, NAME)):
            with self.subTest(names=names):
                self.assertEqual(prometheus.wait_for_scrape(), ("up", ""))
                found = wait_until(
                    "exemplars of both endpoints",
                    lambda: self.exemplars(prometheus, names),
                )
                self.assertEqual(
                    found,
                    {
                        "both": [(f"{0xABC:032x}", f"{0xABC:016x}", 3.0)],
                        "native": [(f"{0xABC:032x}", f"{0xABC:016x}", 3.0)],
                    },
                )
                self.assertEqual(prometheus.complaints(), [])

    def test_strict_parsers_read_the_text(self):
        try:
            from prometheus_client.openmetrics import parser
        except ImportError:
            self.skipTest("needs prometheus_client")
        served = self.enterContext(TimedCalls())
        for endpoint in ("both", "native"):
            served.call(endpoint, 3000, trace=0xABC)
        page = served.status("/metrics", accept=OPENMETRICS).text
        families = {one.name: one for one in parser.text_string_to_metric_families(page)}
        native = {
            (sample.name.removeprefix(NAME), sample.labels.get("le")): sample
            for sample in families[NAME].samples
            if sample.labels["endpoint"] == "native"
        }
        values = {place: sample.value for place, sample in native.items()}
        self.assertEqual(
            values, {("_bucket", "+Inf"): 1, ("_count", None): 1, ("_sum", None): 3}
        )
        exemplar = native["_bucket", "+Inf"].exemplar
        self.assertEqual(exemplar.labels["trace_id"], f"{0xABC:032x}")
        self.assertEqual(exemplar.value, 3)

    @staticmethod
    def histogram(prometheus, series):
        (one,) = prometheus.api(f"query?query={series}")["result"]
        return one["histogram"][1]

    @staticmethod
    def exemplars(prometheus, name):
        """Returns trace, span and value by endpoint, or None until both have an exemplar."""
        query = f"query_exemplars?query={name}&start=0&end=9999999999"
        found = {}
        for one in prometheus.api(query):
            for exemplar in one["exemplars"]:
                labels = exemplar["labels"]
                shown = labels["trace_id"], labels["span_id"], float(exemplar["value"])
                known = found.setdefault(one["seriesLabels"]["endpoint"], [])
                if shown not in known:
                    known.append(shown)
        return found if len(found) == 2 else None

    @staticmethod
    def wait_for_count(prometheus, count):
        wait_until(
            f"{count} calls in both histograms",
            lambda: [value for _, value in prometheus.query(f"histogram_count({NAME})")]
            == [count, count],
        )

    def assert_answers(self, prometheus, expression, expected):
        ((_, value),) = prometheus.query(expression)
        self.assertAlmostEqual(value, expected, msg=expression)

    def assert_between(self, prometheus, expression, low, high):
        ((_, value),) = prometheus.query(expression)
        self.assertGreater(value, bound(low), expression)
        self.assertLessEqual(value, bound(high) * (1 + 1e-9), expression)


if __name__ == "__main__":
    unittest.main()
