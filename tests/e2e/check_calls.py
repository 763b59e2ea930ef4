"""Real clients end calls in every way, and the page shows the right numbers."""

import json
import unittest

from clients import wait_until
from example import Example
from tally import LABELS, Tally, samples, wait_for

# Long enough that the response fits into no socket buffer.
LONG = json.dumps("x" * 500_000).encode()


class Calls(unittest.TestCase):
    def setUp(self):
        self.example = self.enterContext(Example())

    def wait_for_the_call_to_begin(self):
        # A client that leaves before its head is read makes no call.
        def begun():
            return Tally.read(self.example.page()).concurrent == 1

        wait_until("the call to begin", begun)

    def test_before_any_call(self):
        self.assertEqual(Tally.read(self.example.page()), Tally.of())

    def test_three_posts(self):
        sent = received = 0
        for number in (1, 2, 3):
            body = f'"test message {number}"'.encode()
            answer = self.example.post(body)
            lines = [json.loads(line) for line in answer.text.splitlines()]
            self.assertEqual(answer.status, 200)
            self.assertEqual("".join(line["data"] for line in lines), json.loads(body))
            sent += len(body)
            received += len(answer.body)

        wait_for(self.example, completed=3)
        found = samples(self.example.page())
        labels = tuple(sorted(LABELS.items()))
        self.assertEqual(sent, 48)
        self.assertEqual(found["request_bytes_total", labels], sent)
        self.assertEqual(found["response_bytes_total", labels], received)
        self.assertEqual(found["my_custom_bytes_processed_total", labels], 42)

    def test_each_item_is_sent_as_it_is_made(self):
        raw = self.example.raw()
        raw.head(self.example.path, "Content-Type: application/json", "Content-Length: 4")
        raw.send(b'"ab"')
        wire = raw.read_some(1)
        while not wire.endswith(b"0\r\n\r\n"):
            wire += raw.read_some(1)
        raw.hang_up()
        _, chunks = wire.split(b"\r\n\r\n", 1)
        item = b'd\r\n{"data":"%c"}\n\r\n'
        self.assertEqual(chunks.lower(), item % b"a" + item % b"b" + b"0\r\n\r\n")
        wait_for(self.example, completed=1)

    def test_a_body_that_is_not_json(self):
        for body in (b"not json", b"", b"{", b"42"):
            self.assertEqual(self.example.post(body).status, 400, body)
        wait_for(self.example, deserialization=4)

    def test_hang_up_during_the_response(self):
        for number, leave in enumerate(("hang_up", "reset"), 1):
            raw = self.example.raw()
            length = f"Content-Length: {len(LONG)}"
            raw.head(self.example.path, "Content-Type: application/json", length)
            raw.send(LONG)
            self.assertTrue(raw.read_some(200).startswith(b"HTTP/1.1 200 "))
            getattr(raw, leave)()
            wait_for(self.example, cancellations=number)

    def test_hang_up_during_an_upload(self):
        cancelled = 0
        for leave in ("hang_up", "reset"):
            for framing, part in (
                ("Content-Length: 100", b'"only the beginning'),
                ("Content-Length: 100", b""),
                ("Transfer-Encoding: chunked", b'13\r\n"only the beginning\r\n'),
                ("Transfer-Encoding: chunked", b'64\r\n"only the beginning'),
            ):
                with self.subTest(framing=framing, part=part, leave=leave):
                    raw = self.example.raw()
                    raw.head(self.example.path, "Content-Type: application/json", framing)
                    raw.send(part)
                    cancelled += 1
                    self.wait_for_the_call_to_begin()
                    getattr(raw, leave)()
                    wait_for(self.example, cancellations=cancelled)

    def test_a_malformed_chunk(self):
        raw = self.example.raw()
        raw.head(
            self.example.path, "Content-Type: application/json", "Transfer-Encoding: chunked"
        )
        raw.send(b'4\r\n"abc\r\nnot a length\r\n')
        wait_for(self.example, invalid_message=1)
        raw.hang_up()

    def test_bytes_of_an_aborted_upload_count(self):
        raw = self.example.raw()
        raw.head(self.example.path, "Content-Type: application/json", "Content-Length: 100")
        raw.send(b"x" * 60)
        self.wait_for_the_call_to_begin()
        raw.hang_up()
        wait_for(self.example, cancellations=1)
        found = samples(self.example.page())
        self.assertEqual(found["request_bytes_total", tuple(sorted(LABELS.items()))], 60)


if __name__ == "__main__":
    unittest.main()
