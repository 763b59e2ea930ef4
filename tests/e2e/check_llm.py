"""The OpenAI-compatible front end and its worker, with OpenAI's client and curl."""

import json
import os
import select
import subprocess
import unittest

import openai

from clients import PATIENCE
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
            self.assertEqual(process.number("first_byte_seconds_count", **chat), 1)
        self.assertEqual(self.worker.number("response_messages_total"), TOKENS)

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
        self.assertLess(worker.number("response_messages_total"), TOKENS)
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
        self.assertLess(worker.number("response_messages_total"), TOKENS)


if __name__ == "__main__":
    unittest.main()
