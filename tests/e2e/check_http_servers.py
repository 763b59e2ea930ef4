"""The examples `axum` and `hyper`, started, called and stopped as a user would."""

import re
import signal
import unittest
from urllib.parse import urlsplit

from clients import ask, wait_until
from processes import Process
from tally import samples


class Server(Process):
    """An example that serves its own status routes."""

    def __init__(self, name, **variables):
        super().__init__(name, PORT="0", **variables)
        self.port = urlsplit(self.addresses["server"]).port

    def _addresses(self):
        found = [re.fullmatch(r"http://\S+", line) for line in list(self.lines)]
        found = [match[0] for match in found if match]
        if self.process.poll() is not None:
            raise AssertionError(f"it ended early:\n{self.output()}")
        return {"server": found[0], "status server": found[0]} if found else None


class HttpServers(unittest.TestCase):
    def check(self, name, asked):
        server = self.enterContext(Server(name))
        for method, path, body, status in asked:
            self.assertEqual(ask(server.port, method, path, body).status, status, path)

        def ended():
            page = ask(server.port, "GET", "/metrics").text
            found = [value for (name, _), value in samples(page).items() if name == "requests_total"]
            return sum(found) == len(asked)

        wait_until("all calls on the page", ended)
        server.process.send_signal(signal.SIGINT)
        self.assertEqual(server.wait(), 0, server.output())

    def test_axum(self):
        asked = [("GET", "/items/7", None, 200), ("POST", "/words", b"two words", 200)]
        self.check("axum", [*asked, ("GET", "/nowhere", None, 404)])

    def test_hyper(self):
        asked = [("GET", "/", None, 200), ("POST", "/count", b"bytes", 200)]
        self.check("hyper", [*asked, ("GET", "/nowhere", None, 404)])


if __name__ == "__main__":
    unittest.main()
