"""Created timestamps in a real Prometheus: increases over the gaps of series are exact."""

import shutil
import unittest
from urllib.parse import quote, urlsplit

from clients import ask, wait_until
from daemons import CONFIG, Prometheus
from processes import Process

ZERO_INGESTION = "--enable-feature=created-timestamp-zero-ingestion"
OPENMETRICS = "application/openmetrics-text;version=1.0.0"
TEXT_FIRST = CONFIG.replace(
    "    static_configs:", "    scrape_protocols: [OpenMetricsText1.0.0]\n    static_configs:"
)


class Returning(Process):
    """The program `returning`, whose labels and endpoint leave and return."""

    def __init__(self):
        super().__init__("returning")
        self.port = urlsplit(self.addresses["work handler"]).port

    def get(self, path, **headers):
        answer = ask(self.port, "GET", path, headers=headers)
        if answer.status != 200:
            raise AssertionError(f"{answer.status}: {answer.text}")
        return answer.text

    def call(self, name, times, query=""):
        for _ in range(times):
            self.get(f"/calls/{name}{query}")


@unittest.skipUnless(shutil.which("prometheus3"), "needs a Prometheus from version 3.5")
class ZeroIngestion(unittest.TestCase):
    def test_increases_over_gaps_are_exact(self):
        served = self.enterContext(Returning())
        # Protobuf and text.
        servers = [
            self.enterContext(
                Prometheus(served.port, ZERO_INGESTION, config=config, binary="prometheus3")
            )
            for config in (CONFIG, TEXT_FIRST)
        ]
        for prometheus in servers:
            self.assertEqual(prometheus.wait_for_scrape(), ("up", ""))
        requests = 'requests_total{name="a"}'
        served.call("a", 3)
        self.wait_for(servers, f"last_over_time({requests}[1h])", [3])
        # The label has no calls and leaves. It comes back with more calls than it had, which no reset shows.
        self.wait_for(servers, requests, [])
        served.call("a", 5)
        self.wait_for(servers, f"last_over_time({requests}[1h])", [5])
        # So does the endpoint, with all labels.
        self.assertEqual(served.get("/remove"), "true")
        self.wait_for(servers, requests, [])
        self.assertEqual(served.get("/build"), "built")
        served.call("a", 1)
        served.call("a", 1, "?error_type")
        self.wait_for(servers, f"last_over_time({requests}[1h])", [2])
        failures = 'errors_total{error_type="new",name="a"}'
        for prometheus in servers:
            for series, expected in (
                (requests, 3 + 5 + 2),
                ('request_duration_seconds_count{name="a"}', 3 + 5 + 2),
                ('request_duration_seconds_bucket{name="a",le=~"10|10.0"}', 3 + 5 + 2),
                # An error type that the layer did not know before.
                (failures, 1),
            ):
                with self.subTest(series=series, port=prometheus.port):
                    self.assertEqual(self.increase(prometheus, series), expected)
            # They are no series of their own.
            self.assertEqual(prometheus.query('{__name__=~".+_created"}'), [])
            self.assertEqual(prometheus.complaints(), [])

    def wait_for(self, servers, expression, expected):
        for prometheus in servers:
            wait_until(
                f"{expression} to be {expected}",
                lambda: [value for _, value in prometheus.query(expression)] == expected,
            )

    @staticmethod
    def increase(prometheus, series):
        """Returns the increase up to the latest sample, where Prometheus extrapolates nothing."""
        (samples,) = prometheus.api(f"query?query={quote(series)}[1h]")["result"]
        latest, _ = samples["values"][-1]
        expression = quote(f"increase({series}[1h])")
        data = prometheus.api(f"query?query={expression}&time={latest}")
        ((_, value),) = [one["value"] for one in data["result"]]
        return float(value)


class Text(unittest.TestCase):
    def test_strict_parsers_read_it(self):
        try:
            from prometheus_client.openmetrics import parser
        except ImportError:
            self.skipTest("needs prometheus_client")
        served = self.enterContext(Returning())
        served.call("a", 1, "?error_type")
        page = served.get("/metrics", accept=OPENMETRICS)
        for family in parser.text_string_to_metric_families(page):
            of = {"counter": "_total", "histogram": "_count"}.get(family.type)
            series = [sample.labels for sample in family.samples if of and sample.name.endswith(of)]
            created = [one.labels for one in family.samples if one.name.endswith("_created")]
            with self.subTest(family=family.name):
                self.assertEqual(created, series)


if __name__ == "__main__":
    unittest.main()
