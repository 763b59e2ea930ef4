"""Names in any characters: a real Prometheus 3 reads them as they are, older readers read them escaped."""

import shutil
import unittest
from urllib.parse import urlsplit

from clients import ask, wait_until
from daemons import CONFIG, Prometheus
from processes import Process

OPENMETRICS = "application/openmetrics-text;version=1.0.0"
PROTOBUF = "    scrape_protocols: [PrometheusProto]\n"


class Dotted(Process):
    """The program `dotted`, whose names have dots."""

    def __init__(self):
        super().__init__("dotted")
        worker, status = (urlsplit(self.addresses[of]) for of in ("work handler", "status server"))
        self.port, self.status_port = worker.port, status.port
        for _ in range(2):
            if ask(self.port, "GET", "/calls/a").status != 200:
                raise AssertionError(self.output())


def with_option(*lines):
    return CONFIG.replace("    static_configs:", "".join(lines) + "    static_configs:")


@unittest.skipUnless(shutil.which("prometheus3"), "needs a Prometheus from version 3.5")
class Prometheus3(unittest.TestCase):
    def test_each_scheme_is_read(self):
        served = self.enterContext(Dotted())
        underscores = "my_calls_total", 'requests_total{call_name="a",the__zone_="eu"}'
        plain = '{"requests_total","call.name"="a","the \\"zone\\""="eu"}'
        for scheme, options, counter, requests in (
            ("allow-utf-8", "", '{"my.calls_total"}', plain),
            ("underscores", "", *underscores),
            # Prometheus 3.5 names no scheme when it asks for protobuf.
            ("allow-utf-8", PROTOBUF, *underscores),
            (
                "dots",
                "",
                "my_dot_calls__total",
                'requests__total{call_dot_name="a",the____zone__="eu"}',
            ),
            (
                "values",
                "",
                "U__my_2e_calls__total",
                'requests_total{U__call_2e_name="a",U__the_20__22_zone_22_="eu"}',
            ),
        ):
            with self.subTest(scheme=scheme, options=options):
                named = f"    metric_name_escaping_scheme: {scheme}\n"
                config = with_option(named, options)
                prometheus = self.enterContext(
                    Prometheus(served.status_port, config=config, binary="prometheus3")
                )
                self.assertEqual(prometheus.wait_for_scrape(), ("up", ""))
                for series in (counter, requests):
                    wait_until(series, lambda: prometheus.query(series))
                    self.assertEqual([value for _, value in prometheus.query(series)], [2])
                self.assertEqual(prometheus.complaints(), [])


@unittest.skipUnless(shutil.which("prometheus"), "needs prometheus")
class Prometheus2(unittest.TestCase):
    def test_it_reads_underscores(self):
        served = self.enterContext(Dotted())
        prometheus = self.enterContext(Prometheus(served.status_port))
        self.assertEqual(prometheus.wait_for_scrape(), ("up", ""))
        self.assertEqual([value for _, value in prometheus.query("my_calls_total")], [2])
        self.assertEqual(prometheus.complaints(), [])


class Parser(unittest.TestCase):
    def test_pages_are_valid_in_each_scheme(self):
        try:
            from prometheus_client.openmetrics import parser
        except ImportError:
            self.skipTest("needs prometheus_client")
        served = self.enterContext(Dotted())
        for scheme, target, name in (
            ("allow-utf-8", {"service.name": "dotted"}, "my.calls"),
            ("underscores", {"service_name": "dotted"}, "my_calls"),
            ("dots", {"service_dot_name": "dotted"}, "my_dot_calls_"),
            ("values", {"U__service_2e_name": "dotted"}, "U__my_2e_calls_"),
        ):
            with self.subTest(scheme=scheme):
                accept = f"{OPENMETRICS};escaping={scheme}"
                answer = served.status("/metrics", accept=accept)
                self.assertIn(f"; escaping={scheme}", answer.headers["content-type"])
                first, *families = parser.text_string_to_metric_families(answer.text)
                self.assertEqual((first.type, first.samples[0].labels), ("info", target))
                calls = {family.name: family for family in families}[name]
                self.assertEqual([sample.value for sample in calls.samples], [2])


if __name__ == "__main__":
    unittest.main()
