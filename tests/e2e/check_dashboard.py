"""What the live page tells in a real browser."""

import json
import random
import re
import unittest

from clients import wait_until
from live_page import LivePage
from shop import ENDPOINTS, Fates, Scripted, ages, exposition, quantile, seconds

HOSTILE = (
    "<img src=x onerror=hit()>",
    "<script>hit()</script>",
    '"><svg onload=hit()>',
    "</script></style><b>",
    "javascript:hit()",
    "__proto__",
    "constructor",
    "${hit()}{{hit()}}",
)
# "1,234 in all" and the like.
TOTAL = re.compile(r"([\d,]+) in all")


class Dashboard(LivePage):
    def test_numbers_are_those_of_the_exporter(self):
        server = self.enterContext(Fates())
        self.open(server.dashboard)
        waiting = [server.begin("stock"), server.begin("stock"), server.begin("search")]
        for endpoint, fate, times in (
            ("cart", "20", 7), ("cart", "120", 2), ("search", "1", 11), ("stock", "3", 1), ("stock", "panic", 2),
            ("checkout", "generate", 3), ("checkout", "timeout", 1), ("checkout", "30", 4),
        ):
            for _ in range(times):
                server.call(endpoint, fate, random.choice(("web", "app")), b"some bytes")
        waiting.pop().hang_up()
        for call in waiting:
            self.addCleanup(call.hang_up)

        def at_rest():
            page = server.page()
            total = sum(n for (name, _), n in page.items() if name == "requests_total")
            return page if total == 32 else None

        page = wait_until("all calls to end", at_rest)
        self.tab.wait("all calls on the page", "document.querySelector('#tile-calls .sub').innerText === '32 in all'")

        def total(name, **labels):
            return sum(n for (own, has), n in page.items() if own == name and labels.items() <= dict(has).items())

        for tile, name in (("calls", "requests_total"), ("failed", "errors_total"), ("cancelled", "cancellations_total")):
            self.assertEqual(TOTAL.search(self.tile(tile)[1])[1], f"{total(name):.0f}", tile)
        self.assertEqual(self.tile("inflight")[0], f"{total('concurrent_requests'):.0f}")
        for tile, name in (("in", "request_bytes_total"), ("out", "response_bytes_total")):
            self.assertTrue(0 < total(name) < 1_000, total(name))
            self.assertEqual(self.tile(tile)[1], f"{total(name):.0f} B in all")
        rows = {row[0]: row for row in self.rows("groups")}
        self.assertEqual(sorted(rows), sorted(ENDPOINTS))
        for endpoint, row in rows.items():
            found = {"failed": row[1], "calls": row[2], "cancelled": row[4]}
            for what, name in (("failed", "errors_total"), ("calls", "requests_total"), ("cancelled", "cancellations_total")):
                self.assertEqual(found[what].split("\n")[-1], f"{total(name, endpoint=endpoint):.0f}", (endpoint, what))
            self.assertEqual(row[8], f"{total('concurrent_requests', endpoint=endpoint):.0f}", endpoint)

        # All calls came after the page was opened: what the buckets have grown by is what is in them.
        buckets = {}
        for (name, labels), n in page.items():
            if name == "request_duration_seconds_bucket":
                edge = float(dict(labels)["le"])
                buckets[edge] = buckets.get(edge, 0) + n
        for tile, q in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
            value = seconds(self.tile(tile)[0])
            self.assertAlmostEqual(value, quantile(q, buckets), delta=value * 0.006, msg=tile)

        said = self.text("#verdicts")
        self.assertIn("checkout 4 of 8 calls (50 %) failed: 3 × generate, 1 × timeout", said)
        self.assertIn("stock 2 of 3 calls (67 %) failed: 2 × panic", said)
        failures = self.text("#failures")
        for failure in ("generate", "timeout", "panic"):
            self.assertIn(f"× {failure} ", failures)
        self.assertIn("endpoint=cart", self.text("#longest"))
        self.assertIn("Time to the first item or byte", self.text("#charts"))
        other = {row[1]: row[3] for row in self.rows("other") if row[0] == "shop_sold_total"}
        for endpoint in ENDPOINTS:
            kind = f"<b>{endpoint}</b>"
            self.assertEqual(other[f"kind={kind}"], f"{total('shop_sold_total', kind=kind):.0f}")

        # One endpoint alone, by a click on its row; and all again.
        self.tab.run("document.querySelector('#groups tr[data-group=checkout] button').click()")
        self.assertEqual(self.tile("calls")[1], "8 in all")
        self.assertEqual([row[0] for row in self.rows("groups")], ["checkout"])
        self.tab.run("document.querySelector('#clear').click()")
        self.assertEqual(self.tile("calls")[1], "32 in all")
        self.quiet()

    def test_hostile_label_values_stay_text(self):
        server = self.enterContext(Fates())
        self.open(server.dashboard)
        self.tab.run("window.hits = 0; window.hit = () => hits++; undefined")
        for who in HOSTILE:
            for fate in ("5", "generate", "panic"):
                server.call("cart", fate, who)
        self.tab.wait("all calls", f"document.querySelector('#tile-calls .sub').innerText === '{3 * len(HOSTILE)} in all'")
        self.choose("by", "who")
        self.assertEqual({row[0] for row in self.rows("groups")}, set(HOSTILE))
        for who in HOSTILE:
            self.choose("filter-name", "who")
            self.choose("filter-value", who)
            self.assertEqual([row[0] for row in self.rows("groups")], [who])
            self.assertEqual(self.tile("calls")[1], "3 in all", who)
            self.assertIn(f"who={who}", self.text("#failures"))
        elements = "['script', 'style', 'img', 'b:not(.legend b)', 'svg[onload]'].map(s => document.querySelectorAll(s).length)"
        self.assertEqual(self.tab.run(elements), [1, 1, 0, 0, 0])
        self.assertEqual(self.tab.run("window.hits"), 0)
        self.quiet()

    def test_a_restart_is_told_and_recovered_from(self):
        server = self.enterContext(Fates())
        for _ in range(5):
            server.call("cart", "1")
        self.open(server.dashboard)
        server.close()
        self.assertIn("The server is gone", self.state("gone"))
        self.assertIn("gone", self.tab.run("document.title"))
        self.assertIn("gone", self.text("#announce"))
        port = str(server.status_port)
        again = self.enterContext(Fates(DYN_SYSTEM_PORT=port))
        again.call("cart", "1")
        again.call("cart", "generate")
        self.assertIn("The server restarted", self.state("restarted"))
        self.assertIn("The server restarted: its counters began again at 0.", self.text("#verdicts"))
        self.tab.wait("the new totals", "document.querySelector('#tile-calls .sub').innerText === '2 in all'")
        self.assertIn("1 in all", self.tile("failed")[1])

    def test_what_is_refused_is_told(self):
        server = self.enterContext(Fates())
        page = server.status("/dashboard")
        good = server.status("/metrics").text
        scripted = self.enterContext(Scripted(page, "/deep/er/dashboard/"))
        scripted.answer = (200, "text/plain; version=0.0.4", good)
        self.open(scripted.address)
        broken = "# TYPE a counter\na_total 1\n"
        for answer, state, words in (
            ((503, "text/plain", "Too many scrapes at once: <b>8</b>"), "refused", "503 Service Unavailable: Too many scrapes at once: <b>8</b>"),
            ((401, "text/html", "who?"), "refused", "401 Unauthorized"),
            ((200, "text/html", "<h1>Log in</h1>"), "strange", "no page of metrics, but text/html"),
            ((200, "application/openmetrics-text; version=1.0.0", broken), "strange", "broke off"),
            ((200, "text/plain", "hello there you\n"), "strange", "no page of metrics"),
        ):
            scripted.answer = answer
            self.assertIn(words, self.state(state))
            scripted.answer = (200, "text/plain; version=0.0.4", good)
            self.state("live")
        self.assertIn("No numbers came for", self.text("#verdicts"))
        self.assertEqual([one for one in self.tab.complaints if "Failed to load resource" not in one], [])

    def test_many_series_are_bounded(self):
        server = self.enterContext(Fates())
        scripted = self.enterContext(Scripted(server.status("/dashboard"), "/dashboard"))
        scripted.answer = (200, "text/plain", exposition(2_000, 10, 5))
        self.open(scripted.address)
        self.assertEqual(self.tile("calls")[1], "10,000 in all")
        self.assertEqual(len(self.rows("groups")), 20)
        self.assertIn("and 1,980 more", self.text("#groups-more"))
        scripted.answer = (200, "text/plain", exposition(2_000, 12, 6))
        self.tab.wait("the next numbers", "document.querySelector('#tile-calls .sub').innerText === '12,000 in all'")
        self.assertIn("No call failed: 2,000 calls ended", self.text("#verdicts"))
        self.choose("filter-name", "endpoint")
        self.assertLess(self.tab.run("document.querySelectorAll('*').length"), 2_500)
        self.quiet()

    def test_items_and_ages_are_shown_where_they_are_recorded(self):
        server = self.enterContext(Fates())
        scripted = self.enterContext(Scripted(server.status("/dashboard"), "/dashboard"))
        scripted.answer = (200, "text/plain", ages(10, 0))
        self.open(scripted.address)
        scripted.answer = (200, "text/plain", ages(12, 10))
        self.tab.wait("the next numbers", "document.querySelector('#tile-calls .sub').innerText === '20 in all'")
        self.assertEqual(self.tile("inflight"), ("2", "one for 1 min 30 s"))
        self.assertEqual(self.tile("p99")[1], "the longest 12 s")
        rows = {row[0]: (row[7].split("\n")[1:], row[8].split("\n")[1:]) for row in self.rows("groups")}
        self.assertEqual(rows, {"items": (["12 s"], ["1 min 30 s"]), "bytes": ([], [])})
        # Half of the items came between 100 and 200 ms, and half of the bytes within 10 ms.
        charts = "[...document.querySelectorAll('#charts figure')].find(one => one.innerText.includes('first item')).innerText"
        for endpoint, half in (("items", "150 ms"), ("bytes", "5 ms")):
            self.choose("filter-name", "endpoint")
            self.choose("filter-value", endpoint)
            self.assertIn(f"p50 {half}", self.tab.run(charts))
        self.quiet()

    def test_keys_reach_everything(self):
        server = self.enterContext(Fates())
        self.open(server.dashboard)
        server.call("cart", "1")
        self.tab.wait("two readings", "document.querySelector('#span').innerText.startsWith('3 readings')")
        reached = []
        for _ in range(40):
            self.tab.press("Tab", "Tab", 9)
            reached.append(self.tab.run("document.activeElement.id || document.activeElement.className || document.activeElement.tagName.toLowerCase()"))
            if reached[-1] == "cursor":
                self.tab.press("ArrowLeft", "ArrowLeft", 37)
                self.tab.press("ArrowLeft", "ArrowLeft", 37)
                self.assertRegex(self.tab.run("document.activeElement.getAttribute('aria-valuetext')"), r"^\d\d:\d\d:\d\d$")
        for wanted in ("skip", "pause", "by", "window", "filter-name", "cursor", "find", "scroll", "summary"):
            self.assertIn(wanted, reached)
        # The focus stays on a row's button when the table is drawn anew.
        self.tab.run("document.querySelector('#groups button').focus()")
        key = self.tab.run("document.activeElement.dataset.key")
        before = self.text("#span")
        self.tab.wait("another reading", f"document.querySelector('#span').innerText !== {json.dumps(before)}")
        self.assertEqual(self.tab.run("document.activeElement.dataset.key"), key)


if __name__ == "__main__":
    unittest.main()
