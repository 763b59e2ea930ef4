"""A shop that the live page can look at: the example `fates`, servers that answer as a test wants, and a load."""

import contextlib
import http.client
import http.server
import random
import threading
import time
from urllib.parse import urlsplit

from clients import Raw, ask
from processes import Process
from tally import samples

ENDPOINTS = ("cart", "checkout", "search", "stock")


class Fates(Process):
    """Endpoints whose calls end as they are told to."""

    def __init__(self, **variables):
        super().__init__("fates", **variables)
        self.port = urlsplit(self.addresses["work handler"]).port
        self.status_port = urlsplit(self.addresses["status server"]).port
        self.dashboard = f"http://127.0.0.1:{self.status_port}/dashboard"

    def call(self, endpoint, fate, who="web", upload=b""):
        # A panic ends the connection without an answer.
        with contextlib.suppress(ConnectionError, http.client.RemoteDisconnected):
            ask(self.port, "POST", f"/{endpoint}/{fate}", upload, {"x-who": who})

    def begin(self, endpoint, who="web"):
        """A call that goes on until its client leaves."""
        raw = Raw(self.port)
        raw.head(f"/{endpoint}/wait", f"x-who: {who}", method="GET")
        raw.wait_for_an_answer()
        return raw

    def page(self):
        return samples(self.status("/metrics").text)


class Scripted(http.server.ThreadingHTTPServer):
    """Serves the page at a path of its own, and beside it what a test wants."""

    daemon_threads = True

    def __init__(self, page, mount):
        outer = self
        self.answer = (200, "text/plain", "")

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                if self.path == mount:
                    self.send(200, page.headers["content-type"], page.body, page.headers["content-security-policy"])
                elif self.path == mount.rstrip("/").rsplit("/", 1)[0] + "/metrics":
                    status, kind, text = outer.answer
                    self.send(status, kind, text.encode())
                else:
                    self.send(404, "text/plain", b"not here")

            def send(self, status, kind, body, policy=None):
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                if policy:
                    self.send_header("content-security-policy", policy)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server_address[1]}{mount}"

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


def quantile(q, buckets):
    """As Prometheus computes it; `buckets` is `{le: cumulative}`."""
    rank, low, below = q * buckets[float("inf")], 0.0, 0
    for edge, up in sorted(buckets.items()):
        if up >= rank:
            return low + (edge - low) * (rank - below) / (up - below)
        low, below = edge, up


def seconds(text):
    number, unit = text.split()
    return float(number) * {"s": 1, "ms": 1e-3, "µs": 1e-6}[unit]


def exposition(endpoints, uptime, calls):
    """A page in the text format, of so many endpoints."""
    lines = ["# TYPE requests_total counter"]
    lines += [f'requests_total{{endpoint="e{n}"}} {calls}' for n in range(endpoints)]
    lines += ["# TYPE concurrent_requests gauge"]
    lines += [f'concurrent_requests{{endpoint="e{n}"}} 0' for n in range(endpoints)]
    return "\n".join([*lines, "# TYPE uptime_seconds gauge", f"uptime_seconds {uptime}", ""])


def ages(uptime, calls):
    """A page in the text format of two endpoints: one knows items and ages, and both know first bytes."""
    lines = ["# TYPE requests_total counter", "# TYPE concurrent_requests gauge", "# TYPE first_byte_seconds histogram"]
    for endpoint in ("items", "bytes"):
        lines += [f'requests_total{{endpoint="{endpoint}"}} {calls}', f'concurrent_requests{{endpoint="{endpoint}"}} 1']
        lines += [f'first_byte_seconds_bucket{{endpoint="{endpoint}",le="{le}"}} {calls}' for le in ("0.01", "+Inf")]
    lines += ["# TYPE first_item_seconds histogram"]
    for le, count in (("0.1", 0), ("0.2", calls), ("+Inf", calls)):
        lines += [f'first_item_seconds_bucket{{endpoint="items",le="{le}"}} {count}']
    for name, value in (("oldest_request_age_seconds", 90), ("requests_longest_seconds", 12)):
        lines += [f"# TYPE {name} gauge", f'{name}{{endpoint="items"}} {value}']
    return "\n".join([*lines, "# TYPE uptime_seconds gauge", f"uptime_seconds {uptime}", ""])


def realistic(server, lasting):
    """A shop's load for so many seconds, during which one endpoint begins to fail."""
    rng = random.Random(7)
    begin = time.monotonic()
    busy = threading.BoundedSemaphore(24)

    def one(endpoint, fate, who):
        with busy:
            server.call(endpoint, fate, who, bytes(rng.randrange(200)))

    open_calls = [server.begin("stock", "partner") for _ in range(2)]
    while (passed := time.monotonic() - begin) < lasting:
        endpoint = rng.choices(ENDPOINTS, (5, 2, 8, 1))[0]
        center = {"cart": 2.5, "checkout": 4.4, "search": 3.3, "stock": 2}[endpoint]
        fate, who = str(int(rng.lognormvariate(center, 0.7))), rng.choice(("web", "app", "partner"))
        if endpoint == "checkout" and passed > lasting * 0.55 and (who == "partner" or rng.random() < 0.1):
            fate = rng.choices(("timeout", "overloaded"), (5, 1))[0]
        if rng.random() < 0.015:
            call = server.begin(endpoint, who)
            threading.Timer(0.3, call.hang_up).start()
        threading.Thread(target=one, args=(endpoint, fate, who), daemon=True).start()
        time.sleep(rng.expovariate(35))
    for call in open_calls:
        call.hang_up()
