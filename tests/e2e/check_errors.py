"""A real Prometheus sees the first error of each kind as an increase, also after a restart."""

import http.client
import shutil
import unittest
from urllib.parse import urlsplit

from clients import ask, wait_until
from daemons import Prometheus, free_port
from processes import Process

GRPC = {"content-type": "application/grpc"}


class Panics(Process):
    """The program `panics`, with its page on this port."""

    def __init__(self, status_port):
        super().__init__("panics", DYN_SYSTEM_PORT=str(status_port))
        self.port = urlsplit(self.addresses["work handler"]).port

    def panic(self, method, path, headers=None):
        """Makes a call panic. The connection closes without a response."""
        try:
            answer = ask(self.port, method, f"{path}?panic", headers=headers)
        except (http.client.HTTPException, ConnectionError):
            return
        raise AssertionError(f"{path} has answered {answer.status}")

    def kill(self):
        self.process.kill()
        self.wait()


@unittest.skipUnless(shutil.which("prometheus"), "needs prometheus")
class FirstErrors(unittest.TestCase):
    def test_first_errors(self):
        status_port = free_port()
        served = self.enterContext(Panics(status_port))
        prometheus = self.enterContext(Prometheus(status_port))
        declared = '{endpoint="http",method="GET",route="/declared",error_type="panic"}'
        met = '{endpoint="http",method="GET",route="/met",error_type="panic"}'
        grpc = '{endpoint="grpc",grpc_service="shop.Cart",grpc_method="Add",error_type="panic"}'

        # Declared series are at 0 from the start, others appear with their first call.
        self.wait_for(prometheus, f"errors_total{declared}", 0)
        self.wait_for(prometheus, f"errors_total{grpc}", 0)
        self.assertEqual(prometheus.query(f"errors_total{met}"), [])
        self.assertEqual(ask(served.port, "GET", "/met").status, 200)
        self.wait_for(prometheus, f"errors_total{met}", 0)
        for selector in (declared, met, grpc):
            self.assertEqual(self.increase(prometheus, selector), 0)

        served.panic("GET", "/declared")
        served.panic("GET", "/met")
        served.panic("POST", "/shop.Cart/Add", GRPC)
        for selector in (declared, met, grpc):
            self.wait_for_increase(prometheus, selector, 1)
        for label in ("status", "grpc_code"):
            self.assertEqual(prometheus.query(f'errors_total{{{label}!=""}}'), [])

        served.kill()
        served = self.enterContext(Panics(status_port))
        for selector in (declared, grpc):
            self.wait_for(prometheus, f"errors_total{selector}", 0)
        served.panic("GET", "/declared")
        served.panic("POST", "/shop.Cart/Add", GRPC)
        for selector in (declared, grpc):
            self.wait_for_increase(prometheus, selector, 2)

    def wait_for(self, prometheus, expression, expected):
        wait_until(
            f"{expression} to be {expected}",
            lambda: prometheus.api("targets")
            and [value for _, value in prometheus.query(expression)] == [expected],
            patience=60,
            pause=0.2,
        )

    def increase(self, prometheus, selector):
        """Returns the increase of a counter. Waits, because it is unknown after a single scrape."""
        expression = f"increase(errors_total{selector}[1m])"
        return wait_until(
            expression, lambda: prometheus.query(expression), patience=60, pause=0.2
        )[0][1]

    def wait_for_increase(self, prometheus, selector, errors):
        """Waits for an increase by at least `errors`. Prometheus extrapolates, so it may be larger."""
        wait_until(
            f"an increase of {selector} by {errors}",
            lambda: self.increase(prometheus, selector) >= errors * 0.999,
            patience=60,
            pause=0.2,
        )


if __name__ == "__main__":
    unittest.main()
