"""Calls that hang, block and wait, found by a real Prometheus."""

import shutil
import time
import unittest
from urllib.parse import urlsplit

from clients import Raw, ask, wait_until
from daemons import CONFIG, Prometheus
from processes import Process

# In seconds. The server times calls by the processor's counter, which differs from the system's clock a little.
DRIFT = 0.001

OFTEN = CONFIG.replace("1s", "200ms")


@unittest.skipUnless(shutil.which("prometheus"), "needs prometheus")
class Waiting(unittest.TestCase):
    # Only Prometheus loads the page: the longest call is forgotten after two pages.
    @classmethod
    def setUpClass(cls):
        cls.process = cls.enterClassContext(Process("waiting"))
        cls.port = urlsplit(cls.process.addresses["work handler"]).port
        status_port = urlsplit(cls.process.addresses["status server"]).port
        cls.prometheus = cls.enterClassContext(Prometheus(status_port, config=OFTEN))
        cls.prometheus.wait_for_scrape()

    @classmethod
    def tearDownClass(cls):
        if complaints := cls.prometheus.complaints():
            raise AssertionError(complaints)

    def number(self, expression):
        """Returns the value of the only series, or None if there is none yet."""
        found = self.prometheus.query(expression)
        self.assertLessEqual(len(found), 1, expression)
        return found[0][1] if found else None

    def wait_for(self, expected, selector):
        wait_until(f"{selector} to be {expected}", lambda: self.number(selector) == expected)

    def begin(self, path):
        """Begins a call that ends when its client leaves."""
        raw = Raw(self.port)
        self.addCleanup(raw.hang_up)
        raw.head(path, method="GET")
        return raw

    def call(self, path, **headers):
        """Returns how long a call took at most."""
        began = time.time()
        self.assertEqual(ask(self.port, "GET", path, headers=headers).status, 200)
        return time.time() - began

    def test_a_hung_call_is_the_oldest(self):
        age = 'oldest_request_age_seconds{endpoint="hang"}'
        began = time.time()
        hung = self.begin("/hang")
        self.call("/idle")
        wait_until("a second of age", lambda: (self.number(age) or 0) > 1)
        self.assertLess(self.number(age), time.time() - began)
        ((_, samples),) = self.prometheus.history(age)
        ages = [value for _, value in samples if value > 0]
        self.assertEqual(ages, sorted(set(ages)), "it grows from scrape to scrape")
        self.wait_for(0, 'oldest_request_age_seconds{endpoint="idle"}')
        self.assertEqual(self.number('requests_total{endpoint="hang"}'), 0)
        hung.hang_up()
        self.wait_for(1, 'cancellations_total{endpoint="hang"}')
        self.wait_for(0, age)

    def test_a_handler_that_blocks_is_polled_all_the_time(self):
        took = {endpoint: self.call(f"/{endpoint}/500") for endpoint in ("block", "sleep")}
        share = {}
        for endpoint, at_most in took.items():
            of = f'{{endpoint="{endpoint}"}}'
            self.wait_for(1, f"requests_total{of}")
            # A scrape that shows the end of a call shows all of it.
            self.wait_for(0, f"concurrent_requests{of}")
            self.assertEqual(self.number(f"handler_poll_seconds_count{of}"), 1)
            duration = self.number(f"request_duration_seconds_sum{of}")
            longest = self.number(f"max_over_time(requests_longest_seconds{of}[1h])")
            self.assertEqual(longest, duration)
            self.assertTrue(0.5 - DRIFT <= longest <= at_most, (endpoint, longest, at_most))
            share[endpoint] = self.number(f"handler_poll_seconds_sum{of} / request_duration_seconds_sum")
        self.assertGreater(share["block"], 0.5)
        self.assertLess(share["sleep"], 0.5)
        self.assertGreater(self.number('slow_polls_total{endpoint="block"}'), 0)
        self.assertEqual(self.number('slow_polls_total{endpoint="sleep"}'), 0)

    def test_callers_of_a_full_service_wait(self):
        of = '{endpoint="limited"}'
        holder = self.begin("/limited")
        self.wait_for(1, f"concurrent_requests{of}")
        self.assertEqual(self.number(f"waiting_requests{of}"), 0)
        nobody_waits = time.time()
        impatient, patient = self.begin("/limited"), self.begin("/limited")
        self.wait_for(2, f"waiting_requests{of}")
        both_wait = time.time()
        self.assertEqual(self.number(f"concurrent_requests{of}"), 1)
        time.sleep(0.3)

        left = time.time()
        impatient.hang_up()
        self.wait_for(1, f"abandoned_waits_total{of}")
        self.wait_for(1, f"waiting_requests{of}")
        free = time.time()
        holder.hang_up()
        self.wait_for(0, f"waiting_requests{of}")
        nobody_waits_again = time.time()
        self.assertEqual(self.number(f"ready_wait_seconds_count{of}"), 2)
        waited = self.number(f"ready_wait_seconds_sum{of}")
        at_least = (left - both_wait) + (free - both_wait)
        at_most = 2 * (nobody_waits_again - nobody_waits)
        self.assertTrue(at_least - DRIFT <= waited <= at_most, (at_least, waited, at_most))
        # Waits are not calls: one was cancelled, and the other one is open.
        self.wait_for(1, f"requests_total{of}")
        self.wait_for(1, f"concurrent_requests{of}")
        patient.hang_up()
        self.wait_for(2, f"cancellations_total{of}")

    def test_the_time_since_the_proxy_is_known(self):
        waited = 2.5
        start = int((time.time() - waited) * 1e6)
        took = self.call("/idle", **{"X-Request-Start": f"t={start}"})
        self.call("/idle", **{"X-Request-Start": "yesterday"})
        of = '{endpoint="idle"}'
        self.wait_for(1, f"queue_wait_seconds_count{of}")
        self.assertTrue(waited <= self.number(f"queue_wait_seconds_sum{of}") <= waited + took + DRIFT)


if __name__ == "__main__":
    unittest.main()
