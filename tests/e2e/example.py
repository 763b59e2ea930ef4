"""The example `system_server`, and requests to it."""

from urllib.parse import urlsplit

from clients import Raw, ask
from processes import README_EXAMPLE, Process

OPENMETRICS = "application/openmetrics-text;version=1.0.0"


class Example(Process):
    """The running example: its work handler and its status server."""

    def __init__(self, binary=README_EXAMPLE):
        super().__init__(binary)
        work = urlsplit(self.addresses["work handler"])
        self.port, self.path = work.port, work.path
        self.status_port = urlsplit(self.addresses["status server"]).port

    def post(self, body, **headers):
        """Sends `body` to the work handler."""
        headers = {"content-type": "application/json", **headers}
        return ask(self.port, "POST", self.path, body, headers)

    def raw(self):
        return Raw(self.port)

    def page(self, accept=None):
        """Returns the page as text. Without `accept`, in the format that curl gets."""
        answer = self.status("/metrics", **({"accept": accept} if accept else {}))
        if answer.status != 200:
            raise AssertionError(f"/metrics answered {answer.status}: {answer.text}")
        return answer.text
