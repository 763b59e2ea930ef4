"""Dashboards made for axum-prometheus find their numbers under `.axum_prometheus()`.

A real Prometheus answers each kind of query that public dashboards and alerts run over that crate's series: sums, rates and
increases by method, endpoint and status, error ratios, quantiles and heat maps of buckets, means, and pending requests.
"""

import collections
import http.server
import itertools
import math
import shutil
import threading
import unittest
from urllib.parse import quote, urlsplit

from clients import Raw, ask, wait_until
from daemons import CONFIG, Prometheus
from processes import Process

TOTAL = "axum_http_requests_total"
DURATION = "axum_http_requests_duration_seconds"
PENDING = "axum_http_requests_pending"

# A call by its labels, the path it asks for, and how often.
FATES = "/fates/{fate}"
CALLS = (
    ({"method": "GET", "endpoint": "/", "status": "200"}, "/", 5),
    ({"method": "GET", "endpoint": FATES, "status": "200"}, "/fates/20", 3),
    ({"method": "POST", "endpoint": FATES, "status": "200"}, "/fates/1", 2),
    ({"method": "POST", "endpoint": FATES, "status": "400"}, "/fates/deserialization", 2),
    ({"method": "GET", "endpoint": "none", "status": "404"}, "/nowhere", 1),
    ({"method": "POST", "endpoint": FATES, "status": "500"}, "/fates/generate", 1),
)
ROUND = sum(count for _, _, count in CALLS)

# The default buckets of axum-prometheus.
BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, math.inf]


def counted(*names, where=lambda labels: True):
    """Returns the calls of one round by the values of some labels."""
    counts = collections.Counter()
    for labels, _, count in CALLS:
        if where(labels):
            counts[tuple(labels[name] for name in names)] += count
    return counts


def has_status(*classes):
    return lambda labels: labels["status"][0] in classes


def is_read(labels):
    return labels["method"] in ("GET", "HEAD")


@unittest.skipUnless(shutil.which("prometheus"), "needs prometheus")
class Migration(unittest.TestCase):
    def setUp(self):
        self.server = self.enterContext(Process("migrated"))
        self.port = urlsplit(self.server.addresses["work handler"]).port
        status_port = urlsplit(self.server.addresses["status server"]).port
        config = CONFIG.replace("scrape_interval: 1s", "scrape_interval: 500ms").replace("timeout: 1s", "timeout: 500ms")
        self.prometheus = self.enterContext(Prometheus(status_port, config=config))
        self.assertEqual(self.prometheus.wait_for_scrape(), ("up", ""))

    def call(self):
        """Makes all calls."""
        for labels, path, count in CALLS:
            for _ in range(count):
                self.assertEqual(ask(self.port, labels["method"], path).status, int(labels["status"]))

    def wait_for(self, expected, expression):
        wait_until(
            f"{expression} to be {expected}",
            lambda: [value for _, value in self.prometheus.query(expression)] == [expected],
            pause=0.05,
        )

    def by(self, names, expression):
        """Returns the values of an expression by the values of some labels, which are all it has."""
        found = {}
        for labels, value in self.prometheus.query(expression):
            self.assertEqual(labels.keys(), set(names), expression)
            found[tuple(labels[name] for name in names)] = value
        return found

    def one(self, expression):
        (value,) = self.by((), expression).values()
        return value

    def assert_increase(self, found, expected, expression):
        """Checks increases since the first sample: by one round, and by the rest of the round before.

        Prometheus adds at most 1.1 intervals before the first of the samples, and as much after the last one."""
        self.assertEqual(found.keys(), expected.keys(), expression)
        for key, count in expected.items():
            self.assertGreaterEqual(found[key], 0.999 * count, (expression, key))
            self.assertLessEqual(found[key], 3 * count, (expression, key))

    def test_queries(self):
        held = Raw(self.port)
        self.addCleanup(held.hang_up)
        held.head("/fates/wait", method="GET")
        held.wait_for_an_answer()
        self.call()
        self.wait_for(ROUND, f"sum({TOTAL})")
        self.wait_for(1, f"sum({PENDING})")
        # An increase is seen from one scrape to another.
        self.call()
        self.wait_for(2 * ROUND, f"sum({TOTAL})")
        # Enough scrapes that less than a half is added to an increase.
        fewest = f"min(count_over_time({TOTAL}[1m]))"
        wait_until("some scrapes", lambda: self.one(fewest) >= 6, pause=0.1)
        self.pending_while_one_is_held()
        self.totals()
        self.rates_and_increases()
        self.ratios()
        self.latencies()
        self.means()
        self.sizes()
        self.variables()
        held.hang_up()
        self.wait_for(0, f"sum({PENDING})")
        # It has counted as a 200, as its head says.
        self.wait_for(2 * counted(where=has_status("2"))[()] + 1, f'sum({TOTAL}{{status="200"}})')
        self.pending_at_the_end()
        self.assertEqual(self.prometheus.complaints(), [])

    def pending_while_one_is_held(self):
        by_endpoint = self.by(("endpoint",), f"sum by (endpoint) ({PENDING})")
        self.assertEqual(by_endpoint, {("/",): 0, (FATES,): 1, ("none",): 0})

    def pending_at_the_end(self):
        pending = self.prometheus.query(f'{PENDING}{{job="example"}}')
        calls = {(labels["method"], labels["endpoint"]): value for labels, value in pending}
        self.assertEqual(calls, dict.fromkeys(counted("method", "endpoint"), 0))
        # Besides it, a call of a round can have been pending during a scrape.
        self.assertIn(self.one(f"max_over_time(sum({PENDING})[1m:100ms])"), (1, 2))

    def totals(self):
        twice = {key: 2 * count for key, count in counted("status").items()}
        by_status = self.by(("status",), f"sum by (status) ({TOTAL})")
        self.assertEqual(by_status, twice)
        self.assertEqual(self.one(f"sum({TOTAL})"), sum(by_status.values()))
        self.assertEqual(self.one(f'sum({DURATION}_count{{status!="200"}})'), 2 * counted(where=has_status("4", "5"))[()])

    def rates_and_increases(self):
        everywhere = ("method", "endpoint", "status"), ("status",), ("endpoint",), ("method",), ()
        selected = (
            ("", lambda labels: True),
            ('{status=~"^2.*$"}', has_status("2")),
            ('{status=~"4.."}', has_status("4")),
            ('{status=~"5..",job="example"}', has_status("5")),
            ('{status=~"[45].."}', has_status("4", "5")),
            ('{status!~"2.."}', has_status("4", "5")),
            ('{method=~"GET|HEAD"}', is_read),
            ('{endpoint="/",status="200"}', lambda labels: labels["endpoint"] == "/"),
            ('{endpoint!~"/fates/.*"}', lambda labels: labels["endpoint"] != FATES),
        )
        # Counters, and histograms by their counts.
        for metric, names, (selector, where) in itertools.product((TOTAL, f"{DURATION}_count"), everywhere, selected):
            expected = counted(*names, where=where)
            of_all = f"sum by ({', '.join(names)})"
            increase = f"{of_all} (increase({metric}{selector}[1m]))"
            self.assert_increase(self.by(names, increase), expected, increase)
            rate = f"60 * {of_all} (rate({metric}{selector}[1m]))"
            self.assert_increase(self.by(names, rate), expected, rate)
        # Nothing else was answered.
        self.assertEqual(self.one(f'sum(increase({TOTAL}{{status!~"^(2|4|5).*"}}[1m])) or vector(0)'), 0)
        busiest = self.by(("endpoint",), f"topk(1, sum by (endpoint) (rate({TOTAL}[1m])))")
        self.assertEqual(list(busiest), [(FATES,)])

    def ratios(self):
        for failed in ("5..", "[45].."):
            for all_calls in ("sum(rate({}[1m]))", "clamp_min(sum(rate({}[1m])), 0.001)"):
                expression = f'sum(rate({TOTAL}{{status=~"{failed}"}}[1m])) / {all_calls.format(TOTAL)}'
                expected = counted(where=has_status(*"45" if "4" in failed else "5"))[()] / ROUND
                self.assertGreaterEqual(self.one(expression), expected / 3, expression)
                self.assertLessEqual(self.one(expression), 3 * expected, expression)
        in_time = f'sum(rate({DURATION}_bucket{{le="0.5"}}[1m])) / sum(rate({DURATION}_count[1m]))'
        self.assertGreater(self.one(in_time), 0)
        self.assertLessEqual(self.one(in_time), 1)

    def latencies(self):
        found = []
        for q in (0.5, 0.9, 0.95, 0.99, 0.999):
            found.append(self.one(f"1000 * histogram_quantile({q}, sum by (le) (rate({DURATION}_bucket[1m])))"))
        self.assertEqual(found, sorted(found))
        # Three calls of a round take 20 ms or more.
        self.assertGreater(found[0], 0)
        self.assertGreater(found[-1], 10)
        self.assertLess(found[-1], 10_000)
        for names in (("endpoint",), ("method", "endpoint"), ("method", "endpoint", "status")):
            buckets = f"sum by (le, {', '.join(names)}) (rate({DURATION}_bucket[1m]))"
            quantiles = self.by(names, f"histogram_quantile(0.99, {buckets}) > 0")
            self.assertEqual(quantiles.keys(), counted(*names).keys())
        # Without a sum.
        series = self.prometheus.query(f"histogram_quantile(0.95, rate({DURATION}_bucket[1m])) > 0")
        self.assertEqual(len(series), len(CALLS))
        # A heat map.
        heat_map = self.by(("le",), f"sum by (le) (increase({DURATION}_bucket[1m]))")
        by_bound = sorted((float(bound), count) for (bound,), count in heat_map.items())
        self.assertEqual([bound for bound, _ in by_bound], BOUNDS)
        self.assertIn(("1.0",), heat_map)
        counts = [count for _, count in by_bound]
        self.assertEqual(counts, sorted(counts))
        self.assert_increase({(): counts[-1]}, counted(), "the bucket +Inf")

    def means(self):
        for names in ((), ("endpoint",), ("method", "endpoint")):
            of_all = f"sum by ({', '.join(names)})"
            mean = f"{of_all} (rate({DURATION}_sum[1m])) / {of_all} (rate({DURATION}_count[1m]))"
            means = self.by(names, mean)
            self.assertEqual(means.keys(), counted(*names).keys())
            for value in means.values():
                self.assertGreater(value, 0, mean)
        names = ("method", "endpoint")
        for matcher, where in (('=~"GET|HEAD"', is_read), ('!~"GET|HEAD"', lambda labels: not is_read(labels))):
            part, whole = (f"increase({DURATION}_{of}{{method{matcher}}}[1m])" for of in ("sum", "count"))
            slowest = self.by(names, f"max by (method, endpoint) ({part} * 1000 / {whole})")
            self.assertEqual(slowest.keys(), counted(*names, where=where).keys())
        # At least as long as its calls wait.
        self.assertGreaterEqual(self.one(f'sum({DURATION}_sum{{endpoint="{FATES}"}})'), 6 * 0.020)

    def sizes(self):
        """The histogram of body sizes is a counter here."""
        self.assertEqual(self.prometheus.query('{__name__=~"axum_http_response_body_size.*"}'), [])
        answered = 2 * counted(where=lambda labels: labels["endpoint"] == "/")[()]
        self.assertEqual(self.one('sum(axum_http_response_bytes_total{endpoint="/"})'), answered * len("hello"))

    def variables(self):
        """The lists that a dashboard offers to choose from."""
        for name in ("method", "endpoint", "status"):
            selector = quote(f'{TOTAL}{{job="example"}}')
            values = self.prometheus.api(f"label/{name}/values?match[]={selector}")
            self.assertEqual({(value,) for value in values}, counted(name).keys())


class Page(http.server.BaseHTTPRequestHandler):
    """A page that writes a whole bound without a point, as axum-prometheus does."""

    TEXT = b'''# TYPE x histogram
x_bucket{le="1"} 1
x_bucket{le="+Inf"} 1
x_sum 1
x_count 1
'''

    def do_GET(self):
        self.send_response(200)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.send_header("content-length", str(len(self.TEXT)))
        self.end_headers()
        self.wfile.write(self.TEXT)

    def log_message(self, *_):
        pass


class WholeBounds(unittest.TestCase):
    def test_prometheus_3_writes_them_with_a_point(self):
        server = self.enterContext(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.shutdown)
        for binary, one in (("prometheus", "1"), ("prometheus3", "1.0")):
            with self.subTest(binary):
                if not shutil.which(binary):
                    self.skipTest(f"needs {binary}")
                prometheus = self.enterContext(Prometheus(server.server_address[1], binary=binary))
                self.assertEqual(prometheus.wait_for_scrape(), ("up", ""))
                bounds = {labels["le"] for labels, _ in prometheus.query("x_bucket")}
                self.assertEqual(bounds, {one, "+Inf"})


if __name__ == "__main__":
    unittest.main()
