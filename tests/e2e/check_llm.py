"""The OpenAI-compatible front end and its worker, with OpenAI's client, curl, and a client that times tokens."""

import http.server
import json
import os
import select
import shutil
import subprocess
import threading
import time
import unittest
from urllib.parse import urlsplit

import openai

from clients import PATIENCE, Raw, wait_until
from daemons import CONFIG, Prometheus
from processes import Process

QUESTION = [{"role": "user", "content": "to be or not to be"}]
ANSWER = "You said: to be or not to be"
TOKENS = 8


def start(test, delay_ms):
    worker = test.enterContext(Process("llm_worker", DYN_TOKEN_DELAY_MS=str(delay_ms)))
    address = worker.addresses["worker"]
    return worker, test.enterContext(Process("llm_frontend", DYN_WORKER=address))


def client(test, front):
    url = front.addresses["front end"]
    return test.enterContext(
        openai.OpenAI(base_url=url, api_key="none", timeout=PATIENCE, max_retries=0)
    )


class OpenAI(unittest.TestCase):
    def setUp(self):
        self.worker, self.front = start(self, delay_ms=1)
        self.client = client(self, self.front)

    def create(self, **changes):
        request = {"model": "parrot", "messages": QUESTION, **changes}
        return self.client.chat.completions.create(**request)

    def streamed(self, client):
        chunks = client.chat.completions.create(model="parrot", messages=QUESTION, stream=True)
        choices = [chunk.choices[0] for chunk in chunks]
        self.assertEqual(choices[0].delta.role, "assistant")
        self.assertEqual(choices[-1].finish_reason, "stop")
        self.assertEqual(len(choices), TOKENS)
        self.assertEqual("".join(choice.delta.content for choice in choices), ANSWER)

    def test_plain(self):
        answer = self.create()
        self.assertEqual(answer.choices[0].message.content, ANSWER)
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertEqual(answer.usage.completion_tokens, TOKENS)
        for process in (self.worker, self.front):
            chat = {"endpoint": "chat"} if process is self.front else {}
            process.wait_for(1, "requests_total", **chat)
            # The client of the front end gets all tokens at once, and waits for none.
            tokens = 0 if process is self.front else TOKENS
            self.assertEqual(process.number("items_total", **chat), tokens)

    def test_streamed(self):
        self.streamed(self.client)

    def test_another_server(self):
        upstream = self.front.addresses["front end"].removesuffix("/v1")
        forwarder = self.enterContext(Process("llm_frontend", UPSTREAM=upstream))
        self.streamed(client(self, forwarder))
        for process in (self.front, forwarder):
            process.wait_for(1, "requests_total", endpoint="chat")

    def test_models(self):
        self.assertEqual([model.id for model in self.client.models.list()], ["parrot"])

    def test_problems(self):
        with self.assertRaises(openai.NotFoundError) as unknown:
            self.create(model="gpt")
        self.assertEqual(unknown.exception.code, "model_not_found")
        with self.assertRaises(openai.BadRequestError) as missing:
            self.create(messages=[])
        self.assertEqual(missing.exception.param, "messages")
        with self.assertRaises(openai.APIStatusError) as oversized:
            self.create(messages=[{"role": "user", "content": "x" * (1 << 20)}])
        self.assertEqual(oversized.exception.status_code, 413)
        self.assertEqual(self.worker.stop(), 0)
        with self.assertRaises(openai.InternalServerError) as alone:
            self.create()
        self.assertEqual(alone.exception.status_code, 502)

    def test_stop(self):
        self.create()
        for process in (self.front, self.worker):
            self.assertEqual(process.stop(), 0)


class Curl(unittest.TestCase):
    def ask(self, front):
        url = front.addresses["front end"] + "/chat/completions"
        request = json.dumps({"model": "parrot", "stream": True, "messages": QUESTION})
        command = ["curl", "-sN", "-H", "content-type: application/json", "-d", request, url]
        curl = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.addCleanup(curl.wait)
        self.addCleanup(curl.kill)
        self.addCleanup(curl.stdout.close)
        return curl

    def read(self, curl):
        """Returns the received bytes, and waits for some if there are none."""
        ready, _, _ = select.select([curl.stdout], [], [], PATIENCE)
        self.assertTrue(ready, "nothing came")
        return os.read(curl.stdout.fileno(), 65536)

    def test_tokens_are_streamed(self):
        worker, front = start(self, delay_ms=200)
        curl = self.ask(front)
        reads = [self.read(curl)]
        # The first token has arrived before the last one is generated.
        self.assertIn(b"You ", reads[0])
        self.assertLess(worker.number("items_total"), TOKENS)
        while reads[-1]:
            reads.append(self.read(curl))
        self.assertGreater(len(reads), 3)
        self.assertTrue(b"".join(reads).endswith(b"data: [DONE]\n\n"))
        self.assertEqual(curl.wait(PATIENCE), 0)

    def test_hanging_up(self):
        worker, front = start(self, delay_ms=1000)
        curl = self.ask(front)
        self.assertIn(b"You ", self.read(curl))
        curl.kill()
        front.wait_for(1, "cancellations_total", endpoint="chat")
        worker.wait_for(1, "cancellations_total")
        for process in (worker, front):
            chat = {"endpoint": "chat"} if process is front else {}
            self.assertEqual(process.number("requests_total", **chat), 1)
            self.assertEqual(process.number("concurrent_requests", **chat), 0)
        self.assertLess(worker.number("items_total"), TOKENS)


class Stopwatch:
    """What a client sees of a stream, and when."""

    def __init__(self, front):
        address = urlsplit(front.addresses["front end"])
        raw = Raw(address.port)
        request = json.dumps({"model": "parrot", "stream": True, "messages": QUESTION}).encode()
        fields = ("Content-Type: application/json", f"Content-Length: {len(request)}", "Connection: close")
        self.began = time.monotonic()
        raw.head(f"{address.path}/chat/completions", *fields)
        raw.send(request)
        self.tokens = []
        rest = b""
        while piece := raw.socket.recv(65536):
            now = time.monotonic()
            *lines, rest = (rest + piece).split(b"\n")
            self.tokens += [now for line in lines if is_token(line)]
        self.ended = time.monotonic()
        raw.hang_up()


def is_token(line):
    if not line.startswith(b"data: {"):
        return False
    delta = json.loads(line.removeprefix(b"data: "))["choices"][0]["delta"]
    return bool(delta.get("content"))


# A step of a scripted stream: how long it takes, what comes, and whether it is a token.
def token(text):
    return 0.06, chunk(content=text), True


def chunk(**delta):
    return "data: " + json.dumps({"choices": [{"index": 0, "delta": delta}]})


STEPS = [
    (0, chunk(role="assistant", content=""), False),
    (0.1, ": keep-alive", False),
    (0.1, chunk(role="assistant"), False),
    token("to"),
    (0.01, ": keep-alive", False),
    token(" be"),
    token(" or"),
    (0.1, chunk(), False),
    (0, "data: [DONE]", False),
]


class Upstream(http.server.ThreadingHTTPServer):
    """An OpenAI-compatible server whose answer has `STEPS`. Knows when it sent each token."""

    daemon_threads = True

    def __init__(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                outer.asked = time.monotonic()
                self.rfile.read(int(self.headers["content-length"]))
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                for pause, event, is_token in STEPS:
                    time.sleep(pause)
                    if is_token:
                        outer.tokens.append(time.monotonic())
                    self.chunk(event.encode() + b"\n\n")
                self.chunk(b"")

            def chunk(self, data):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.tokens = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class Times(unittest.TestCase):
    """The page says what the client has timed."""

    def read(self, process, names):
        chat = {"endpoint": "chat"} if "front end" in process.addresses else {}
        return {name: process.number(name, **chat) for name in names}

    def test_another_servers_tokens(self):
        """Each moment lies between that at which the upstream sends a token and that at which the client has it."""
        upstream = self.enterContext(Upstream())
        url = f"http://127.0.0.1:{upstream.server_port}"
        front = self.enterContext(Process("llm_frontend", UPSTREAM=url))
        client = Stopwatch(front)
        front.wait_for(1, "requests_total", endpoint="chat")
        sent, had = upstream.tokens, client.tokens
        self.assertEqual(len(had), len(sent))
        gaps = len(sent) - 1
        expected = {
            "items_total": (len(sent), len(sent)),
            "first_item_seconds_count": (1, 1),
            "first_item_seconds_sum": (sent[0] - upstream.asked, had[0] - client.began),
            "item_gap_seconds_count": (gaps, gaps),
            "item_gap_seconds_sum": (sent[-1] - had[0], had[-1] - sent[0]),
            "time_per_item_seconds_sum": ((sent[-1] - had[0]) / gaps, (client.ended - sent[0]) / gaps),
        }
        for name, number in self.read(front, expected).items():
            low, high = expected[name]
            self.assertTrue(low <= number <= high, (name, low, number, high))
        # The role came long before.
        self.assertGreater(sent[0] - upstream.asked, 0.2)

    @unittest.skipUnless(shutil.which("prometheus"), "needs prometheus")
    def test_the_workers_tokens(self):
        worker, front = start(self, delay_ms=10)
        ports = [urlsplit(one.addresses["status server"]).port for one in (front, worker)]
        config = CONFIG.replace('"127.0.0.1:{port}"', ", ".join(f'"127.0.0.1:{port}"' for port in ports))
        prometheus = self.enterContext(Prometheus(None, config=config))
        sums = ("first_item_seconds_sum", "item_gap_seconds_sum", "time_per_item_seconds_sum")
        close = 0
        # Other work on the machine delays what the client sees of some calls.
        for calls in range(1, 51):
            before = self.read(front, sums)
            client = Stopwatch(front)
            self.assertEqual(len(client.tokens), TOKENS)
            front.wait_for(calls, "requests_total", endpoint="chat")
            now = self.read(front, sums)
            first, gaps, each = (now[name] - before[name] for name in sums)
            timed_first, timed_gaps = client.tokens[0] - client.began, client.tokens[-1] - client.tokens[0]
            self.assertTrue(0.01 <= first <= timed_first, (first, timed_first))
            self.assertLessEqual(first + gaps, timed_first + timed_gaps)
            self.assertLessEqual(first + each * (TOKENS - 1), client.ended - client.began)
            close += abs(first - timed_first) < 0.001 and abs(gaps - timed_gaps) < 0.001
            if close == 3:
                break
        else:
            self.fail("no three calls took within a millisecond of what their client timed")

        worker.wait_for(calls, "requests_total")
        gap = self.read(worker, sums)["item_gap_seconds_sum"]
        # A token is begun when the one before has been taken.
        self.assertGreaterEqual(gap, calls * (TOKENS - 1) * 0.01)
        counts = {
            "items_total": calls * TOKENS,
            "first_item_seconds_count": calls,
            "item_gap_seconds_count": calls * (TOKENS - 1),
            "time_per_item_seconds_count": calls,
        }
        for process, component in ((front, "frontend"), (worker, "worker")):
            for name, number in {**counts, **self.read(process, sums)}.items():
                query = f'{name}{{component="{component}"}}'
                wait_until(f"{query} to be {number}", lambda: prometheus.query(f"max({query})") == [({}, number)])


if __name__ == "__main__":
    unittest.main()
